import { writeReport } from "@loc2vec/atlas";
import {
  checkName,
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  FarmError,
  type Holdout,
  type Levels,
  type Location,
  OSM_ATTRIBUTION,
  type QueueName,
  startProgress,
  TILE_PIXELS,
  TILE_RADIUS_M,
} from "@loc2vec/core";
import type { Loss } from "@loc2vec/encoder";
import type { Profile } from "@loc2vec/gis";
import { type EnqueueDatasetResult, enqueueDataset } from "@loc2vec/producer";
import { type FarmQueues, type Follow, openQueues } from "@loc2vec/queue";
import { createRasterizer, rendererInfo } from "@loc2vec/rasterizer";
import type { Services } from "@loc2vec/services";
import {
  type BatchShape,
  type EmbedResult,
  embedDataset,
  type HistoryEntry,
  type TrainResult,
  train,
} from "@loc2vec/trainer";
import { type Consumer, runWorker, type WorkerSummary } from "@loc2vec/worker";
import type { Context } from "./context.ts";

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

/** The description of a data set of so many locations, drawn with the profile. */
export function describeDataset(
  { config }: Pick<Context, "config">,
  profile: Profile,
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
    ...rendererInfo(profile, { kind: config.renderer }),
    attribution: OSM_ATTRIBUTION,
  };
}

/** Runs `work` with the queues, and closes them whatever happens. */
export async function withQueues<T>(
  { config }: Context,
  { redisUrl }: Pick<Services, "redisUrl">,
  work: (queues: FarmQueues) => Promise<T>,
): Promise<T> {
  const queues = await openQueues({ redisUrl, prefix: config.queuePrefix });
  try {
    return await work(queues);
  } finally {
    await queues.close();
  }
}

export async function enqueue(
  context: Context,
  services: Pick<Services, "redisUrl">,
  dataset: Dataset,
  locations: AsyncIterable<Location>,
  follow: Follow = {},
): Promise<EnqueueDatasetResult> {
  const { signal, quiet } = context;
  const progress = startProgress({ label: "enqueue", total: dataset.locations, unit: "locations", quiet });
  return withQueues(context, services, async (queues) => {
    const result = await enqueueDataset({
      store: context.store(),
      dataset,
      locations,
      queues,
      follow,
      signal,
      progress: (stage, done) => {
        if (stage === "locations") progress.update(done);
      },
    });
    progress.update(dataset.locations);
    progress.finish(`${result.added + result.retried} of ${result.shards} shards queued`);
    return result;
  });
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

/** @param services the database is needed for shards alone */
export async function work(
  context: Context,
  { redisUrl, databaseUrl }: { redisUrl: string; databaseUrl: string | undefined },
  { queues = ["raster", "finalize"], concurrency, until, dataset, graceMs, lockMs }: WorkOptions,
  total = 0,
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
    onTrouble: (reason) => log(`Redis: ${reason}`),
  });
  progress.update(done);
  progress.finish();
  if (summary.quarantined > 0)
    log(`render: ${summary.quarantined} locations set aside; farm status lists them`);
  if (summary.empty > 0) log(`render: ${summary.empty} of ${summary.tiles} tiles show nothing of the map`);
  return summary;
}

/** Trainings as jobs of a queue: stopped, they keep what they reached and go back at once. */
function trainConsumer(context: Context): Consumer<"train"> {
  return {
    queue: "train",
    handBack: "at once",
    async process({ dataset, model, minDistanceM, holdout, ...rest }, { signal, progress }) {
      const settings = { ...rest, minDistanceM, ...(holdout && { holdout }) };
      const onStep = ({ step, loss, seconds }: HistoryEntry): void =>
        progress({ step, of: settings.steps, loss, stepMs: 1000 * seconds }, step === settings.steps);
      const { step, history } = await trainModel(
        { ...context, signal },
        dataset,
        model,
        settings,
        onStep,
      ).catch((error: unknown) => {
        throw signal.aborted ? signal.reason : error;
      });
      return { step, loss: history.at(-1)?.loss };
    },
  };
}

function embedConsumer(context: Context): Consumer<"embed"> {
  return {
    queue: "embed",
    handBack: "at once",
    async process({ dataset, model }, { signal, progress }) {
      const onProgress = (locations: number, of: number): void =>
        progress({ locations, of }, locations === of);
      const { locations, prefix } = await embed({ ...context, signal }, dataset, model, onProgress).catch(
        (error: unknown) => {
          throw signal.aborted ? signal.reason : error;
        },
      );
      return { locations, prefix };
    },
  };
}

export interface TrainSettings {
  steps: number;
  seed: number;
  batch?: BatchShape;
  loss?: Loss;
  learningRate?: number | undefined;
  checkpointEvery?: number | undefined;
  empty?: "skip" | "keep";
  early?: boolean;
  minDistanceM?: number | undefined;
  holdout?: Holdout;
  warmup?: number;
  halveEvery?: number;
  patience?: number;
  maxSeconds?: number;
}

export async function trainModel(
  context: Context,
  dataset: string,
  model: string,
  { learningRate, checkpointEvery, minDistanceM, ...settings }: TrainSettings,
  onStep: (entry: HistoryEntry) => void = () => {},
): Promise<TrainResult> {
  const progress = startProgress({
    label: "train",
    total: settings.steps,
    unit: "steps",
    quiet: context.quiet,
  });
  const result = await train({
    store: context.store(),
    dataset,
    model,
    ...settings,
    ...(learningRate === undefined ? {} : { learningRate }),
    ...(checkpointEvery === undefined ? {} : { checkpointEvery }),
    ...(minDistanceM === undefined ? {} : { minDistanceM }),
    signal: context.signal,
    onWait: (waiting) => context.log(waiting ? "train: waiting for shards" : "train: going on"),
    onStep: (entry) => {
      const { step, loss, accuracy } = entry;
      progress.update(step, `loss ${loss.toFixed(4)}, ${Math.round(100 * accuracy)}% of triplets right`);
      onStep(entry);
    },
  });
  progress.update(result.step);
  progress.finish();
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
  onProgress: (done: number, total: number) => void = () => {},
): Promise<EmbedResult> {
  const result = await embedDataset({
    store: context.store(),
    dataset,
    model,
    signal: context.signal,
    progress: onProgress,
  });
  context.log(`embed: ${result.locations} locations, ${result.size}-D, to ${result.prefix}`);
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
