import { resolve } from "node:path";
import { loadProfile } from "@loc2vec/gis";
import { expect, test } from "vitest";
import { describeDataset } from "../src/dataset.ts";

const SOURCE = {
  map: { name: "town.osm.pbf", sha256: "a".repeat(64), importHash: "b" },
  styleHash: "c",
  renderer: "d",
};
const NEW = { name: "town", seed: 5, positives: 20, shardLocations: 64 };

test("a data set is described by what is chosen, and by the profile and the source", async () => {
  const profile = await loadProfile(resolve(import.meta.dirname, "../../../styles/loc2vec.yaml"));
  const dataset = describeDataset(profile, SOURCE, 1_500_000, NEW);
  expect(dataset).toMatchObject({
    ...{ name: "town", seed: 5, locations: 1_500_000, samples: 21, shardLocations: 64 },
    ...{ pixels: 128, radius: 100, levels: 16, source: SOURCE },
  });
  expect(dataset.channels).toHaveLength(12);
  expect(dataset.channels[0]).toBe(profile.channels[0]?.name);
  const shifted = describeDataset(profile, SOURCE, 1, { ...NEW, maxOffset: 0, levels: 256 });
  expect(shifted).toMatchObject({ levels: 256, augmentation: { ...dataset.augmentation, maxOffset: 0 } });
  expect(dataset.augmentation.maxOffset).toBeGreaterThan(0);
});

test("a name that cannot be one is refused", async () => {
  const profile = await loadProfile(resolve(import.meta.dirname, "../../../styles/loc2vec.yaml"));
  expect(() => describeDataset(profile, SOURCE, 1, { ...NEW, name: "../town" })).toThrow(
    /data set .*not a valid name/,
  );
});
