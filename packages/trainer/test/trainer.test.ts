// Takes half a minute: real trainings on real shards, stopped and gone on with.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Dataset } from "@loc2vec/core";
import { LOSS_NAMES, LOSSES, NETWORKS } from "@loc2vec/encoder";
import { type ObjectStore, openStore, readArray, shardKey } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { type BatchPlan, keepDrawn, planBatches } from "../src/batches.ts";
import { explosion, LIMITS, watchPlateau } from "../src/guard.ts";
import {
  embedDataset,
  type HistoryEntry,
  listCheckpoints,
  readBest,
  readCheckpoint,
  readHistory,
  train,
} from "../src/index.ts";
import { RANGES, readRanges, writeRanges } from "../src/ranges.ts";
import { rateAt } from "../src/schedule.ts";

const DATASET: Dataset = { ...STRIPES, locations: 22 };

let folder: string;
let store: ObjectStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "trainer-"));
  store = openStore(pathToFileURL(folder).href);
  await writeStripes(store, DATASET);
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
      const anchors = [...rows.keys()].filter((row) => rows[row]?.sample === 0);
      expect(anchors.flatMap((row) => [...channelsOn.slice(3 * row, 3 * row + 3)])).toEqual(
        Array(18).fill(1),
      );
    }
    const dropped = (await take(30))
      .flatMap(({ channelsOn }) => [...channelsOn])
      .filter((on) => on === 0).length;
    expect(dropped / (30 * 24 * 3)).toBeGreaterThan(0.05);
    expect(dropped / (30 * 24 * 3)).toBeLessThan(0.2);
  });

  test("no channel is switched off that alone shows something; of several one at random stays", async () => {
    /** Only these channels show something, at the last of 4 pixels. */
    const tileOf = (...drawn: number[]): Uint8Array =>
      Uint8Array.from({ length: 12 }, (_, i) => (i % 4 === 3 && drawn.includes(i >> 2) ? 17 : 0));
    const stayed = new Set<string>();
    for (const plan of await take(60)) {
      const drawn = plan.rows.map(({ sample }) => (sample % 2 === 0 ? [2] : [0, 1]));
      const on = keepDrawn(
        plan,
        drawn.map((channels) => tileOf(...channels)),
        5,
      );
      for (const [row, channels] of drawn.entries()) {
        const [before = [], after = []] = [plan.channelsOn, on].map((all) => [
          ...all.subarray(3 * row, 3 * row + 3),
        ]);
        const left = channels.filter((channel) => before[channel] === 1);
        const mended = channels.filter((channel) => before[channel] === 0 && after[channel] === 1);
        expect(mended).toHaveLength(left.length > 0 ? 0 : 1);
        expect(after).toEqual(before.map((value, channel) => (mended.includes(channel) ? 1 : value)));
        for (const channel of mended) stayed.add(`${channels} ${channel}`);
      }
      expect(on).toEqual(
        keepDrawn(
          plan,
          drawn.map((channels) => tileOf(...channels)),
          5,
        ),
      );
      // Nothing stays of a tile that shows nothing anyway.
      expect(
        keepDrawn(
          plan,
          plan.rows.map(() => tileOf()),
          5,
        ),
      ).toEqual(plan.channelsOn);
    }
    expect([...stayed].sort()).toEqual(["0,1 0", "0,1 1", "2 2"]);
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
    const plans = planBatches(DATASET, SHARDS, { locations: 5, pairs: 2 }, 5, {
      together: { apart },
      eligible,
    });
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
    const never = planBatches(DATASET, SHARDS, SHAPE, 5, { together: { apart: () => false } }).next();
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
  expect(rest.history.map(({ loss }) => loss)).toEqual(whole.history.map(({ loss }) => loss));
  const [a, b] = [await readCheckpoint(store, "whole", 24), await readCheckpoint(store, "stopped", 24)];
  expect(b.weights).toEqual(a.weights);

  await expect(train({ store, model: "whole", steps: 30, ...settings, seed: 4 })).rejects.toThrowError(
    /model whole .* was trained with seed 3, not 4/,
  );
  // As if it had been killed after its last checkpoint, before it said whether that is the best.
  await store.put("models/whole/best.json", new TextEncoder().encode('{"step": 20, "loss": 99}'));
  await store.remove("models/whole/model.json");
  expect(await train({ store, model: "whole", steps: 24, ...settings })).toMatchObject({
    step: 24,
    resumedFrom: 24,
  });
  expect(await readBest(store, "whole")).toMatchObject({ step: 24, loss: expect.closeTo(mean(20, 24), 9) });
  expect(await store.head("models/whole/model.json")).toBeDefined();
});

