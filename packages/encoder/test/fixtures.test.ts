import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, test } from "vitest";
import {
  ADAM,
  type Architecture,
  createEncoder,
  initialWeights,
  LOSSES,
  type LossName,
  networkOf,
  type Shorthand,
  type TrainBatch,
  type WeightArray,
} from "../src/index.ts";
import { decorrelation } from "../src/losses/decorrelate.ts";
import { stepOfAdam } from "./adam.ts";
import { tripletLoss } from "./losses.ts";

type Numbers = (number | null)[];
/** What python/make_fixtures.py wrote. */
interface Fixtures {
  losses: {
    name: string;
    kind: LossName;
    size: number;
    embeddings: number[];
    triplets: [number, number, number][];
    loss: number;
    positive: number;
    negative: number;
    /** Null where TensorFlow's is no number. */
    gradient: Numbers;
  }[];
  batchLosses: {
    name: string;
    kind: LossName;
    temperature: number;
    size: number;
    embeddings: number[];
    locations: number[];
    loss: number;
    positive: number;
    negative: number;
    gradient: number[];
  }[];
  decorrelation: { size: number; embeddings: number[]; value: number; gradient: number[] }[];
  adam: { learningRate: number; before: number[]; gradients: number[][]; weights: number[][] };
  leaky: { x: number[]; y: number[]; gradient: number[] };
  network: {
    architecture: { channels: number; pixels: number } & Shorthand;
    triplets: [number, number, number][];
    weights: Record<string, { shape: number[]; data: number[] }>;
    inference: number[];
    steps: {
      embeddings: number[];
      loss: number;
      moments: Record<string, { mean: number[]; variance: number[] }>;
      gradients: Record<string, number[]>;
      weights: Record<string, number[]>;
    }[];
  };
}
const fixtures: Fixtures = JSON.parse(readFileSync(join(import.meta.dirname, "fixtures.json"), "utf8"));

const tripletsOf = (rows: readonly [number, number, number][]) =>
  rows.map(([anchor, positive, negative]) => ({ anchor, positive, negative }));

/** @param tolerance share of the largest of `theirs` */
function expectClose(
  ours: ArrayLike<number>,
  theirs: readonly number[],
  tolerance: number,
  what: string,
): void {
  expect(ours.length, what).toBe(theirs.length);
  const largest = Math.max(...theirs.map(Math.abs));
  for (const [i, value] of theirs.entries())
    expect(Math.abs((ours[i] as number) - value), `${what}[${i}]`).toBeLessThanOrEqual(tolerance * largest);
}

test.each(fixtures.losses)("loss and gradient are TensorFlow's: $name, $kind", (fixture) => {
  const triplets = tripletsOf(fixture.triplets);
  const result = tripletLoss(Float32Array.from(fixture.embeddings), fixture.size, triplets, fixture.kind);
  expect(result.loss).toBeCloseTo(fixture.loss, 6);
  expect(result.positive / Math.max(1, fixture.positive)).toBeCloseTo(
    fixture.positive / Math.max(1, fixture.positive),
    5,
  );
  expect(result.negative / Math.max(1, fixture.negative)).toBeCloseTo(
    fixture.negative / Math.max(1, fixture.negative),
    5,
  );
  const expected = fixture.gradient.map((value, i) => value ?? (result.gradient[i] as number));
  expectClose(result.gradient, expected, 1e-5, "gradient");
  expect(result.gradient.every(Number.isFinite)).toBe(true);
});

test.each(fixtures.batchLosses)(
  "loss and gradient of a whole mini-batch are TensorFlow's: $name, $kind",
  ({ kind, size, temperature, locations, ...theirs }) => {
    const structure = {
      locationOfRow: locations,
      anchors: [0],
      triplets: [{ anchor: 0, positive: 1, negative: 2 }],
    };
    const embeddings = Float32Array.from(theirs.embeddings);
    expect(temperature).toBe(LOSSES[kind].temperature);
    const ours = LOSSES[kind].compute(embeddings, size, structure, { temperature });
    for (const name of ["loss", "positive", "negative"] as const)
      expect(ours[name] / theirs[name], name).toBeCloseTo(1, 6);
    expectClose(ours.gradient, theirs.gradient, 1e-6, "gradient");
  },
);

