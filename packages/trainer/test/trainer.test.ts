import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import {
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  OSM_ATTRIBUTION,
  randomOf,
} from "@loc2vec/core";
import { createDataset, type ObjectStore, openStore, readArray, shardKey, writeShard } from "@loc2vec/shards";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type BatchPlan,
  embedDataset,
  isPlateau,
  listCheckpoints,
  planBatches,
  rateAt,
  readBest,
  readCheckpoint,
  train,
} from "../src/index.ts";

/** Small tiles: the network halves them five times. */
const DATASET: Dataset = {
  version: DATASET_VERSION,
  name: "stripes",
  seed: 1,
  locations: 22,
  samples: 5,
  shardLocations: 4,
  channels: ["x", "y", "noise"],
  pixels: 32,
  radius: 100,
  augmentation: DEFAULT_AUGMENTATION,
  renderer: "test 1",
  styleHash: "1".repeat(64),
  attribution: OSM_ATTRIBUTION,
};

let folder: string;
let store: ObjectStore;

/** Stripes whose direction and width tell the location apart, shifted at random. */
function tile(location: number, sample: number): Uint8Array {
  const random = randomOf(7, location, sample);
  const phase = random.int(32);
  return Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => {
    const [c, y, x] = [Math.floor(i / 1024), Math.floor(i / 32) % 32, i % 32];
    if (c === 2) return random.int(40);
    const along = location % 2 === c ? x : y;
    return (along + phase) % (3 + location) < 2 ? 255 : 0;
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "trainer-"));
  store = openStore(pathToFileURL(folder).href);
  const locations = Array.from({ length: 22 }, (_, i) => ({ lon: i / 100, lat: 0, kind: "visit" as const }));
  await createDataset(store, DATASET, locations);
  for (let shard = 0; shard < 6; shard++) {
    const tiles: Uint8Array[] = [];
    for (let location = 4 * shard; location < Math.min(22, 4 * shard + 4); location++) {
      for (let sample = 0; sample < 5; sample++) tiles.push(tile(location, sample));
    }
    await writeShard(store, DATASET, shard, tiles);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const SHARDS = [0, 1, 2, 3, 4, 5];
const SHAPE = { locations: 6, pairs: 3 };
const take = async (count: number, first = 1, seed = 5): Promise<BatchPlan[]> => {
  const plans = planBatches(DATASET, SHARDS, SHAPE, seed, { first });
  const taken: BatchPlan[] = [];
  for (let i = 0; i < count; i++) taken.push((await plans.next()).value);
  return taken;
};

describe("mini-batches", () => {
  test("a plan depends on seed and step alone", async () => {
    expect(await take(9, 4)).toEqual((await take(12)).slice(3));
    expect(await take(3)).not.toEqual(await take(3, 1, 6));
  });

  test("each image once; positives of their anchor's place, negatives of another's", async () => {
    for (const { rows, triplets, channelsOn } of await take(30)) {
      expect(rows).toHaveLength(24);
      expect(new Set(rows.map(({ location, sample }) => `${location} ${sample}`)).size).toBe(24);
      expect(new Set(rows.map(({ location }) => location)).size).toBe(6);
      expect(triplets).toHaveLength(18);
      for (const { anchor, positive, negative } of triplets) {
        expect(rows[anchor]?.sample).toBe(0);
        expect(rows[positive]?.sample).not.toBe(0);
        expect(rows[positive]?.location).toBe(rows[anchor]?.location);
        expect(rows[negative]?.location).not.toBe(rows[anchor]?.location);
      }
      for (const [row, { sample }] of rows.entries()) {
        const on = channelsOn.slice(3 * row, 3 * row + 3).reduce((sum, value) => sum + value, 0);
        if (sample === 0) expect(on).toBe(3);
        expect(on).toBeGreaterThan(0);
      }
    }
    const dropped = (await take(30))
      .flatMap(({ channelsOn }) => [...channelsOn])
      .filter((on) => on === 0).length;
    expect(dropped / (30 * 24 * 3)).toBeGreaterThan(0.05);
    expect(dropped / (30 * 24 * 3)).toBeLessThan(0.2);
  });

  test("tiles without a drawn pixel are never chosen, nor locations whose anchor is one", async () => {
    const empty = new Map([
      [1, new Set([0])],
      [2, new Set([3])],
      [3, new Set([1, 2, 3])],
    ]);
    const plans = planBatches(DATASET, SHARDS, { locations: 5, pairs: 2 }, 4, { look: async () => empty });
    const seen = new Set<number>();
    for (let step = 0; step < 40; step++) {
      for (const { location, sample } of (await plans.next()).value.rows) {
        seen.add(location);
        expect(empty.get(location)?.has(sample) ?? false, `location ${location}, sample ${sample}`).toBe(
          false,
        );
      }
    }
    // Location 3 has but one positive left.
    expect([...seen].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 22 }, (_, i) => i).filter((i) => i !== 1 && i !== 3),
    );
  });

  test("an epoch visits every location once", async () => {
    const counts = new Map<number, number>();
    // 11 × 6 = 66 = three epochs of 22.
    for (const { rows } of await take(11))
      for (const { location, sample } of rows)
        if (sample === 0) counts.set(location, (counts.get(location) ?? 0) + 1);
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, i) => i));
    for (const count of counts.values()) expect(Math.abs(count - 3)).toBeLessThanOrEqual(1);
  });

  test("too few locations or positives is an error", async () => {
    const look = async () => new Map([[0, new Set([0])]]);
    const first = (shards: number[], shape: typeof SHAPE, options = {}) =>
      planBatches(DATASET, shards, shape, 0, options).next();
    await expect(first([0], { locations: 4, pairs: 2 }, { look })).rejects.toThrowError(
      /3 rendered locations are too few/,
    );
    await expect(first([5], SHAPE)).rejects.toThrowError(/2 rendered locations are too few/);
    await expect(first(SHARDS, { locations: 6, pairs: 5 })).rejects.toThrowError(
      /4 positives per location do not suffice/,
    );
    await expect(first(SHARDS, { locations: 1, pairs: 2 })).rejects.toThrowError(/no negatives/);
  });

  test("locations that lie near one another are never in one mini-batch, nor any that is held out", async () => {
    const apart = (a: number, b: number): boolean => Math.abs(a - b) >= 3;
    const eligible = (location: number): boolean => location !== 10;
    const plans = planBatches(DATASET, SHARDS, { locations: 5, pairs: 2 }, 5, { apart, eligible });
    const seen = new Set<number>();
    for (let step = 0; step < 60; step++) {
      const { rows } = (await plans.next()).value;
      const locations = [...new Set(rows.map(({ location }) => location))].sort((a, b) => a - b);
      expect(locations).toHaveLength(5);
      for (let i = 1; i < 5; i++) {
        expect((locations[i] as number) - (locations[i - 1] as number)).toBeGreaterThanOrEqual(3);
      }
      for (const location of locations) seen.add(location);
    }
    expect(seen.size).toBe(21);
    expect(seen.has(10)).toBe(false);
    const never = planBatches(DATASET, SHARDS, SHAPE, 5, { apart: () => false }).next();
    await expect(never).rejects.toThrowError(/far enough from one another/);
  });

  test("early, the first epoch takes the shards as they are rendered, and waits for each; the next are shuffled", async () => {
    const asked: number[][] = [];
    const many = { ...DATASET, locations: 4 * 40, shardLocations: 4 };
    const shards = [...Array(40).keys()];
    const look = async (few: readonly number[]) => {
      asked.push([...few]);
      return new Map();
    };
    const plans = planBatches(many, shards, SHAPE, 5, { early: true, look });
    await plans.next();
    expect(asked).toEqual([shards.slice(0, 16)]);
    for (let step = 1; step < 56; step++) await plans.next();
    expect(asked.slice(0, 3).flat()).toEqual(shards);
    expect(asked.slice(3, 6).flat()).not.toEqual(shards);
    expect([...asked.slice(3, 6).flat()].sort((a, b) => a - b)).toEqual(shards);
  });
});

