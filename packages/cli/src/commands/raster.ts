import { setTimeout as sleep } from "node:timers/promises";
import {
  type CheckpointChoice,
  checkName,
  checkSource,
  EXIT_CODES,
  FarmError,
  footprint,
  type Levels,
  type LocationKind,
  MAX_OFFSET_M,
  type QueueName,
  shardCount,
  startProgress,
  TILE_RADIUS_M,
} from "@loc2vec/core";
import {
  describeBad,
  type ImportInfo,
  type LocationSource,
  openLocationFile,
  openLocationTable,
  requireImport,
  sampleLocations,
} from "@loc2vec/gis";
import { type DatasetStatus, datasetStatus, verifyDataset } from "@loc2vec/producer";
import { type Follow, retryFailed, untilNextLook } from "@loc2vec/queue";
import { sourceOf } from "@loc2vec/rasterizer";
import { openDataset } from "@loc2vec/shards";
import type { WorkerSummary } from "@loc2vec/worker";
import { type Context, withServices } from "../context.ts";
import { bar, eta, startLive } from "../live.ts";
import { describeDataset, enqueue, withQueues, work } from "../stages.ts";
import { refuseTraining, type TrainingOptions, trainingOf } from "../training-options.ts";

export interface EnqueueOptions extends TrainingOptions {
  dataset: string;
  locations?: string;
  table?: string;
  sample?: number;
  kind: LocationKind;
  kinds: { visit: number; transport: number };
  skipBad: number;
  seed: number;
  positives: number;
  shardLocations: number;
  levels: Levels;
  train?: string;
  steps?: number;
  embed?: boolean;
  checkpoint: CheckpointChoice;
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
  const result = await withServices(context, ["redis", "database"], (services) =>
    // Opened first: what Redis or the store refuses is said before a long list is read.
    withQueues(context, services, async (queues) => {
      const { databaseUrl } = services;
      const map = await requireImport(databaseUrl, profile);
      const source = await openLocations(context, options, databaseUrl, map);
      checkOutside(context, source, map);
      const { count, bad, outside } = source;
      const drawn = sourceOf(map, profile, { kind: context.config.renderer });
      const dataset = describeDataset(profile, drawn, count, { ...options, name: options.dataset });
      const queued = await enqueue(context, queues, dataset, source.read(), follow);
      return { locations: count, skipped: bad.count, outside: outside.count, ...queued };
    }),
  );
  const { locations, skipped, outside } = result;
  context.result({ dataset: options.dataset, ...result }, [
    `data set ${options.dataset}: ${result.shards} shards, ${result.added} queued, ${result.retried} retried, ${result.queued} waiting already, ${result.present} there`,
    ...(skipped + outside > 0
      ? [`${locations} locations, ${outside} of them beyond the map; ${skipped} bad rows left out`]
      : []),
    "pnpm farm:work renders them",
  ]);
}

/** What the options say shall follow. */
function followOf(options: EnqueueOptions): Follow {
  const { dataset, train: model, steps, embed = false, checkpoint } = options;
  if (model === undefined) {
    refuseTraining(options);
    if (!embed && steps === undefined) return {};
    throw new FarmError("usage", "--steps and --embed are of a model that is trained", "add --train MODEL");
  }
  checkName("model", model);
  if (steps === undefined) throw new FarmError("usage", `model ${model}: how many steps?`, "add --steps N");
  return { train: { dataset, model, steps, ...trainingOf(options) }, embed, checkpoint };
}

/** The locations that the options name; says which bad rows are left out. */
async function openLocations(
  { log, signal }: Context,
  { locations, table, sample, kind, kinds, seed, skipBad }: EnqueueOptions,
  databaseUrl: string,
  map: ImportInfo,
): Promise<LocationSource> {
  if (sample !== undefined) {
    const found = await sampleLocations({ databaseUrl, count: sample, seed, kinds });
    const none = { count: 0, first: [] };
    return {
      name: "the sample",
      count: found.length,
      bad: none,
      outside: { ...none, swapped: 0 },
      read: async function* () {
        yield* found;
      },
    };
  }
  const { reachM } = footprint(TILE_RADIUS_M, MAX_OFFSET_M);
  const given = { kind, skipBad, signal, bbox: map.bbox, reachM };
  const source =
    table !== undefined
      ? await openLocationTable(databaseUrl, table, given)
      : await openLocationFile(locations as string, given);
  const { name, count, bad } = source;
  if (bad.count > 0) log(`left out: ${describeBad(name, bad, count + bad.count)}`);
  return source;
}