test.each(fixtures.decorrelation)(
  "decorrelation and its gradient are TensorFlow's",
  ({ size, embeddings, ...theirs }) => {
    const { value, gradient } = decorrelation(Float32Array.from(embeddings), size);
    expect(value).toBeCloseTo(theirs.value, 7);
    expectClose(gradient, theirs.gradient, 1e-6, "gradient");
  },
);

test("two equal embeddings: TensorFlow's gradient of their distance is no number, ours is none", () => {
  const equal = fixtures.losses.filter(({ gradient }) => gradient.includes(null));
  expect(new Set(equal.map(({ name }) => name))).toEqual(new Set(["anchor and positive equal", "all equal"]));
  // (1, 2), (1, 2), (4, 6): Δ(a, p) = 0, Δ(·, n) = 5; only the negative is pushed, from the anchor, along (3, 4) / 5.
  const triplet = [{ anchor: 0, positive: 1, negative: 2 }];
  const { gradient } = tripletLoss(Float32Array.of(1, 2, 1, 2, 4, 6), 2, triplet);
  const share = 1 / (1 + Math.exp(5));
  const slope = 2 * share ** 2 * (1 - share);
  const expected = [slope * 0.6, slope * 0.8, 0, 0, -slope * 0.6, -slope * 0.8];
  for (const [i, value] of expected.entries()) expect(gradient[i]).toBeCloseTo(value, 9);
  expect([...tripletLoss(new Float32Array(12).fill(1), 4, triplet).gradient]).toEqual(Array(12).fill(0));
});

test("five steps of Adam are those of Keras", async () => {
  const { learningRate, before, gradients, weights } = fixtures.adam;
  const tensorflow = await loadTensorflow();
  let state = { weights: Float32Array.from(before), m: new Float32Array(6), v: new Float32Array(6) };
  for (const [i, gradient] of gradients.entries()) {
    state = stepOfAdam(tensorflow, state, Float32Array.from(gradient), i + 1, { ...ADAM, learningRate });
    expectClose(state.weights, weights[i] as number[], 2e-6, `step ${i + 1}`);
  }
  expect(state.weights[5]).toBe(Math.fround(before[5] as number));
});

const { steps } = fixtures.network;
const { channels, pixels, ...network } = fixtures.network.architecture;
const architecture: Architecture = { channels, pixels, layers: networkOf(network) };
const weights = new Map<string, WeightArray>(
  Object.entries(fixtures.network.weights).map(([name, { shape, data }]) => [
    name,
    { shape, data: Float32Array.from(data) },
  ]),
);
/** As in make_fixtures.py. */
const tiles = Array.from({ length: 6 }, (_, tile) =>
  Uint8Array.from({ length: 192 }, (_, k) => {
    const i = 192 * tile + k;
    return (i * 37 + Math.floor(i / 64) * 11) % 256;
  }),
);
const NONE = { input: 0, conv: 0, dense: 0 };
const batch = (changes: Partial<TrainBatch> = {}): TrainBatch => ({
  tiles,
  channelsOn: new Uint8Array(18).fill(1),
  seed: 1,
  step: 1,
  dropout: NONE,
  ...changes,
});