test.each([...LOSS_NAMES.map((loss) => [loss, 0] as const), ["softpn-all", 0.2] as const])(
  "%s comes down, and more triplets become right, with decorrelation of weight %d",
  async (loss, decorrelate) => {
    const model = `learns-${loss}-${decorrelate * 10}`;
    const given = { ...settings, network: JSON.parse(NETWORK), learningRate: 0.01, checkpointEvery: 100 };
    const { history } = await train({ store, model, steps: 60, ...given, loss, decorrelate });
    const mean = (field: "loss" | "accuracy", from: number): number =>
      history.slice(from, from + 15).reduce((sum, entry) => sum + entry[field], 0) / 15;
    expect(mean("loss", 45)).toBeLessThan(0.9 * mean("loss", 0));
    expect(mean("accuracy", 45)).toBeGreaterThan(mean("accuracy", 0) + 0.05);
    expect((await readCheckpoint(store, model, 60)).settings).toMatchObject({
      ...{ loss, decorrelate, temperature: LOSSES[loss].temperature },
    });
  },
);

test("a training ends when its time is over, or its loss falls no more; and goes on when told to", async () => {
  // At this rate it learns nothing: its loss goes up and down.
  const given = { store, model: "limited", steps: 60, ...settings, learningRate: 1e-12 };
  const timed = await train({ ...given, maxSeconds: 0.2 });
  expect(timed).toMatchObject({ ended: "time", interrupted: false });
  expect(timed.step).toBeGreaterThan(0);
  expect(timed.step).toBeLessThan(60);
  const rest = await train({ ...given, patience: 5, steps: 400 });
  expect(rest).toMatchObject({ resumedFrom: timed.step, ended: "plateau", interrupted: false });
  expect(rest.step).toBeGreaterThan(50);
  expect(rest.step).toBeLessThan(400);
  const falling = Array.from({ length: 200 }, (_, i) => ({ loss: 1 / (i + 1) }));
  const isPlateau = (history: { loss: number }[], patience: number): boolean =>
    watchPlateau(history).length() >= patience;
  expect(isPlateau(falling, 10)).toBe(false);
  const flat = [...falling, ...Array.from({ length: 90 }, () => ({ loss: 0.5 }))];
  expect([isPlateau(flat, 89), isPlateau(flat, 92)]).toEqual([true, false]);
});

test("the learning rate rises, then halves, or falls along a half cosine to a fiftieth", () => {
  const at = (schedule: Partial<Parameters<typeof rateAt>[0]>, ...steps: number[]) =>
    steps.map((step) => rateAt({ warmup: 0, halveEvery: 0, anneal: 0, ...schedule }, step));
  expect(at({ warmup: 10, halveEvery: 20 }, 1, 5, 10, 30, 50)).toEqual([0.1, 0.5, 1, 0.5, 0.25]);
  expect(at({}, 7)).toEqual([1]);
  const close = (values: number[]) => values.map((value) => expect.closeTo(value, 12));
  const third = 0.02 + 0.98 * 0.75;
  expect(at({ warmup: 10, anneal: 70 }, 1, 10, 30, 40, 70, 71, 5000)).toEqual(
    close([0.1, 1, third, 0.51, 0.02, 0.02, 0.02]),
  );
  expect(at({ anneal: 60 }, 20, 60)).toEqual(close([third, 0.02]));
  expect(at({ anneal: 60, halveEvery: 20 }, 20)).toEqual(close([third / 2]));
  // A training that ends while it still rises.
  expect(at({ warmup: 10, anneal: 5 }, 5, 10, 11)).toEqual(close([0.5, 1, 0.02]));
});