/** Says how many locations lie beyond the map. @throws FarmError `input` when all do, unless FARM_OUTSIDE is `empty` */
function checkOutside(
  { config, log }: Context,
  { name, count, outside }: LocationSource,
  { pbf, bbox }: ImportInfo,
): void {
  if (outside.count === 0) return;
  const share = ((100 * outside.count) / count).toFixed(outside.count < count ? 1 : 0);
  const swapped = outside.swapped > 0 ? `; ${outside.swapped} lie in it with lon and lat swapped` : "";
  const said =
    `${name}: ${outside.count} of ${count} locations (${share}%) lie beyond the map ${pbf} ` +
    `(${bbox.map((degrees) => degrees.toFixed(4)).join(", ")}), first ${outside.first.join(", ")}${swapped}`;
  if (outside.count === count && config.outside === "error") {
    throw new FarmError("input", said, "import a map of where they are, or set FARM_OUTSIDE=empty");
  }
  const end = config.outside === "error" ? "a worker sets them aside" : "their tiles are empty";
  log(`${said}; ${end}`);
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
  const { failed = 0, left = [] } = summary;
  context.result(summary, [
    `${summary.shards} shards, ${summary.tiles} tiles in ${summary.seconds.toFixed(1)} s (${rate.toFixed(0)} tiles/s), ${summary.empty} of them empty; ` +
      `${summary.skipped} there already, ${summary.failures} failed attempts, ${summary.handedBack} handed back`,
    ...(failed > 0
      ? [`${failed} jobs failed; pnpm farm:status --dataset NAME says why, farm:retry puts them back`]
      : []),
    ...left.map(
      ({ queue, dataset, jobs, reason }) => `data set ${dataset}: ${jobs} ${queue} jobs left: ${reason}`,
    ),
  ]);
  if (summary.interrupted && options.until === "empty") process.exitCode = EXIT_CODES.interrupted;
  else if (failed > 0 || left.length > 0) process.exitCode = EXIT_CODES.data;
}

export async function status(
  context: Context,
  { dataset, once = false }: { dataset: string; once?: boolean },
): Promise<void> {
  const store = context.store();
  await openDataset(store, dataset); // before anything is started for it
  await withServices(context, ["redis"], (services) =>
    withQueues(
      context,
      services,
      async (queues) => {
        const look = (): Promise<DatasetStatus> => datasetStatus({ queues, store, name: dataset });
        let begin = performance.now();
        let found = await look();
        if (context.json || once || !process.stdout.isTTY) return context.result(found, statusLines(found));
        const live = startLive();
        live.draw(statusLines(found));
        while (isOpen(found) && !context.signal.aborted) {
          const pause = untilNextLook(performance.now() - begin, 1000);
          await sleep(pause, undefined, { signal: context.signal }).catch(() => {});
          begin = performance.now();
          found = await look();
          live.draw(statusLines(found));
        }
      },
      { writes: false },
    ),
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
    `data set ${dataset.name}: ${done} of ${shards} shards done, ${active} active, ${waiting} waiting, ${delayed} to be tried again, ${failed} failed, ${lost} not queued`,
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
  checkName("data set", dataset);
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
    ? await withServices(context, ["redis", "database"], (services) =>
        withQueues(context, services, async (queues) => {
          const profile = await context.profile();
          const map = await requireImport(services.databaseUrl, profile);
          // Before a byte is read: what is rendered again here would be of another map.
          checkSource(described, sourceOf(map, profile, { kind: context.config.renderer }), "this farm");
          return verifyDataset({ ...options, repair: queues });
        }),
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