test("whole training steps are those of Keras: embeddings, loss, all gradients, weights after Adam", async () => {
  const encoder = createEncoder(await loadTensorflow(), architecture, weights);
  const running = new Map([...weights].map(([name, { data }]) => [name, [...data]]));
  for (const [i, theirs] of steps.entries()) {
    let [loss, embeddings] = [0, new Float32Array()];
    const gradientOf = (vectors: Float32Array): Float32Array => {
      const result = tripletLoss(vectors, network.embedding, tripletsOf(fixtures.network.triplets));
      [loss, embeddings] = [result.loss, vectors.slice()];
      return result.gradient;
    };
    const { gradients, statistics } = encoder.gradients(batch({ step: i + 1 }), gradientOf);
    // Distances do not change with the embedding's bias: its gradient is 0 but for rounding, which Adam makes steps of.
    const bias = (encoder.weights.get("embedding.bias") as WeightArray).data;
    const theirBias = steps[i - 1]?.weights["embedding.bias"] ?? [...bias];
    const centred = theirs.embeddings.map(
      (value, k) => value - (theirBias[k % 3] as number) + (bias[k % 3] as number),
    );
    expectClose(embeddings, centred, 1e-4, `embeddings of step ${i + 1}`);
    expect(loss).toBeCloseTo(theirs.loss, 5);
    expect([...gradients.keys()].sort()).toEqual(Object.keys(theirs.gradients).sort());
    for (const [name, gradient] of Object.entries(theirs.gradients)) {
      const ours = gradients.get(name) as Float32Array;
      if (name === "embedding.bias") {
        for (const value of [...gradient, ...ours]) expect(Math.abs(value)).toBeLessThan(1e-6);
      } else expectClose(ours, gradient, 1e-3, `gradient of ${name}, step ${i + 1}`);
    }
    const { learningRate } = ADAM;
    encoder.train(batch({ step: i + 1 }), gradientOf, { learningRate, accept: () => true });
    for (const [name, weight] of Object.entries(theirs.weights)) {
      if (name === "embedding.bias") continue;
      expectClose(
        (encoder.weights.get(name) as WeightArray).data,
        weight,
        1e-4,
        `${name} after step ${i + 1}`,
      );
    }
    // Running statistics: a plain mean of what was seen, with the variance of samples (Bessel), until step 100.
    for (const [layer, moments] of Object.entries(theirs.moments)) {
      for (const [what, seen] of Object.entries(moments)) {
        const name = `${layer}.${what}`;
        const before = running.get(name) as number[];
        const now = before.map(
          (value, k) => value + Math.max(0.01, 1 / (i + 1)) * ((seen[k] as number) - value),
        );
        running.set(name, now);
        expectClose((statistics.get(name) as WeightArray).data, now, 1e-4, `${name} after step ${i + 1}`);
        expect(encoder.weights.get(name)).toEqual(statistics.get(name));
      }
    }
  }
  encoder.dispose();
});

test("late in a training the running statistics take a hundredth of each mini-batch, as Keras does", async () => {
  const encoder = createEncoder(await loadTensorflow(), architecture, weights);
  const { statistics } = encoder.gradients(batch({ step: 5000 }), (vectors) => vectors);
  for (const [layer, { mean }] of Object.entries(steps[0]?.moments ?? {})) {
    const before = weights.get(`${layer}.mean`)?.data as Float32Array;
    const expected = mean.map((value, k) => (before[k] as number) + 0.01 * (value - (before[k] as number)));
    expectClose((statistics.get(`${layer}.mean`) as WeightArray).data, expected, 1e-5, layer);
  }
  encoder.dispose();
});

test("inference takes the running statistics, training the mini-batch's: both are Keras', and they differ", async () => {
  const encoder = createEncoder(await loadTensorflow(), architecture, weights);
  const embedded = encoder.embed(tiles);
  expectClose(embedded, fixtures.network.inference, 1e-5, "inference");
  const trained = steps[0]?.embeddings as number[];
  expect(Math.max(...trained.map((value, i) => Math.abs(value - (embedded[i] as number))))).toBeGreaterThan(
    0.05,
  );
  // Other tiles in the batch change what training makes of a tile, and not what inference does.
  expectClose(encoder.embed(tiles.slice(2, 4)), [...embedded.slice(6, 12)], 1e-5, "two tiles alone");
  encoder.dispose();
});

/** The embeddings that a training step computes. */
function trainingOutput(
  encoder: ReturnType<typeof createEncoder>,
  changes: Partial<TrainBatch>,
): Float32Array {
  let output = new Float32Array();
  encoder.gradients(batch(changes), (embeddings) => {
    output = embeddings.slice();
    return embeddings;
  });
  return output;
}

