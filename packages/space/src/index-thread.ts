import { parentPort } from "node:worker_threads";
import { saveHnsw } from "./hnsw.ts";

/** An index to be built into a file. The thread answers when it is there, with nothing. */
export interface IndexTask {
  /** Float32 [n, size]. */
  vectors: Float32Array;
  size: number;
  path: string;
}

parentPort?.on("message", ({ vectors, size, path }: IndexTask) => {
  saveHnsw(vectors, size, path).then(
    () => parentPort?.postMessage("done"),
    // Beyond the promise, where the thread ends by it and its owner is told.
    (error: unknown) =>
      setImmediate(() => {
        throw error;
      }),
  );
});
