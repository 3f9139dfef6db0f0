import { writeReport } from "@loc2vec/atlas";
import {
  type CheckpointChoice,
  checkName,
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  errorMessage,
  FarmError,
  type Levels,
  type Location,
  OSM_ATTRIBUTION,
  onceAMinute,
  type QueueName,
  startProgress,
  TILE_PIXELS,
  TILE_RADIUS_M,
  type TileSource,
  type Training,
} from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import { type EnqueueDatasetResult, enqueueDataset } from "@loc2vec/producer";
import { type FarmQueues, type Follow, onRedis, openQueues, placeOf } from "@loc2vec/queue";
import { createRasterizer } from "@loc2vec/rasterizer";
import type { Services } from "@loc2vec/services";
import { storeIdentity } from "@loc2vec/shards";
import {
  type EmbedResult,
  embedDataset,
  type HistoryEntry,
  parseRecipe,
  type TrainOptions,
  type TrainResult,
  train,
} from "@loc2vec/trainer";
import { type Consumer, GO_ON_LATER, runWorker, type WorkerSummary } from "@loc2vec/worker";
import type { Context } from "./context.ts";
import { showTraining } from "./training.ts";

/** The stages that commands and the demo are made of. */

export interface NewDataset {
  name: string;
  seed: number;
  /** Positives per location. */
  positives: number;
  shardLocations: number;
  maxOffset?: number;
  levels?: Levels;
}

/** The description of a data set of so many locations, with channels of the profile, drawn from a source. */
export function describeDataset(
  profile: Profile,
  source: TileSource,
  locations: number,
  given: NewDataset,
): Dataset {
  return {
    version: DATASET_VERSION,
    name: checkName("data set", given.name),
    seed: given.seed,
    locations,
    samples: given.positives + 1,
    shardLocations: given.shardLocations,
    channels: profile.channels.map(({ name }) => name),
    pixels: TILE_PIXELS,
    radius: TILE_RADIUS_M,
    levels: given.levels ?? 16,
    augmentation: {
      ...DEFAULT_AUGMENTATION,
      ...(given.maxOffset === undefined ? {} : { maxOffset: given.maxOffset }),
    },
    source,
    attribution: OSM_ATTRIBUTION,
  };
}

/**
 * Runs `work` with the queues of the context's store, and closes them whatever happens.
 *
 * @param writes whether a Redis that refuses to be written is refused at once
 */
export async function withQueues<T>(
  context: Context,
  { redisUrl }: Pick<Services, "redisUrl">,
  work: (queues: FarmQueues) => Promise<T>,
  { writes = true }: { writes?: boolean } = {},
): Promise<T> {
  const prefix = context.config.queuePrefix;
  const store = await storeIdentity(context.store());
  const queues = await openQueues({ redisUrl, prefix, store, writes });
  const tell = onceAMinute((line) => context.log(`waiting: ${placeOf(queues.connection)}: ${line}`));
  queues.connection.on("error", (error) => tell(errorMessage(error)));
  try {
    return await onRedis(queues, () => work(queues));
  } finally {
    await queues.close();
  }
}

export async function enqueue(
  context: Context,
  queues: FarmQueues,
  dataset: Dataset,
  locations: AsyncIterable<Location>,
  follow: Follow = {},
): Promise<EnqueueDatasetResult> {
  const { signal, quiet } = context;
  const training = follow.train && completeTraining(follow.train);
  const progress = startProgress({ label: "enqueue", total: dataset.locations, unit: "locations", quiet });
  const result = await enqueueDataset({
    store: context.store(),
    dataset,
    locations,
    queues,
    follow: { ...follow, train: training },
    signal,
    progress: (stage, done) => {
      if (stage === "locations") progress.update(done);
    },
  });
  progress.update(dataset.locations);
  progress.finish(`${result.added + result.retried} of ${result.shards} shards queued`);
  return result;
}

/** A training with all its settings, also those that are the defaults here. @throws FarmError `usage` naming a field */
function completeTraining({ dataset, model, steps, ...settings }: Training): Training {
  return { dataset, model, steps, ...parseRecipe(`model ${model}`, settings) };
}

export interface WorkOptions {
  /** Default: shards, and finalizing. */
  queues?: readonly QueueName[];
  concurrency?: number;
  lockMs?: number | undefined;
  until: "empty" | "forever";
  dataset?: string | undefined;
  graceMs?: number | undefined;
}

/**
 * @param services the database is needed for shards alone
 * @param total tiles that there are to be rendered, where that is known
 */
