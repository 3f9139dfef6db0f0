import { setTimeout as sleep } from "node:timers/promises";
import {
  type Bbox,
  checkName,
  EXIT_CODES,
  FarmError,
  type Levels,
  type Location,
  type LocationKind,
  type QueueName,
  shardCount,
  startProgress,
} from "@loc2vec/core";
import { openLocationTable, readImportInfo, readLocations, sampleLocations } from "@loc2vec/gis";
import { type DatasetStatus, datasetStatus, verifyDataset } from "@loc2vec/producer";
import { type Follow, retryFailed } from "@loc2vec/queue";
import { openDataset } from "@loc2vec/shards";
import type { WorkerSummary } from "@loc2vec/worker";
import { type Context, withServices } from "../context.ts";
import { bar, eta, startLive } from "../live.ts";
import { describeDataset, enqueue, withQueues, work } from "../stages.ts";
import { type TrainingOptions, trainingOf } from "./model.ts";

export interface EnqueueOptions extends TrainingOptions {
  dataset: string;
  locations?: string;
  table?: string;
  sample?: number;
  kind: LocationKind;
  kinds: { visit: number; transport: number };
  seed: number;
  positives: number;
  shardLocations: number;
  levels: Levels;
  train?: string;
  steps?: number;
  embed?: boolean;
}

export async function enqueueCommand(context: Context, options: EnqueueOptions): Promise<void> {
  checkName("data set", options.dataset);
  const sources = [options.locations, options.table, options.sample].filter((each) => each !== undefined);
  if (sources.length !== 1) {
    throw new FarmError(
      "usage",
      "locations come from a file, from a table or from the map",
      "give one of --locations FILE, --table NAME and --sample N",
    );
  }
  const follow = followOf(options);
  const profile = await context.profile();
  const result = await withServices(context, ["redis", "database"], async ({ redisUrl, databaseUrl }) => {
    const info = await readImportInfo(databaseUrl);
    const { count, read } = await source(options, databaseUrl, info?.bbox);
    const dataset = describeDataset(context, profile, count, { ...options, name: options.dataset });
    return enqueue(context, { redisUrl }, dataset, read(), follow);
  });
  context.result({ dataset: options.dataset, ...result }, [
    `data set ${options.dataset}: ${result.shards} shards, ${result.added} queued, ${result.retried} retried, ${result.queued} waiting already, ${result.present} there`,
    "pnpm farm:work renders them",
  ]);
}

/** What the options say shall follow. */
function followOf(options: EnqueueOptions): Follow {
  const { dataset, train: model, steps, embed = false, seed } = options;
  if (model === undefined) {
    if (!embed && steps === undefined) return {};
    throw new FarmError("usage", "--steps and --embed are of a model that is trained", "add --train MODEL");
  }
  checkName("model", model);
  if (steps === undefined) throw new FarmError("usage", `model ${model}: how many steps?`, "add --steps N");
  return { train: { dataset, model, steps, seed, ...trainingOf(options) }, embed };
}

