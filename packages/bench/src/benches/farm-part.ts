// A process of the farm bench: renders shards without any queue, or works like very many workers whose jobs sleep.

import { loadProfile } from "@loc2vec/gis";
import { closeRedis, connectRedis } from "@loc2vec/queue";
import { createRasterizer } from "@loc2vec/rasterizer";
import { openStore } from "@loc2vec/shards";
import { renderShard } from "@loc2vec/worker";
import { Worker } from "bullmq";
import { next, send } from "../children.ts";

export type FarmTask =
  | { kind: "render"; databaseUrl: string; style: string; store: string; dataset: string; shards: number[] }
  | { kind: "sleep"; redisUrl: string; prefix: string; workers: number };

/** What the sleeping workers did; gaps lie between the end of a job and the beginning of the next, milliseconds. */
export interface SleepReport {
  gaps: number[];
  jobs: number;
}

const task = (await next()) as FarmTask;
if (task.kind === "render") {
  const profile = await loadProfile(task.style);
  const rasterizer = await createRasterizer({ databaseUrl: task.databaseUrl, profile, kind: "fast" });
  const store = openStore(task.store);
  const go = next();
  await send("ready");
  await go;
  for (const shard of task.shards)
    await renderShard({ store, job: { dataset: task.dataset, shard }, rasterizer });
  await send("done");
} else {
  const connection = await connectRedis(task.redisUrl);
  const gaps: number[] = [];
  let jobs = 0;
  const workers = Array.from({ length: task.workers }, () => {
    let ended: number | undefined;
    const worker = new Worker(
      "sleep",
      async (job) => {
        if (ended !== undefined) gaps.push(performance.now() - ended);
        await new Promise((resolve) => setTimeout(resolve, job.data.ms));
        jobs++;
        ended = performance.now();
      },
      {
        connection,
        prefix: task.prefix,
        autorun: false,
        lockDuration: 60_000,
        stalledInterval: 30_000,
        maxStalledCount: 5,
      },
    );
    worker.on("error", () => {});
    return worker;
  });
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));
  const go = next();
  await send("ready");
  await go;
  const stop = next();
  for (const worker of workers) void worker.run();
  await stop;
  await send({ gaps, jobs } satisfies SleepReport);
  await Promise.all(workers.map((worker) => worker.close(true)));
  await closeRedis(connection);
}
process.exit();