export async function work(
  context: Context,
  { redisUrl, databaseUrl }: { redisUrl: string; databaseUrl: string | undefined },
  { queues = ["raster", "finalize"], concurrency, until, dataset, graceMs, lockMs }: WorkOptions,
  total?: number,
): Promise<WorkerSummary> {
  const { config, signal, quiet, log } = context;
  const profile = await context.profile();
  const consumers = [trainConsumer(context), embedConsumer(context)] as Consumer[];
  const progress = startProgress({ label: "render", total, unit: "tiles", quiet });
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

/** How long a job waits for whoever else trains its model, or embeds with it: longer than one that died is believed to live. */
const BUSY_MS = 180_000;

/**
 * Trainings as jobs of a queue: stopped, they keep what they reached and go back at once; when their time is over, they go
 * back behind the others.
 */
function trainConsumer(context: Context): Consumer<"train"> {
  return {
    queue: "train",
    handBack: "at once",
    async process({ store: _, dataset, model, steps, ...settings }, { signal, progress }) {
      const recipe = parseRecipe(`model ${model}`, settings);
      let heldoutAccuracy: number | undefined;
      const onStep = ({ step, loss, seconds }: HistoryEntry): void =>
        progress({ step, of: steps, loss, stepMs: 1000 * seconds, heldoutAccuracy }, step === steps);
      const onJudged = ({ heldout }: HistoryEntry): void => {
        heldoutAccuracy = heldout?.accuracy;
      };
      const given = { steps, ...recipe, busyMs: BUSY_MS };
      const { step, history, ended } = await trainModel({ ...context, signal }, dataset, model, given, {
        onStep,
        onJudged,
      }).catch((error: unknown) => {
        throw signal.aborted ? signal.reason : error;
      });
      return ended === "time" ? GO_ON_LATER : { step, loss: history.at(-1)?.loss };
    },
  };
}

function embedConsumer(context: Context): Consumer<"embed"> {
  return {
    queue: "embed",
    handBack: "at once",
    async process({ dataset, model, checkpoint }, { signal, progress }) {
      const onProgress = (locations: number, of: number): void =>
        progress({ locations, of }, locations === of);
      const given = { checkpoint, onProgress, busyMs: BUSY_MS };
      const { locations, prefix, step } = await embed({ ...context, signal }, dataset, model, given).catch(
        (error: unknown) => {
          throw signal.aborted ? signal.reason : error;
        },
      );
      return { locations, prefix, step };
    },
  };
}

/** What decides how a training goes, and when it ends. */
export type TrainSettings = Omit<
  TrainOptions,
  "store" | "dataset" | "model" | "signal" | "onStart" | "onStep" | "onJudged" | "onWait" | "onWarning"
>;

/** @param live whether a terminal may show it in several lines */
export async function trainModel(
  context: Context,
  dataset: string,
  model: string,
  settings: TrainSettings,
  {
    live = false,
    onStep = () => {},
    onJudged = () => {},
  }: {
    live?: boolean;
    onStep?: (entry: HistoryEntry) => void;
    onJudged?: (entry: HistoryEntry) => void;
  } = {},
): Promise<TrainResult> {
  const view = showTraining({ context, dataset, model, steps: settings.steps, live });
  const result = await train({
    store: context.store(),
    dataset,
    model,
    ...settings,
    signal: context.signal,
    onStart: view.start,
    onWait: view.wait,
    onWarning: (line) => context.log(`train: ${line}`),
    onStep: (entry) => {
      view.step(entry);
      onStep(entry);
    },
    onJudged: (entry) => {
      view.judged(entry);
      onJudged(entry);
    },
  }).finally(view.finish);
  if (result.emptyTiles > 0) {
    const { emptyTiles, skippedLocations } = result;
    context.log(
      settings.empty === "keep"
        ? `train: ${emptyTiles} tiles show nothing of the map, and are trained on`
        : `train: ${emptyTiles} tiles show nothing of the map; they and ${skippedLocations} locations are left out`,
    );
  }
  if (context.signal.aborted) {
    throw new FarmError(
      "interrupted",
      `model ${model}: stopped after step ${result.step}`,
      "run it again: it goes on from there",
    );
  }
  return result;
}

export async function embed(
  context: Context,
  dataset: string,
  model: string,
  {
    checkpoint,
    busyMs,
    onProgress = () => {},
  }: {
    checkpoint?: CheckpointChoice | undefined;
    busyMs?: number;
    onProgress?: (done: number, total: number) => void;
  } = {},
): Promise<EmbedResult> {
  const result = await embedDataset({
    store: context.store(),
    dataset,
    model,
    checkpoint,
    busyMs,
    signal: context.signal,
    progress: onProgress,
    onWarning: (line) => context.log(`embed: ${line}`),
  });
  context.log(
    `embed: ${result.locations} locations${result.kept > 0 ? ` (${result.kept} of them before)` : ""}, ${result.size}-D, by step ${result.step}, to ${result.prefix}`,
  );
  return result;
}

export async function report(
  context: Context,
  dataset: string,
  model: string | undefined,
  folder: string,
): Promise<{ index: string; pictures: string[] }> {
  return writeReport({
    store: context.store(),
    dataset,
    ...(model === undefined ? {} : { model }),
    profile: await context.profile(),
    folder,
    log: context.log,
  });
}
