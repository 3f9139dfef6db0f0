import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** Threads that each do one task at a time. */
export interface Threads<T> {
  readonly count: number;
  /** Gives the first task to the first thread, the second to the second. @returns when all of them are done */
  run(tasks: readonly T[]): Promise<void>;
  close(): Promise<void>;
}

/** @param module beside this one, without its extension: the built one, or the source where that is run */
export function openThreads<T>(module: string, count: number): Threads<T> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const workers = Array.from(
    { length: count },
    () => new Worker(new URL(`${module}.${extension}`, import.meta.url)),
  );
  let failed: Error | undefined;
  for (const worker of workers) {
    worker.on("error", (error) => {
      failed ??= error;
    });
  }
  const give = async (worker: Worker, task: T): Promise<void> => {
    if (failed) throw failed;
    worker.postMessage(task);
    await once(worker, "message");
  };
  return {
    count,
    async run(tasks) {
      await Promise.all(tasks.map((task, i) => give(workers[i] as Worker, task)));
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
