import {
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  OSM_ATTRIBUTION,
  randomOf,
} from "@loc2vec/core";
import { createDataset, type ObjectStore, openDataset, writeArray, writeGroup } from "@loc2vec/shards";

/** Numbers of a vector here. */
export const SIZE = 16;
/** Labels with all that a format may trip over; every fifth location has one of them. */
export const LABELS = ['a "quoted", comma', "two\nlines", "a\ttab", "Mäkelänkatu 5 – ☕", "=1+1", " spaced "];

const described = (name: string, locations: number): Dataset => ({
  version: DATASET_VERSION,
  ...{ name, locations, seed: 1, samples: 1, shardLocations: 64 },
  ...{ channels: ["x"], pixels: 8, radius: 100, augmentation: DEFAULT_AUGMENTATION },
  source: {
    map: { name: "city.osm.pbf", sha256: "2".repeat(64), importHash: "3".repeat(64) },
    renderer: "test 1",
    styleHash: "1".repeat(64),
  },
  attribution: OSM_ATTRIBUTION,
});

export const labelOf = (location: number): string | undefined =>
  location % 5 === 0 ? LABELS[(location / 5) % LABELS.length] : undefined;

/** Writes a data set without tiles, and vectors as a model `m` would have made them: of all sizes a float32 can have. */
export async function writeEmbedded(
  store: ObjectStore,
  name: string,
  locations: number,
  { labelled = true, step = 7 } = {},
): Promise<void> {
  const random = randomOf(3);
  const rows = Array.from({ length: locations }, (_, i) => ({
    ...{ lon: 24.9 + random.normal() / 10, lat: 60.1 + random.normal() / 10 },
    kind: i % 3 === 0 ? ("transport" as const) : ("visit" as const),
    ...(labelled && labelOf(i) !== undefined ? { label: labelOf(i) as string } : {}),
  }));
  await createDataset(store, described(name, locations), rows);
  const prefix = `models/m/embeddings/${name}`;
  await writeArray(store, `${prefix}/embedding`, {
    ...{ shape: [locations, SIZE], dtype: "float32", dimensionNames: ["location", "feature"] },
    data: Float32Array.from({ length: locations * SIZE }, () => random.normal() * 10 ** random.int(12)),
  });
  const { identity } = await openDataset(store, name);
  await writeGroup(store, prefix, {
    ...{ dataset: name, dataset_identity: identity, model: "m", step, weights_sha256: "4".repeat(64) },
    attribution: OSM_ATTRIBUTION,
  });
}
