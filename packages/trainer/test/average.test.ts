import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  createEmbedder,
  createEncoder,
  initialWeights,
  parametersOf,
  type WeightArray,
  type Weights,
} from "@loc2vec/encoder";
import { type ObjectStore, openDataset, openStore, readArray } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { CALIBRATION_BATCHES, readOptimizer } from "../src/average.ts";
import { planBatches } from "../src/batches.ts";
import { readResumable } from "../src/checkpoint.ts";
import { openFeed } from "../src/feed.ts";
import { embedDataset, type HistoryEntry, openCheckpoint, train } from "../src/index.ts";
import { takeStep } from "../src/step.ts";

let folder: string;
let store: ObjectStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "average-"));
  store = openStore(pathToFileURL(folder).href);
  await writeStripes(store, { ...STRIPES, locations: 48 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Half of the locations are held out, so that there is something to judge by. */
const HOLDOUT = { share: 0.5, cellM: 1000, borderM: 0 };
const SETTINGS = {
  ...{ dataset: "stripes", seed: 3, batch: { locations: 6, pairs: 3 }, checkpointEvery: 4, minDistanceM: 0 },
  ...{ network: JSON.parse(NETWORK), precision: "float32" },
} as const;
const run = (model: string, steps: number, more = {}) =>
  train({ store, model, steps, ...SETTINGS, holdout: { share: 0 }, ...more });
const resumable = async (model: string) => {
  const found = await readResumable(store, model, (_, reason) => {
    throw new Error(reason);
  });
  if (found === undefined) throw new Error(`no model ${model}`);
  return { ...found, ...readOptimizer(found.optimizer) };
};
const figures = (history: readonly HistoryEntry[]) =>
  history.map(({ seconds: _s, waited: _w, ...rest }) => rest);

test("what is written is the moving average; the training goes on with its own weights, as it would without one", async () => {
  const [steps, share] = [12, 0.4];
  await run("averaged", steps, { average: share });
  await run("plain", steps);
  const [averaged, plain] = [await resumable("averaged"), await resumable("plain")];
  expect(averaged.own).toEqual(plain.weights);
  expect(averaged.moments).toEqual(plain.moments);
  expect(plain.own).toBeUndefined();

  // Step by step, in doubles.
  const { settings } = averaged;
  const { architecture, batch, seed } = settings;
  const reader = await openDataset(store, "stripes");
  const dataset = { ...STRIPES, locations: 48 };
  const shards = [...Array(Math.ceil(48 / STRIPES.shardLocations)).keys()];
  const open = (count: number) => openFeed(reader, planBatches(dataset, shards, batch, seed), seed, count);
  const encoder = createEncoder(await loadTensorflow(), architecture, initialWeights(architecture, seed));
  onTestFinished(() => encoder.dispose());
  const trained = parametersOf(architecture).filter((each) => each.trained);
  const means = new Map(trained.map(({ name }) => [name, Float64Array.from(dataOf(encoder.weights, name))]));
  const feed = open(steps);
  for (let step = 1; step <= steps; step++) {
    expect(takeStep(encoder, await feed.next(), settings)).not.toHaveProperty("broken");
    // The share itself from step 5 on.
    const kept = Math.min(share, (1 + step) / (10 + step));
    for (const [name, mean] of means)
      means.set(
        name,
        mean.map((value, i) => kept * value + (1 - kept) * (dataOf(encoder.weights, name)[i] as number)),
      );
  }
  for (const [name, mean] of means) {
    const written = dataOf(averaged.weights, name);
    for (const [i, value] of mean.entries()) expect(written[i]).toBeCloseTo(value, 5);
    expect(written, name).not.toEqual(dataOf(plain.weights, name));
  }

  // Batch normalization's statistics are of these weights: the mean over the first mini-batches of the training.
  const calibrated = createEncoder(await loadTensorflow(), architecture, averaged.weights);
  onTestFinished(() => calibrated.dispose());
  const first = open(CALIBRATION_BATCHES);
  const sums = new Map<string, Float64Array>();
  for (let i = 0; i < CALIBRATION_BATCHES; i++) {
    const { plan, tiles } = await first.next();
    const { channelsOn } = plan;
    const batch = { tiles, channelsOn, seed, step: plan.step, dropout: settings.dropout };
    // The running statistics take a share of 1 / step of a mini-batch: from that, what the mini-batch has itself.
    const before = new Map([...calibrated.weights].filter(([name]) => /\.(mean|variance)$/.test(name)));
    const { statistics } = calibrated.gradients(batch, (embeddings) => embeddings);
    for (const [name, { data }] of statistics) {
      const was = dataOf(before, name);
      const seen = data.map(
        (value, k) => (was[k] as number) + ((value as number) - (was[k] as number)) * (i + 1),
      );
      sums.set(
        name,
        (sums.get(name) ?? new Float64Array(seen.length)).map((sum, k) => sum + (seen[k] as number)),
      );
    }
  }
  expect(sums.size).toBeGreaterThan(3);
  for (const [name, sum] of sums) {
    const written = dataOf(averaged.weights, name);
    for (const [k, value] of sum.entries())
      expect((written[k] as number) / (value / CALIBRATION_BATCHES), name).toBeCloseTo(1, 3);
    expect(written, name).not.toEqual(dataOf(plain.weights, name));
  }
});

const dataOf = (weights: Weights, name: string): Float32Array => (weights.get(name) as WeightArray).data;

test("a training with an average that was stopped has the bits of one that never was, and is judged by its average", async () => {
  const given = { average: 0.9, holdout: HOLDOUT };
  const whole = await run("whole", 16, given);
  const judged = whole.history.flatMap(({ step, heldout }) => (heldout ? [step] : []));
  expect(judged).toEqual([4, 8, 12, 16]);
  for (const steps of [6, 11, 16]) await run("stopped", steps, given);
  const [a, b] = [await resumable("whole"), await resumable("stopped")];
  expect(b).toEqual(a);
  const rest = await run("stopped", 20, given);
  const on = await run("whole", 20, given);
  expect(rest.resumedFrom).toBe(16);
  expect(rest.history.map(({ loss }) => loss)).toEqual(on.history.map(({ loss }) => loss));
  expect(figures(rest.history).slice(16)).toEqual(figures(on.history).slice(16));
  // Its losses are those of a training without an average, what is held out is judged otherwise.
  const plain = await run("unaveraged", 20, { holdout: HOLDOUT });
  expect(on.history.map(({ loss }) => loss)).toEqual(plain.history.map(({ loss }) => loss));
  expect(on.history.at(-1)?.heldout).not.toEqual(plain.history.at(-1)?.heldout);
  await expect(run("whole", 24, { ...given, average: 0.99 })).rejects.toThrowError(
    /was trained with average 0\.9, not 0\.99/,
  );

  // What embeds is what was written.
  const { settings, weights, step } = await openCheckpoint(store, "whole", "last");
  expect(step).toBe(20);
  const embedder = await createEmbedder(settings.architecture, weights);
  const shard = await (await openDataset(store, "stripes")).openShard(0);
  const anchors: Uint8Array[] = [];
  for await (const { sample, tile } of shard?.tiles() ?? []) if (sample === 0) anchors.push(tile);
  const vectors = await embedder.embed(anchors);
  await embedder.dispose();
  const { prefix } = await embedDataset({ store, dataset: "stripes", model: "whole", checkpoint: "last" });
  const embedded = (await readArray(store, `${prefix}/embedding`, "float32"))?.data as Float32Array;
  for (const [i, value] of vectors.entries()) expect(embedded[i]).toBeCloseTo(value, 5);
});
