import { writeReport } from "@loc2vec/atlas";
import {
  checkName,
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  FarmError,
  type Levels,
  type Location,
  OSM_ATTRIBUTION,
  startProgress,
  TILE_PIXELS,
  TILE_RADIUS_M,
} from "@loc2vec/core";
import type { Loss } from "@loc2vec/encoder";
import type { Profile } from "@loc2vec/gis";
import { type EnqueueDatasetResult, enqueueDataset } from "@loc2vec/producer";
import { openRasterQueue } from "@loc2vec/queue";
import { createRasterizer, rendererInfo } from "@loc2vec/rasterizer";
import type { Services } from "@loc2vec/services";
import { type BatchShape, type EmbedResult, embedDataset, type TrainResult, train } from "@loc2vec/trainer";
import { runWorker, type WorkerSummary } from "@loc2vec/worker";
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

export async function enqueue(
  context: Context,
  { redisUrl }: Pick<Services, "redisUrl">,
  dataset: Dataset,
  locations: AsyncIterable<Location>,
): Promise<EnqueueDatasetResult> {
  const { config, signal, quiet } = context;
  const queue = await openRasterQueue({ redisUrl, prefix: config.queuePrefix });
  const progress = startProgress({ label: "enqueue", total: dataset.locations, unit: "locations", quiet });
  try {
    const result = await enqueueDataset({
      store: context.store(),
      dataset,
      locations,
      queue,
      signal,
      progress: (stage, done) => {
        if (stage === "locations") progress.update(done);
      },
    });
    progress.update(dataset.locations);
    progress.finish(`${result.added + result.retried} of ${result.shards} shards queued`);
    return result;
  } finally {
    await queue.close();
  }
}

export interface WorkOptions {
  concurrency?: number;
  until: "empty" | "forever";
  dataset?: string | undefined;
  graceMs?: number | undefined;
}

export async function work(
  context: Context,
  { redisUrl, databaseUrl }: Pick<Services, "redisUrl" | "databaseUrl">,
  { concurrency, until, dataset, graceMs }: WorkOptions,
  total = 0,
): Promise<WorkerSummary> {
  const { config, signal, quiet, log } = context;
  const profile = await context.profile();
  const progress = startProgress({ label: "render", total, unit: "tiles", quiet });
  let done = 0;
  const summary = await runWorker({
    redisUrl,
    prefix: config.queuePrefix,
    store: context.store(),
    rasterizer: () =>
      createRasterizer({ databaseUrl, profile, kind: config.renderer, outside: config.outside }),
    concurrency: concurrency ?? config.workers,
    signal,
    until,
    ...(dataset === undefined ? {} : { dataset }),
    ...(graceMs === undefined ? {} : { graceMs }),
    onShard: (_, { tiles }) => {
      done += tiles;
      progress.update(done);
    },
    onFailure: (id, reason, final) => log(`${id}: ${reason}${final ? "" : " (will be tried again)"}`),
    onTrouble: (reason) => log(`Redis: ${reason}`),
  });
  progress.update(done);
  progress.finish();
  if (summary.empty > 0) log(`render: ${summary.empty} of ${summary.tiles} tiles show nothing of the map`);
  return summary;
}

export interface TrainSettings {
  steps: number;
  seed: number;
  batch?: BatchShape;
  loss?: Loss;
  learningRate?: number | undefined;
  checkpointEvery?: number | undefined;
  empty?: "skip" | "keep";
}

export async function trainModel(
  context: Context,
  dataset: string,
  model: string,
  { learningRate, checkpointEvery, ...settings }: TrainSettings,
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
    signal: context.signal,
    onStep: ({ step, loss, accuracy }) =>
      progress.update(step, `loss ${loss.toFixed(4)}, ${Math.round(100 * accuracy)}% of triplets right`),
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

export async function embed(context: Context, dataset: string, model: string): Promise<EmbedResult> {
  const progress = startProgress({ label: "embed", total: 0, unit: "locations", quiet: true });
  const result = await embedDataset({
    store: context.store(),
    dataset,
    model,
    signal: context.signal,
    progress: (done) => progress.update(done),
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