test("LeakyReLU is Keras', and dropout of the dense layer leaves 0 or 1 / (1 − rate) times the value", async () => {
  const tensorflow = await loadTensorflow();
  const x = tensorflow.tf.tensor1d(fixtures.leaky.x);
  const alpha = { T: { type: "float32" }, alpha: { float: 0.3 } } as const;
  const [y] = tensorflow.op("LeakyRelu", [x], alpha);
  expectClose((y?.dataSync() ?? []) as Float32Array, fixtures.leaky.y, 1e-6, "LeakyReLU");
  // An embedding that shows what the dense layer gives.
  const shape = { ...architecture, layers: networkOf({ ...network, dense: 32, embedding: 32 }) };
  const weights = new Map(initialWeights(shape, 3));
  const one = Float32Array.from({ length: 32 * 32 }, (_, i) => (i % 33 === 0 ? 1 : 0));
  weights.set("embedding.kernel", { shape: [32, 32], data: one });
  const encoder = createEncoder(tensorflow, shape, weights);
  const plain = trainingOutput(encoder, {});
  // LeakyReLU of numbers of mean 0 and variance 1: nothing below is steeper than 0.3.
  expect(Math.min(...plain)).toBeGreaterThan(-0.9);
  expect(Math.max(...plain)).toBeGreaterThan(0.9);
  let [dropped, kept] = [0, 0];
  for (let step = 1; step <= 20; step++) {
    const output = trainingOutput(encoder, { step, dropout: { ...NONE, dense: 0.25 } });
    for (const [i, value] of output.entries()) {
      if (value === 0) dropped++;
      else {
        kept++;
        expect(value).toBeCloseTo((plain[i] as number) / 0.75, 4);
      }
    }
  }
  expect(dropped / (dropped + kept)).toBeGreaterThan(0.22);
  expect(dropped / (dropped + kept)).toBeLessThan(0.28);
  encoder.dispose();
});

test("spatial dropout: on the input whole channels, scaled; after a convolution whole maps", async () => {
  const encoder = createEncoder(await loadTensorflow(), architecture, weights);
  // Two tiles whose doubles are bytes, too: half of the channels fall out, the others count twice.
  const dim = tiles.slice(0, 2).map((tile) => tile.map((value) => value >> 1));
  const on = new Uint8Array(6).fill(1);
  const dropped = trainingOutput(encoder, { tiles: dim, channelsOn: on, dropout: { ...NONE, input: 0.5 } });
  const twice = dim.map((tile) => tile.map((value) => 2 * value));
  const matches = Array.from({ length: 64 }, (_, mask) => {
    const channelsOn = Uint8Array.from({ length: 6 }, (_, bit) => (mask >> bit) & 1);
    const output = trainingOutput(encoder, { tiles: twice, channelsOn });
    return output.every((value, i) => Math.abs(value - (dropped[i] as number)) < 1e-4);
  });
  expect(matches.filter(Boolean)).toHaveLength(1);
  encoder.dispose();

  const shape = { ...architecture, layers: networkOf({ ...network, pooled: [16], pointwise: [] }) };
  const wide = createEncoder(await loadTensorflow(), shape, initialWeights(shape, 3));
  const { gradients } = wide.gradients(batch({ dropout: { ...NONE, conv: 0.7 } }), (embeddings) =>
    embeddings.map((value) => value ** 2 + 0.1),
  );
  // The gradient of the dense kernel, [4 × 4 places × 16 maps, 4], by map: none where a map fell out of all six tiles.
  const kernel = gradients.get("dense.kernel") as Float32Array;
  const zeros = Array.from({ length: 16 }, (_, map) =>
    Array.from({ length: 16 }, (_, place) =>
      kernel.subarray(4 * (16 * place + map), 4 * (16 * place + map) + 4).every((value) => value === 0),
    ),
  );
  const gone = zeros.filter((places) => places.every(Boolean)).length;
  expect(gone).toBeGreaterThan(0);
  expect(zeros.filter((places) => places.some(Boolean)).length).toBe(gone);
  wide.dispose();
});
