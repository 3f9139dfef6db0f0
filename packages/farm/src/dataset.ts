import {
  checkName,
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  type Levels,
  type Location,
  OSM_ATTRIBUTION,
  TILE_PIXELS,
  TILE_RADIUS_M,
  type TileSource,
  type Training,
} from "@loc2vec/core";
import { type ImportInfo, type Profile, requireImport } from "@loc2vec/gis";
import { type EnqueueDatasetResult, enqueueDataset } from "@loc2vec/producer";
import type { FarmQueues, Follow } from "@loc2vec/queue";
import { sourceOf } from "@loc2vec/rasterizer";
import { parseRecipe } from "@loc2vec/trainer";
import type { FarmContext } from "./context.ts";

/** What tiles would be drawn from now. */
export interface CurrentSource {
  map: ImportInfo;
  /** Map, cartography and renderer. */
  source: TileSource;
}

/**
 * What tiles would be drawn from now: the map in the database, by the profile, with the renderer of the settings.
 *
 * @throws FarmError `input` when no map is imported, or one by other rules; `service`
 */
export async function currentSource(
  { config }: Pick<FarmContext, "config">,
  databaseUrl: string,
  profile: Profile,
): Promise<CurrentSource> {
  const map = await requireImport(databaseUrl, profile);
  return { map, source: sourceOf(map, profile, { kind: config.renderer }) };
}

/** What is chosen of a new data set; the rest is the profile's and the source's. */
export interface NewDataset {
  name: string;
  seed: number;
  /** Positives per location. */
  positives: number;
  shardLocations: number;
  /** Largest shift of a positive, metres in each axis. */
  maxOffset?: number;
  levels?: Levels;
}

/**
 * The description of a data set of so many locations, with channels of the profile, drawn from a source.
 *
 * @throws FarmError `usage` where the name is none
 */
export function describeDataset(
  profile: Profile,
  source: TileSource,
  locations: number,
  { name, seed, positives, shardLocations, maxOffset, levels = 16 }: NewDataset,
): Dataset {
  return {
    version: DATASET_VERSION,
    name: checkName("data set", name),
    seed,
    locations,
    samples: positives + 1,
    shardLocations,
    channels: profile.channels.map((channel) => channel.name),
    pixels: TILE_PIXELS,
    radius: TILE_RADIUS_M,
    levels,
    augmentation: { ...DEFAULT_AUGMENTATION, ...(maxOffset === undefined ? {} : { maxOffset }) },
    source,
    attribution: OSM_ATTRIBUTION,
  };
}

/** Writes a data set's description and locations, and queues its shards and what is to follow. */
export async function enqueue(
  context: FarmContext,
  queues: FarmQueues,
  dataset: Dataset,
  locations: AsyncIterable<Location>,
  follow: Follow = {},
): Promise<EnqueueDatasetResult> {
  const training = follow.train && completeTraining(follow.train);
  const progress = context.progress({ label: "enqueue", total: dataset.locations, unit: "locations" });
  const result = await enqueueDataset({
    store: context.store(),
    dataset,
    locations,
    queues,
    follow: { ...follow, train: training },
    signal: context.signal,
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
