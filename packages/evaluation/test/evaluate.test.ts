import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Dataset, distanceM, partOf, randomOf } from "@loc2vec/core";
import { createDataset, type ObjectStore, openStore } from "@loc2vec/shards";
import { train } from "@loc2vec/trainer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { evaluate } from "../src/index.ts";

const HOLDOUT = { share: 0.4, cellM: 1000, borderM: 50 };
const DATASET: Dataset = {
  ...STRIPES,
  locations: 240,
  samples: 4,
  shardLocations: 40,
  channels: ["x", "y", "told"],
};
const PLACES = Array.from({ length: 240 }, (_, i) => ({
  lon: 10 + 0.01 * (i % 16),
  lat: 50 + 0.01 * Math.floor(i / 16),
}));
const place = (location: number) => PLACES[location] as (typeof PLACES)[number];
/** Four kinds of place: the direction of stripes, and how dense they are. */
const kindOf = (location: number): number => randomOf(3, location).int(4);

/** Stripes, shifted at random; the third channel spells the kind out. */
function tile(location: number, sample: number): Uint8Array {
  const random = randomOf(7, location, sample);
  const [phase, kind] = [random.int(32), kindOf(location)];
  const width = 4 + 5 * (kind >> 1) + (location % 3);
  return Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => {
    const [c, y, x] = [Math.floor(i / 1024), Math.floor(i / 32) % 32, i % 32];
    if (c === 2) return kind * 60;
    return c === kind % 2 && ((c === 0 ? x : y) + phase) % width < 2 ? 255 : random.int(30);
  });
}

let folder: string;
let store: ObjectStore;
const settings = {
  dataset: "stripes",
  seed: 3,
  batch: { locations: 8, pairs: 3 },
  minDistanceM: 0,
  holdout: HOLDOUT,
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "evaluation-"));
  store = openStore(pathToFileURL(folder).href);
  await writeStripes(store, DATASET, { place, draw: tile });
  await train({ store, model: "softpn", steps: 60, ...settings });
  await train({ store, model: "ratio", steps: 30, loss: "ratio", ...settings });
  await train({ store, model: "whole", steps: 1, ...settings, holdout: { ...HOLDOUT, share: 0 } });
  await train({ store, model: "other", steps: 1, ...settings, holdout: { ...HOLDOUT, cellM: 500 } });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("all are measured on the same images of places that were held out", async () => {
  const asked: number[] = [];
  const given = {
    store,
    dataset: "stripes",
    models: ["softpn", "ratio"],
    positives: 3,
    labels: {
      meaning: "kind",
      of: async (places: readonly unknown[]) => {
        asked.push(places.length);
        return places.map((_, i) => (i % 5 === 0 ? undefined : `kind ${kindOf(i)}`));
      },
      masked: [2],
    },
  };
  const found = await evaluate(given);
  const heldout = PLACES.filter((place) => partOf(1, place, HOLDOUT) === "heldout").length;
  expect(found.locations).toMatchObject({ heldout, evaluated: heldout });
  expect(found.locations.train).toBe(PLACES.filter((place) => partOf(1, place, HOLDOUT) === "train").length);
  expect(found.results.map(({ kind, name }) => (kind === "model" ? name : kind))).toEqual([
    "softpn",
    "ratio",
    "untrained",
    "baseline",
    "baseline",
    "baseline",
    "baseline",
  ]);
  const [softpn, ratio, untrained] = found.results;
  expect(softpn).toMatchObject({ size: 16, step: 60, loss: "softpn" });
  expect(ratio).toMatchObject({ size: 16, step: 30, loss: "ratio" });
  expect(softpn?.triplet_accuracy).toBeGreaterThan(untrained?.triplet_accuracy as number);
  expect(softpn?.recall_at_10).toBeGreaterThan(softpn?.recall_at_1 as number);
  for (const result of found.results) {
    expect(result.effective_rank).toBeGreaterThanOrEqual(1);
    expect(result.effective_rank).toBeLessThanOrEqual(result.size + 1e-6);
    // With the channel that tells switched off, stripes still tell; 100 of them more than 10.
    expect(Object.keys(result.probe ?? {})[0]).toBe("10");
  }
  expect(softpn?.probe?.["100"]?.accuracy).toBeGreaterThan(0.6);
  expect(softpn?.probe?.["100"]?.accuracy).toBeGreaterThan(softpn?.probe?.["10"]?.accuracy as number);
  expect(found.labels).toMatchObject({ masked: ["told"] });
  expect(asked).toEqual([240]);
  // 700 m apart or more, no shift leads nearer to another one.
  expect(found.ground).toEqual({ recall_at_1: 1, recall_at_10: 1 });
  expect(found.bars.map(({ value, least, met }) => met === value >= least)).toEqual([
    true,
    true,
    true,
    true,
    true,
  ]);
  expect(found.curves.map(({ model, loss, points }) => [model, loss, points.at(-1)?.step])).toEqual([
    ["softpn", "softpn", 60],
    ["ratio", "ratio", 30],
  ]);
  // Judged once, at the end: both were trained for fewer steps than lie between two checkpoints.
  expect(found.curves.map(({ heldout }) => heldout.map(({ step }) => step))).toEqual([[60], [30]]);
  for (const { a, b } of found.lookalikes)
    for (const i of [a, b]) expect(partOf(1, PLACES[i] as (typeof PLACES)[number], HOLDOUT)).toBe("heldout");
  expect(await evaluate(given)).toEqual(found);
});

