import { z } from "zod";
import { tileSourceSchema } from "./source.ts";
import { LOCATION_KINDS, type TileTransform, tileTransform } from "./tile.ts";

/** Version of the `loc2vec` attributes of a data set's Zarr group. */
export const DATASET_VERSION = 2;

export const datasetSchema = z.object({
  version: z.literal(DATASET_VERSION),
  name: z.string(),
  /** Every augmentation comes from (seed, location index, sample index). */
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** Number of locations. */
  locations: z.int().min(1),
  /** Tiles per location: the anchor, then the positives. */
  samples: z.int().min(1),
  /** Locations per shard: one shard object, one job. */
  shardLocations: z.int().min(1),
  /** Channel names, in the order of the tiles' last axis. */
  channels: z.array(z.string()).min(1),
  /** Tile side, pixels. */
  pixels: z.int().min(1),
  /** Half the tile's side on the ground, metres. */
  radius: z.number().positive(),
  /** Levels that a channel's intensities 0–255 are rounded to: 16 (multiples of 17) takes half the space. Absent: 256. */
  levels: z.union([z.literal(16), z.literal(256)]).optional(),
  augmentation: z.object({ maxOffset: z.number().min(0), rotate: z.boolean() }),
  /** What its tiles are drawn from. */
  source: tileSourceSchema,
  /** Attribution that the map's licence asks for. */
  attribution: z.string(),
});

/** Everything that a worker, a trainer or a reader must know of a data set. Stored as the group's `loc2vec` attributes. */
export type Dataset = z.infer<typeof datasetSchema>;

export const OSM_ATTRIBUTION = "© OpenStreetMap contributors, ODbL 1.0, openstreetmap.org/copyright";

export function shardCount(dataset: Pick<Dataset, "locations" | "shardLocations">): number {
  return Math.ceil(dataset.locations / dataset.shardLocations);
}

/** The locations [first, end) of a shard. */
export function shardRange(
  dataset: Pick<Dataset, "locations" | "shardLocations">,
  shard: number,
): { first: number; end: number } {
  const first = shard * dataset.shardLocations;
  return { first, end: Math.min(first + dataset.shardLocations, dataset.locations) };
}

/** The shard that a location is in. */
export function shardOf({ shardLocations }: Pick<Dataset, "shardLocations">, location: number): number {
  return Math.floor(location / shardLocations);
}

/** The transforms of all samples of a location, anchor first. */
export function locationTransforms(
  dataset: Pick<Dataset, "seed" | "samples" | "augmentation">,
  location: number,
): TileTransform[] {
  return Array.from({ length: dataset.samples }, (_, sample) =>
    tileTransform(dataset.seed, location, sample, dataset.augmentation),
  );
}

export function kindCode(kind: (typeof LOCATION_KINDS)[number]): number {
  return LOCATION_KINDS.indexOf(kind);
}
