import {
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  OSM_ATTRIBUTION,
  randomOf,
  shardCount,
  shardRange,
} from "@loc2vec/core";
import { createDataset, type ObjectStore, writeShard } from "@loc2vec/shards";

/** Small tiles, so that a training takes milliseconds a step. */
export const STRIPES: Dataset = {
  version: DATASET_VERSION,
  name: "stripes",
  seed: 1,
  locations: 24,
  samples: 5,
  shardLocations: 4,
  channels: ["x", "y", "noise"],
  pixels: 32,
  radius: 100,
  augmentation: DEFAULT_AUGMENTATION,
  source: {
    map: { name: "stripes.osm.pbf", sha256: "2".repeat(64), importHash: "3".repeat(64) },
    renderer: "test 1",
    styleHash: "1".repeat(64),
  },
  attribution: OSM_ATTRIBUTION,
};

/** A small network for them, in JSON. */
export const NETWORK = '{"pooled":[8,8],"pointwise":[8],"dense":8,"embedding":8}';

/** Stripes whose direction and width tell the location apart, shifted at random. */
function tile(location: number, sample: number): Uint8Array {
  const random = randomOf(7, location, sample);
  const phase = random.int(32);
  return Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => {
    const [c, y, x] = [Math.floor(i / 1024), Math.floor(i / 32) % 32, i % 32];
    if (c === 2) return random.int(40);
    return ((location % 2 === c ? x : y) + phase) % (3 + location) < 2 ? 255 : 0;
  });
}

/** Where locations lie that nobody asks for: a kilometre apart. */
const along = (location: number): { lon: number; lat: number; label?: string } => ({
  lon: location / 100,
  lat: 0,
});

/** Writes such a data set, rendered. */
export async function writeStripes(
  store: ObjectStore,
  dataset: Dataset = STRIPES,
  { place = along, draw = tile }: { place?: typeof along; draw?: typeof tile } = {},
): Promise<void> {
  const locations = Array.from({ length: dataset.locations }, (_, i) => ({
    ...place(i),
    kind: "visit" as const,
  }));
  await createDataset(store, dataset, locations);
  for (let shard = 0; shard < shardCount(dataset); shard++) {
    const { first, end } = shardRange(dataset, shard);
    const tiles = Array.from({ length: (end - first) * dataset.samples }, (_, i) =>
      draw(first + Math.floor(i / dataset.samples), i % dataset.samples),
    );
    await writeShard(store, dataset, shard, tiles);
  }
}
