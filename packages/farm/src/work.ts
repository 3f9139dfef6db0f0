import type { QueueName } from "@loc2vec/core";
import { createRasterizer } from "@loc2vec/rasterizer";
import { type Consumer, runWorker, type WorkerSummary } from "@loc2vec/worker";
import type { FarmContext } from "./context.ts";
import { embedConsumer, trainConsumer } from "./jobs.ts";

export interface WorkOptions {
  /** Default: shards, and finalizing. */
  queues?: readonly QueueName[];
  /** Shards at a time. */
  concurrency?: number;
  /** After so long a dead worker's job goes to another, milliseconds. */
  lockMs?: number | undefined;
  until: "empty" | "forever";
  dataset?: string | undefined;
  /** To finish shards after the signal, milliseconds. */
  graceMs?: number | undefined;
}

/**
 * Does the jobs of the queues until there are none, or until the signal is given.
 *
 * @param services the database is needed for shards alone
 * @param total tiles that there are to be rendered, where that is known
 */
export async function work(
  context: FarmContext,
  { redisUrl, databaseUrl }: { redisUrl: string; databaseUrl: string | undefined },
  { queues = ["raster", "finalize"], concurrency, until, dataset, graceMs, lockMs }: WorkOptions,
  total?: number,
): Promise<WorkerSummary> {
  const { config, signal, log } = context;
  const profile = await context.profile();
  const consumers = [trainConsumer(context), embedConsumer(context)] as Consumer[];
  const progress = context.progress({ label: "render", total, unit: "tiles" });
  let done = 0;
  const summary = await runWorker({
    redisUrl,
    prefix: config.queuePrefix,
    store: context.store(),
    rasterizer:
      queues.includes("raster") && databaseUrl !== undefined
        ? () => createRasterizer({ databaseUrl, profile, kind: config.renderer, outside: config.outside })
        : undefined,
    finalize: queues.includes("finalize"),
    consumers: consumers.filter(({ queue }) => queues.includes(queue)),
    concurrency: concurrency ?? config.workers,
    signal,
    until,
    ...(dataset === undefined ? {} : { dataset }),
    ...(graceMs === undefined ? {} : { graceMs }),
    ...(lockMs === undefined ? {} : { lockMs }),
    onShard: (_, { tiles }) => {
      done += tiles;
      progress.update(done);
    },
    onFailure: (id, reason, final) => log(`${id}: ${reason}${final ? "" : " (will be tried again)"}`),
    onLeft: (reason) => log(`left for other workers: ${reason}`),
    onTrouble: (reason) => log(`waiting: ${reason}`),
  });
  progress.update(done);
  progress.finish();
  if (summary.quarantined > 0)
    log(`render: ${summary.quarantined} locations set aside; farm status lists them`);
  if (summary.empty > 0) log(`render: ${summary.empty} of ${summary.tiles} tiles show nothing of the map`);
  return summary;
}
