import { EXIT_CODES, FarmError, type Levels, type Location, type LocationKind } from "@loc2vec/core";
import { readImportInfo, readLocations, sampleLocations } from "@loc2vec/gis";
import { datasetStatus } from "@loc2vec/producer";
import { openRasterQueue } from "@loc2vec/queue";
import { type Context, withServices } from "../context.ts";
import { describeDataset, enqueue, work } from "../stages.ts";

export interface EnqueueOptions {
  dataset: string;
  locations?: string;
  sample?: number;
  kind: LocationKind;
  kinds: { visit: number; transport: number };
  seed: number;
  positives: number;
  shardLocations: number;
  levels: Levels;
}

export async function enqueueCommand(context: Context, options: EnqueueOptions): Promise<void> {
  if ((options.locations === undefined) === (options.sample === undefined)) {
    throw new FarmError(
      "usage",
      "locations come from a file or from the map",
      "give one of --locations FILE and --sample N",
    );
  }
  const profile = await context.profile();
  const result = await withServices(context, ["redis", "database"], async ({ redisUrl, databaseUrl }) => {
    const info = await readImportInfo(databaseUrl);
    const { count, read } = await source(options, databaseUrl, info?.bbox);
    const dataset = describeDataset(context, profile, count, { ...options, name: options.dataset });
    return enqueue(context, { redisUrl }, dataset, read());
  });
  context.result({ dataset: options.dataset, ...result }, [
    `data set ${options.dataset}: ${result.shards} shards, ${result.added} queued, ${result.retried} retried, ${result.queued} waiting already, ${result.present} there`,
    "pnpm farm:work renders them",
  ]);
}

/** How many locations there are, and how to read them: files are read twice, so that they need not fit in memory. */
async function source(
  { locations, sample, kind, kinds, seed }: EnqueueOptions,
  databaseUrl: string,
  bbox: readonly [number, number, number, number] | undefined,
): Promise<{ count: number; read: () => AsyncIterable<Location> }> {
  if (locations !== undefined) {
    const read = (): AsyncIterable<Location> => readLocations(locations, { kind, ...(bbox ? { bbox } : {}) });
    let count = 0;
    for await (const _ of read()) count++;
    return { count, read };
  }
  const found = await sampleLocations({ databaseUrl, count: sample as number, seed, kinds });
  return {
    count: found.length,
    read: async function* () {
      yield* found;
    },
  };
}

export interface WorkCommandOptions {
  dataset?: string;
  until: "empty" | "forever";
  concurrency?: number;
  grace?: number;
}

export async function workCommand(
  context: Context,
  { grace, ...options }: WorkCommandOptions,
): Promise<void> {
  const summary = await withServices(context, ["redis", "database"], (services) =>
    work(context, services, { ...options, graceMs: grace === undefined ? undefined : 1000 * grace }),
  );
  const rate = summary.tiles / summary.seconds;
  context.result(summary, [
    `${summary.shards} shards, ${summary.tiles} tiles in ${summary.seconds.toFixed(1)} s (${rate.toFixed(0)} tiles/s), ${summary.empty} of them empty; ` +
      `${summary.skipped} there already, ${summary.failures} failed attempts, ${summary.handedBack} handed back`,
  ]);
  if (summary.interrupted && options.until === "empty") process.exitCode = EXIT_CODES.interrupted;
}

export async function status(context: Context, { dataset }: { dataset: string }): Promise<void> {
  const found = await withServices(context, ["redis"], async ({ redisUrl }) => {
    const queue = await openRasterQueue({ redisUrl, prefix: context.config.queuePrefix });
    try {
      return await datasetStatus({ queue, store: context.store(), name: dataset });
    } finally {
      await queue.close();
    }
  });
  const { shards, done, waiting, active, delayed, failed, lost, failures, rate } = found;
  context.result(found, [
    `data set ${dataset}: ${done} of ${shards} shards done, ${active} active, ${waiting} waiting, ${delayed} to be retried, ${failed} failed, ${lost} not queued`,
    ...(rate ? [`${rate.tilesPerSecond.toFixed(0)} tiles/s`] : []),
    ...failures.map((failure) => `shard ${failure.shard}, attempt ${failure.attempts}: ${failure.reason}`),
    ...(failed + lost > 0 ? ["pnpm farm:enqueue with the same options puts them back"] : []),
  ]);
}