/** How many locations there are, and how to read them: files are read twice, so that they need not fit in memory. */
async function source(
  { locations, table, sample, kind, kinds, seed }: EnqueueOptions,
  databaseUrl: string,
  bbox: Bbox | undefined,
): Promise<{ count: number; read: () => AsyncIterable<Location> }> {
  const given = { kind, ...(bbox ? { bbox } : {}) };
  if (table !== undefined) return openLocationTable(databaseUrl, table, given);
  if (locations !== undefined) {
    const read = (): AsyncIterable<Location> => readLocations(locations, given);
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
  queues: QueueName[];
  lock?: number;
  until: "empty" | "forever";
  concurrency?: number;
  grace?: number;
}

export async function workCommand(
  context: Context,
  { grace, lock, ...options }: WorkCommandOptions,
): Promise<void> {
  if (options.dataset !== undefined) checkName("data set", options.dataset);
  const ms = (seconds: number | undefined): number | undefined => seconds && 1000 * seconds;
  const given = { ...options, graceMs: grace === 0 ? 0 : ms(grace), lockMs: ms(lock) };
  const need = options.queues.includes("raster") ? (["redis", "database"] as const) : (["redis"] as const);
  const summary = await withServices<WorkerSummary, "redis" | "database">(context, need, (services) =>
    work(context, services, given),
  );
  const rate = summary.tiles / summary.seconds;
  context.result(summary, [
    `${summary.shards} shards, ${summary.tiles} tiles in ${summary.seconds.toFixed(1)} s (${rate.toFixed(0)} tiles/s), ${summary.empty} of them empty; ` +
      `${summary.skipped} there already, ${summary.failures} failed attempts, ${summary.handedBack} handed back`,
  ]);
  if (summary.interrupted && options.until === "empty") process.exitCode = EXIT_CODES.interrupted;
}

export async function status(
  context: Context,
  { dataset, once = false }: { dataset: string; once?: boolean },
): Promise<void> {
  await withServices(context, ["redis"], (services) =>
    withQueues(context, services, async (queues) => {
      const look = (): Promise<DatasetStatus> =>
        datasetStatus({ queues, store: context.store(), name: dataset });
      let found = await look();
      if (context.json || once || !process.stdout.isTTY) return context.result(found, statusLines(found));
      const live = startLive();
      live.draw(statusLines(found));
      while (isOpen(found) && !context.signal.aborted) {
        await sleep(1000, undefined, { signal: context.signal }).catch(() => {});
        found = await look();
        live.draw(statusLines(found));
      }
    }),
  );
}

function isOpen({ waiting, active, delayed, stages }: DatasetStatus): boolean {
  const runs = stages.some(({ state }) => ["waiting", "active", "delayed", "prioritized"].includes(state));
  return waiting + active + delayed > 0 || runs;
}

function statusLines(found: DatasetStatus): string[] {
  const { dataset, shards, done, waiting, active, delayed, failed, lost, failures, rate, complete } = found;
  const begun = found.activeLocations / dataset.shardLocations;
  return [
    `data set ${dataset.name}: ${done} of ${shards} shards done, ${active} active, ${waiting} waiting, ${delayed} to be retried, ${failed} failed, ${lost} not queued`,
    `${bar(Math.min(shards, done + begun) / shards)}${rate ? ` ${rate.tilesPerSecond.toFixed(0)} tiles/s` : ""}${eta(found.etaSeconds)}`,
    ...found.stages.map(({ queue, id, state, progress, reason }) => {
      const said = typeof progress === "object" && progress !== null ? ` ${JSON.stringify(progress)}` : "";
      return `${queue} ${id}: ${state}${state === "active" ? said : ""}${reason === "" || state === "completed" ? "" : `: ${reason}`}`;
    }),
    ...(complete
      ? [
          `complete: ${complete.tiles} tiles, ${complete.empty} of them empty, ${complete.bytes} bytes, ${complete.quarantined} locations set aside`,
        ]
      : []),
    ...found.quarantined.map(({ location, reason }) => `set aside: location ${location}: ${reason}`),
    ...failures.map((failure) => `shard ${failure.shard}, attempt ${failure.attempts}: ${failure.reason}`),
    ...(failed > 0 ? [`pnpm farm:retry --dataset ${dataset.name} puts what failed back`] : []),
    ...(lost > 0 ? ["pnpm farm:enqueue with the same options queues what is not queued"] : []),
  ];
}

export async function retryCommand(context: Context, { dataset }: { dataset: string }): Promise<void> {
  const retried = await withServices(context, ["redis"], (services) =>
    withQueues(context, services, (queues) => retryFailed(queues, dataset)),
  );
  context.result({ dataset, retried }, [
    `data set ${dataset}: put back ${Object.entries(retried)
      .map(([queue, count]) => `${count} ${queue}`)
      .join(", ")}`,
  ]);
}

export async function verifyCommand(
  context: Context,
  { dataset, repair = false }: { dataset: string; repair?: boolean },
): Promise<void> {
  const store = context.store();
  const { dataset: described } = await openDataset(store, dataset);
  const progress = startProgress({
    label: "verify",
    total: shardCount(described),
    unit: "shards",
    quiet: context.quiet,
  });
  const options = {
    store,
    name: dataset,
    signal: context.signal,
    onShard: (done: number) => progress.update(done),
  };
  const found = repair
    ? await withServices(context, ["redis"], (services) =>
        withQueues(context, services, (queues) => verifyDataset({ ...options, repair: queues })),
      )
    : await verifyDataset(options);
  progress.finish();
  const { shards, whole, missing, damaged, arrays } = found;
  context.result(found, [
    `data set ${dataset}: ${whole} of ${shards} shards whole, ${missing.length} missing, ${damaged.length} damaged`,
    ...damaged.map(({ shard, reason }) => `shard ${shard}: ${reason}`),
    ...arrays.map(({ array, reason }) => `array ${array}: ${reason}`),
    ...(found.repair
      ? [`queued again: ${found.repair.added + found.repair.retried}; pnpm farm:work renders them`]
      : []),
    ...(!repair && whole < shards
      ? [`pnpm farm:verify --dataset ${dataset} --repair queues them again`]
      : []),
  ]);
  if (arrays.length > 0 || (whole < shards && !repair)) process.exitCode = EXIT_CODES.data;
}