test("nothing held out, other places held out, another data set: an error, not a number", async () => {
  const given = { store, dataset: "stripes" };
  await expect(evaluate({ ...given, models: ["whole"] })).rejects.toThrowError(/nothing it has not seen/);
  await expect(evaluate({ ...given, models: ["softpn", "other"] })).rejects.toThrowError(
    /held out other places/,
  );
  await expect(evaluate({ ...given, models: ["none"] })).rejects.toThrowError(/there is no model none/);
  await createDataset(
    store,
    { ...DATASET, name: "dots" },
    PLACES.map((place) => ({ ...place, kind: "visit" as const })),
  );
  await expect(evaluate({ ...given, dataset: "dots", models: ["softpn"] })).rejects.toThrowError(
    /0 locations of data set dots can be used, and \d+ of data set stripes/,
  );
  const redrawn = { ...DATASET, name: "redrawn", source: { ...DATASET.source, styleHash: "9".repeat(64) } };
  await writeStripes(store, redrawn, { place, draw: tile });
  await expect(evaluate({ ...given, dataset: "redrawn", models: ["softpn"] })).rejects.toThrowError(
    /another cartography \(1111.*than data set redrawn has \(9999/,
  );
});

test("another city is judged as a whole, when it does not overlap what was trained on", async () => {
  const north = (i: number) => ({ lon: place(i).lon, lat: place(i).lat + 1 });
  await writeStripes(store, { ...DATASET, name: "north" }, { place: north, draw: tile });
  const labels = {
    meaning: "kind",
    of: async (places: readonly unknown[]) => places.map((_, i) => `kind ${kindOf(i)}`),
    masked: [2],
  };
  const given = { store, dataset: "north", positives: 3, labels };
  const found = await evaluate({ ...given, models: ["softpn"] });
  // The southernmost row of the other lies a degree north of the first row, less the rows between.
  const trained = PLACES.filter((each) => partOf(1, each, HOLDOUT) === "train");
  const nearest = Math.min(...trained.map((a) => Math.min(...PLACES.map((_, i) => distanceM(a, north(i))))));
  expect(found.geography).toEqual({
    kind: "elsewhere",
    trained_on: "stripes",
    nearest_trained_m: nearest,
    overlaps: false,
  });
  expect(found.locations).toEqual({ train: trained.length, heldout: 240, evaluated: 240 });
  expect(found.results[0]?.triplet_accuracy).toBeGreaterThan(found.results[1]?.triplet_accuracy as number);
  expect(found.results[0]?.probe?.["100"]?.accuracy).toBeGreaterThan(0.5);
  // One that was trained on the whole of its own map may be judged elsewhere.
  expect((await evaluate({ ...given, models: ["whole"] })).locations.heldout).toBe(240);

  const close = (i: number) => ({ lon: place(i).lon, lat: place(i).lat + 0.002 });
  await writeStripes(store, { ...DATASET, name: "close" }, { place: close, draw: tile });
  await expect(evaluate({ ...given, dataset: "close", models: ["softpn"] })).rejects.toThrowError(
    /close overlaps data set stripes.*lie 222 m from one another, and their tiles reach 509 m/,
  );
});

test("a data set that was made anew under its old name is not the one that was trained on", async () => {
  const elsewhere = openStore(pathToFileURL(await mkdtemp(join(tmpdir(), "evaluation-anew-"))).href);
  try {
    await writeStripes(elsewhere, DATASET, { place, draw: tile });
    await train({ store: elsewhere, model: "old", steps: 1, ...settings });
    for (const [changes, shift] of [
      [{ seed: 2 }, 0],
      [{}, 0.5],
      [{ source: { ...DATASET.source, map: { ...DATASET.source.map, sha256: "8".repeat(64) } } }, 0],
    ] as const) {
      for await (const key of elsewhere.list("datasets/")) await elsewhere.remove(key);
      const moved = (i: number) => ({ lon: place(i).lon + shift, lat: place(i).lat });
      await writeStripes(elsewhere, { ...DATASET, ...changes }, { place: moved, draw: tile });
      const given = { store: elsewhere, dataset: "stripes", models: ["old"] };
      await expect(evaluate(given)).rejects.toThrowError(
        /old was trained on data set stripes \(seed 1, .*; what has that name now is data set stripes \(seed/,
      );
      await expect(train({ store: elsewhere, model: "old", steps: 2, ...settings })).rejects.toThrowError(
        /old .* was trained with data set stripes \(seed 1, .*, not data set stripes/,
      );
    }
  } finally {
    await rm(new URL(elsewhere.url), { recursive: true });
  }
});