test("`anneal` may be the word for the steps asked for: they are kept as they were when the training began", async () => {
  const given = { store, ...settings, warmup: 2, checkpointEvery: 2 };
  const ratesOf = ({ history }: { history: readonly HistoryEntry[] }) =>
    history.map(({ learningRate }) => learningRate);
  const whole = await train({ ...given, model: "annealed", steps: 8, anneal: "steps" });
  expect((await readCheckpoint(store, "annealed", 8)).settings.schedule).toEqual({
    ...{ warmup: 2, halveEvery: 0, anneal: 8 },
  });
  expect(ratesOf(whole)[7]).toBeCloseTo(0.02 * 1e-3, 12);
  // Stopped and gone on with under the same word, or the number; asked for more steps, it stays where it is.
  await train({ ...given, model: "annealed-stopped", steps: 4, anneal: 8 });
  const rest = await train({ ...given, model: "annealed-stopped", steps: 8, anneal: "steps" });
  expect(rest.resumedFrom).toBe(4);
  expect(lossesOf(rest.history)).toEqual(lossesOf(whole.history));
  expect(ratesOf(rest)).toEqual(ratesOf(whole));
  const more = await train({ ...given, model: "annealed", steps: 10, anneal: "steps" });
  expect(ratesOf(more).slice(7)).toEqual(Array(3).fill(ratesOf(whole)[7]));
  // One that was begun without it is not annealed by the word either.
  await train({ ...given, model: "never-annealed", steps: 2 });
  await expect(train({ ...given, model: "never-annealed", steps: 4, anneal: "steps" })).rejects.toThrowError(
    /schedule \{.*"anneal":0\}, not \{.*"anneal":4\}/,
  );
});

test("a training that explodes stops, and what led to it is kept; its checkpoints are of weights that embed", async () => {
  const failing = train({ store, model: "broken", steps: 40, ...settings, learningRate: 1e8 });
  await expect(failing).rejects.toMatchObject({ kind: "data", code: "exploded" });
  await expect(failing).rejects.toThrowError(
    /model broken, step 2: the mean distance to positives is [\d.e+]+, above 1000; .* models\/broken\/failures\/step-2/,
  );
  const kept = (await Array.fromAsync(store.list("models/broken/failures/"))).map((key) =>
    key.split("/").at(-1),
  );
  expect(kept.sort()).toEqual(["batch.json", "tiles", "weights.safetensors"]);
  expect((await readHistory(store, "broken")).map(({ step }) => step)).toEqual([1]);
  // What would be written after the first step does not embed, though every weight is finite.
  const early = { ...settings, checkpointEvery: 1, learningRate: 1e30 };
  await expect(train({ store, model: "early-broken", steps: 40, ...early })).rejects.toThrowError(
    /step 1: the weights after it no longer embed/,
  );
  expect(await listCheckpoints(store, "early-broken")).toEqual([]);

  // Here it takes longer: the rate grows by 1 each step.
  const growing = { store, model: "growing", steps: 400, ...settings, learningRate: 2e4, warmup: 20_000 };
  await expect(train(growing)).rejects.toThrowError(/above 1000;/);
  const steps = await listCheckpoints(store, "growing");
  expect(steps.length).toBeGreaterThan(0);
  for (const step of steps) {
    const { weights } = await readCheckpoint(store, "growing", step);
    for (const { data } of weights.values()) expect(data.every(Number.isFinite)).toBe(true);
  }
  const { prefix } = await embedDataset({ store, dataset: "stripes", model: "growing" });
  const vectors = await readArray(store, `${prefix}/embedding`, "float32");
  expect(vectors?.data.every(Number.isFinite)).toBe(true);
});