const settings = {
  dataset: "stripes",
  seed: 3,
  batch: SHAPE,
  checkpointEvery: 4,
  // They all lie in one place.
  minDistanceM: 0,
  holdout: { share: 0, cellM: 1000, borderM: 0 },
};

test("training brings the loss down, and goes on after a stop as if there had been none", async () => {
  const whole = await train({ store, model: "whole", steps: 24, ...settings });
  expect(whole).toMatchObject({ step: 24, resumedFrom: 0, interrupted: false });
  const mean = (from: number, to: number): number =>
    whole.history.slice(from, to).reduce((sum, { loss }) => sum + loss, 0) / (to - from);
  expect(mean(18, 24)).toBeLessThan(mean(0, 6));
  const best = await readBest(store, "whole");
  const means = [4, 8, 12, 16, 20, 24].map((step) => ({ step, loss: mean(step - 4, step) }));
  expect(best?.loss).toBeCloseTo(Math.min(...means.map(({ loss }) => loss)), 9);
  expect(await listCheckpoints(store, "whole")).toEqual(
    [...new Set([best?.step as number, 20, 24])].sort((a, b) => a - b),
  );

  const stop = new AbortController();
  const first = await train({
    store,
    model: "stopped",
    steps: 24,
    ...settings,
    signal: stop.signal,
    onStep: ({ step }) => {
      if (step === 6) stop.abort();
    },
  });
  expect(first).toMatchObject({ step: 6, interrupted: true });
  const rest = await train({ store, model: "stopped", steps: 24, ...settings });
  expect(rest).toMatchObject({ step: 24, resumedFrom: 6, interrupted: false });
  expect(rest.history.map(({ step }) => step)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
  for (const [i, { loss }] of rest.history.entries())
    expect(loss).toBeCloseTo(whole.history[i]?.loss as number, 6);
  const [a, b] = [await readCheckpoint(store, "whole", 24), await readCheckpoint(store, "stopped", 24)];
  const kernels = [a, b].map(({ weights }) => weights.get("conv1.kernel")?.data as Float32Array) as [
    Float32Array,
    Float32Array,
  ];
  expect(kernels[0].every((value, i) => Math.abs(value - (kernels[1][i] as number)) < 1e-5)).toBe(true);

  await expect(train({ store, model: "whole", steps: 30, ...settings, seed: 4 })).rejects.toThrowError(
    /model whole .* was trained with seed 3, not 4/,
  );
  expect(await train({ store, model: "whole", steps: 24, ...settings })).toMatchObject({
    step: 24,
    resumedFrom: 24,
  });
});

test("a training ends when its time is over, or its loss falls no more; and goes on when told to", async () => {
  const given = { store, model: "limited", steps: 60, ...settings };
  const timed = await train({ ...given, maxSeconds: 0.2 });
  expect(timed).toMatchObject({ ended: "time", interrupted: false });
  expect(timed.step).toBeGreaterThan(0);
  expect(timed.step).toBeLessThan(60);
  const rest = await train({ ...given, patience: 1, steps: 70 });
  expect(rest).toMatchObject({ resumedFrom: timed.step });
  if (rest.ended === "plateau") expect(rest.step).toBeGreaterThan(50);
  const falling = Array.from({ length: 200 }, (_, i) => ({ loss: 1 / (i + 1) }));
  expect(isPlateau(falling, 10)).toBe(false);
  const flat = [...falling, ...Array.from({ length: 90 }, () => ({ loss: 0.5 }))];
  expect([isPlateau(flat, 89), isPlateau(flat, 92)]).toEqual([true, false]);
});

test("the learning rate rises, then halves", () => {
  expect([1, 5, 10, 30, 50].map((step) => rateAt({ warmup: 10, halveEvery: 20 }, step))).toEqual([
    0.1, 0.5, 1, 0.5, 0.25,
  ]);
  expect(rateAt({ warmup: 0, halveEvery: 0 }, 7)).toBe(1);
});

test("a loss that is no number stops the training, and what led to it is kept", async () => {
  const failing = train({ store, model: "broken", steps: 40, ...settings, learningRate: 1e30 });
  await expect(failing).rejects.toThrowError(
    /model broken, step \d+: the loss is NaN; .* models\/broken\/failures\/step-\d+/,
  );
  const kept = (await Array.fromAsync(store.list("models/broken/failures/"))).map((key) =>
    key.split("/").at(-1),
  );
  expect(kept.sort()).toEqual(["batch.json", "tiles", "weights.safetensors"]);
});

test("training begins early, waits for shards, and gives the weights of a training that did not have to", async () => {
  const late = openStore(pathToFileURL(join(folder, "late")).href);
  for await (const key of store.list("datasets/")) {
    if (!key.includes("/tiles/c/")) await late.put(key, (await store.get(key)) as Uint8Array);
  }
  const rest = (async () => {
    for (const shard of SHARDS) {
      await sleep(600);
      const key = shardKey("stripes", shard);
      await late.put(key, (await store.get(key)) as Uint8Array);
    }
  })();
  const waits: boolean[] = [];
  const early = { ...settings, model: "early", steps: 4, early: true };
  const trained = await train({ ...early, store: late, onWait: (waiting) => waits.push(waiting) });
  await rest;
  expect(waits[0]).toBe(true);
  expect(trained.step).toBe(4);
  const there = await train({ ...early, store });
  expect(there.history.map(({ loss }) => loss)).toEqual(trained.history.map(({ loss }) => loss));
});

test("every anchor gets its vector, in a Zarr array", async () => {
  const result = await embedDataset({ store, dataset: "stripes", model: "whole" });
  expect(result).toMatchObject({ locations: 22, size: 16, step: 24 });
  const found = await readArray(store, `${result.prefix}/embedding`, "float32");
  expect(found?.shape).toEqual([22, 16]);
  expect(found?.data.every(Number.isFinite)).toBe(true);
  expect(new Set([...(found?.data ?? [])].map((value) => value.toFixed(4))).size).toBeGreaterThan(100);
  await embedDataset({ store, dataset: "stripes", model: "whole" });
  expect((await readArray(store, `${result.prefix}/embedding`, "float32"))?.data).toEqual(found?.data);
});

test("what is missing is named", async () => {
  await expect(train({ store, ...settings, dataset: "none", model: "x", steps: 1 })).rejects.toThrowError(
    /there is no data set none/,
  );
  await expect(embedDataset({ store, dataset: "stripes", model: "none" })).rejects.toThrowError(
    /there is no model none/,
  );
  const key = shardKey("stripes", 2);
  const bytes = (await store.get(key)) as Uint8Array;
  await store.remove(key);
  await expect(embedDataset({ store, dataset: "stripes", model: "whole" })).rejects.toThrowError(
    /1 of 6 shards are not rendered, e\.g\. shard 2/,
  );
  await store.put(key, bytes);
  const weights = "models/whole/checkpoints/step-000024/weights.safetensors";
  const whole = (await store.get(weights)) as Uint8Array;
  await store.put(weights, whole.subarray(0, 1000));
  await expect(embedDataset({ store, dataset: "stripes", model: "whole" })).rejects.toThrowError(
    /step-000024\/weights\.safetensors in file:.*not a whole safetensors file/,
  );
  await store.put(weights, whole);
});