test("each figure has a limit of its own, and none may be no number", () => {
  const fine = { loss: 0.2, positive: 3, negative: 5, gradientNorm: 2 };
  expect(explosion(fine)).toBeUndefined();
  expect(explosion({ ...fine, loss: Number.NaN })).toBe("the loss is NaN");
  for (const [field, what, limit] of [
    ["positive", "mean distance to positives", LIMITS.distance],
    ["negative", "mean distance to negatives", LIMITS.distance],
    ["gradientNorm", "norm of the gradients", LIMITS.gradientNorm],
  ] as const) {
    expect(explosion({ ...fine, [field]: limit })).toBeUndefined();
    for (const value of [2 * limit, Number.NaN, Number.POSITIVE_INFINITY])
      expect(explosion({ ...fine, [field]: value })).toBe(`the ${what} is ${value}, above ${limit}`);
  }
});

test("a damaged newest checkpoint, or one half written, is passed over and told; the curve is the same", async () => {
  const given = { store, model: "damaged", ...settings };
  const before = await train({ ...given, steps: 12 });
  const prefix = "models/damaged/checkpoints";
  const last = `${prefix}/step-000012`;
  const optimizer = (await store.get(`${last}/optimizer.safetensors`)) as Uint8Array;
  const figures = (history: readonly HistoryEntry[]) =>
    history.map(({ seconds: _s, waited: _w, ...rest }) => rest);
  for (const [name, bytes, told] of [
    ["optimizer.safetensors", optimizer.with(-5, (optimizer.at(-5) as number) ^ 1), /not the bytes/],
    ["weights.safetensors", new Uint8Array(9), /header is cut off/],
    ["state.json", new TextEncoder().encode('{"version": 1, "st'), /state\.json/],
    ["optimizer.safetensors", undefined, /missing/],
  ] as const) {
    if (bytes === undefined) await store.remove(`${last}/${name}`);
    else await store.put(`${last}/${name}`, bytes);
    const warnings: string[] = [];
    const again = await train({ ...given, steps: 12, onWarning: (line) => warnings.push(line) });
    expect(warnings).toEqual([
      expect.stringMatching(/^checkpoint 12 is damaged, an older one is used: /),
      "nothing is held out: the best checkpoint is that of the lowest mean loss",
    ]);
    expect(warnings[0]).toMatch(told);
    expect(again.resumedFrom).toBe(8);
    expect(figures(again.history)).toEqual(figures(before.history));
    expect((await readCheckpoint(store, "damaged", 12)).step).toBe(12);
  }
  // What a kill left without its last file is no checkpoint, and goes when it is older than those kept.
  await store.put(`${prefix}/step-000005/weights.safetensors`, optimizer);
  await train({ ...given, steps: 16 });
  const steps = new Set(
    (await Array.fromAsync(store.list(`${prefix}/`))).map((key) => key.split("/").at(-2)),
  );
  expect([...steps].sort()).not.toContain("step-000005");
  for (const step of await listCheckpoints(store, "damaged")) {
    await store.put(`${prefix}/step-${String(step).padStart(6, "0")}/weights.safetensors`, optimizer);
  }
  await expect(train({ ...given, steps: 20 })).rejects.toThrowError(
    /step-000016\/weights.*not the bytes that were written; no other checkpoint of model damaged is whole/,
  );
});

test("the network is kept, and another one is refused by name", async () => {
  const given = { store, model: "little", steps: 2, ...settings };
  const trained = await train({ ...given, network: NETWORKS.small });
  expect(trained.parameters).toBeLessThan(90_000);
  await expect(train({ ...given, steps: 4 })).rejects.toThrowError(
    /was trained with the network small, not the network paper/,
  );
  const own = { pooled: [8], pointwise: [], dense: 4, embedding: 3 };
  await train({ ...given, model: "own", network: own });
  await expect(train({ ...given, model: "own", steps: 4 })).rejects.toThrowError(
    /the network \{"pooled":\[8\],"pointwise":\[\],"dense":4,"embedding":3\}, not the network paper/,
  );
  expect(await embedDataset({ store, dataset: "stripes", model: "own" })).toMatchObject({ size: 3 });
  const listed = [
    { kind: "conv", filters: 4, size: 5, activation: "leaky relu" },
    { kind: "pool" },
    { kind: "flatten" },
    { kind: "dense", units: 2 },
  ];
  await train({ ...given, model: "listed", network: listed });
  expect((await train({ ...given, model: "listed", network: listed, steps: 4 })).resumedFrom).toBe(2);
  await expect(train({ ...given, model: "listed", steps: 4 })).rejects.toThrowError(
    /the network \[\{"kind":"conv","filters":4,.*\}\], not the network paper/,
  );
  expect(await embedDataset({ store, dataset: "stripes", model: "listed" })).toMatchObject({ size: 2 });
  const tooDeep = { ...own, pooled: [8, 8, 8, 8, 8, 8] };
  await expect(train({ ...given, model: "deep", network: tooDeep })).rejects.toThrowError(
    /tiles of 32 pixels cannot be halved 6 times/,
  );
});

test("a model of halved tiles and several turns goes on under its recipe's name", async () => {
  const given = { store, model: "halved", ...settings, recipe: "best" } as const;
  await train({ ...given, steps: 2 });
  const result = await train({ ...given, steps: 3 });
  expect(result).toMatchObject({ resumedFrom: 2, step: 3 });
  expect(await embedDataset({ store, dataset: "stripes", model: "halved" })).toMatchObject({ size: 16 });
});

test("a training may begin with another model's weights, if they are of its network and channels", async () => {
  const options = { store, steps: 1, ...settings, network: JSON.parse(NETWORK) };
  await train({ ...options, model: "first", steps: 4 });
  const first = await readCheckpoint(store, "first", 4);
  // So slowly that it learns nothing.
  const begun = { ...options, model: "second", from: "first", learningRate: 1e-12, seed: 3 } as const;
  await train(begun);
  const second = await readCheckpoint(store, "second", 1);
  for (const [name, { data }] of first.weights) {
    if (/\.(mean|variance)$/.test(name)) continue;
    for (const [i, value] of data.entries())
      expect(second.weights.get(name)?.data[i], name).toBeCloseTo(value, 6);
  }
  await expect(train({ ...begun, from: "none", steps: 2 })).rejects.toThrow(/from "first", not "none"/);
  await expect(train({ ...options, model: "third", from: "nobody" })).rejects.toThrow(/no model nobody/);
  await expect(train({ ...options, model: "third", from: "first", network: "global" })).rejects.toMatchObject(
    {
      code: "settings-mismatch",
      message: expect.stringMatching(
        /model third is to begin with the weights of model first, but has the network global/,
      ),
    },
  );
  await expect(train({ ...options, model: "pretrained" })).rejects.toThrow(
    /pretrained is the name of the model that comes with the farm/,
  );
});

test("training begins early, waits for shards, and gives the weights of a training that did not have to", async () => {
  const { part: late, land } = await partly("late", []);
  const rest = (async () => {
    for (const shard of SHARDS) {
      await sleep(600);
      await land(shard);
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

/** A store with the same data set, of which only some shards are rendered; `land` brings another. */
async function partly(name: string, shards: readonly number[]) {
  const part = openStore(pathToFileURL(join(folder, name)).href);
  for await (const key of store.list("datasets/")) {
    if (!key.includes("/tiles/c/")) await part.put(key, (await store.get(key)) as Uint8Array);
  }
  const land = async (shard: number): Promise<void> => {
    const key = shardKey("stripes", shard);
    await part.put(key, (await store.get(key)) as Uint8Array);
  };
  for (const shard of shards) await land(shard);
  return { part, land };
}

const lossesOf = (history: readonly HistoryEntry[]): number[] => history.map(({ loss }) => loss);

test("a training on part of a data set goes on with those shards after others landed, and names one that is gone", async () => {
  const { part, land } = await partly("part", [0, 1, 2, 4]);
  const given = { ...settings, store: part };
  const whole = await train({ ...given, model: "whole", steps: 12 });
  expect((await train({ ...given, model: "stopped", steps: 4 })).step).toBe(4);
  await land(3);
  await land(5);
  const rest = await train({ ...given, model: "stopped", steps: 12 });
  expect(rest.resumedFrom).toBe(4);
  expect(lossesOf(rest.history)).toEqual(lossesOf(whole.history));
  const [a, b] = [await readCheckpoint(part, "whole", 12), await readCheckpoint(part, "stopped", 12)];
  expect(b).toEqual(a);
  expect(b.settings.shards).toBe("0-2,4");
  // One that begins now takes them all, and other mini-batches.
  const all = await train({ ...given, model: "all", steps: 4 });
  expect((await readCheckpoint(part, "all", 4)).settings.shards).toBe("0-5");
  expect(lossesOf(all.history)).not.toEqual(lossesOf(whole.history).slice(0, 4));

  await part.remove(shardKey("stripes", 1));
  await expect(train({ ...given, model: "stopped", steps: 16 })).rejects.toMatchObject({
    kind: "data",
    code: "shards-missing",
    message: expect.stringMatching(/data set stripes in .* model stopped is trained on, 1 is gone$/),
    mend: expect.stringMatching(/^pnpm farm:verify --dataset stripes --repair/),
  });
  await part.remove(shardKey("stripes", 3));
  await part.remove(shardKey("stripes", 2));
  await expect(train({ ...given, model: "stopped", steps: 16 })).rejects.toThrowError(/, 1-2 are gone$/);
});

test("ids of shards are kept in few characters", () => {
  for (const [ids, text] of [
    [[], ""],
    [[7], "7"],
    [[0, 1, 2, 3], "0-3"],
    [[0, 2, 3, 9, 10, 11, 105], "0,2-3,9-11,105"],
  ] as const) {
    expect(writeRanges(ids)).toBe(text);
    expect(readRanges(text)).toEqual(ids);
    expect(text).toMatch(RANGES);
  }
  for (const text of ["3-", "-3", "1,,2", "1,", "a", "1;2"]) expect(text).not.toMatch(RANGES);
});

test("precision auto is kept as what it became; a resume on a device that would choose otherwise is told", async () => {
  const given = { ...settings, store, checkpointEvery: 2 };
  const { bfloat16 } = await loadTensorflow();
  const [here, elsewhere] = bfloat16 ? ["mixed", "float32"] : (["float32", "mixed"] as const);
  const warnings: string[] = [];
  const onWarning = (line: string): void => void warnings.push(line);
  await train({ ...given, model: "here", steps: 2, precision: "auto", onWarning });
  expect((await readCheckpoint(store, "here", 2)).settings.precision).toBe(here);
  await train({ ...given, model: "here", steps: 4, onWarning });
  expect(warnings.filter((line) => line.includes("precision"))).toEqual([]);
  // As a device of the other kind would have begun it.
  await train({ ...given, model: "elsewhere", steps: 2, precision: elsewhere as "mixed" | "float32" });
  const rest = await train({ ...given, model: "elsewhere", steps: 4, precision: "auto", onWarning });
  expect(rest.resumedFrom).toBe(2);
  expect(warnings.filter((line) => line.includes("precision"))).toEqual([
    `model elsewhere began in ${elsewhere} precision and goes on in it; this device would choose ${here}`,
  ]);
  expect((await readCheckpoint(store, "elsewhere", 4)).settings.precision).toBe(elsewhere);
  const calm = { ...given, model: "elsewhere-calm", steps: 4 };
  const whole = await train({ ...calm, precision: elsewhere as "mixed" | "float32" });
  expect(lossesOf(rest.history)).toEqual(lossesOf(whole.history));
  await expect(
    train({ ...given, model: "elsewhere", steps: 6, precision: here as "mixed" | "float32" }),
  ).rejects.toThrowError(new RegExp(`was trained with precision "${elsewhere}", not "${here}"`));
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
