import { spawnSync } from "node:child_process";
import { randomOf } from "@loc2vec/core";
import { loadTensorflow } from "@loc2vec/tensorflow";
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import {
  ADAM,
  type Architecture,
  countParameters,
  createEncoder,
  decodeSafetensors,
  type Encoder,
  type EncoderOptions,
  encodeSafetensors,
  initialWeights,
  LOC2VEC,
  layersOf,
  networkOf,
  parametersOf,
  type TrainBatch,
  type Triplet,
} from "../src/index.ts";
import { stepOfAdam } from "./adam.ts";
import { tripletLoss } from "./losses.ts";

const SMALL: Architecture = {
  channels: 3,
  pixels: 16,
  layers: networkOf({ pooled: [8, 8], pointwise: [8, 4], dense: 6, embedding: 4 }),
};
const SIZE = 4;

function batchOf(architecture: Architecture, count: number, changes: Partial<TrainBatch> = {}): TrainBatch {
  const { channels, pixels } = architecture;
  const tiles = Array.from({ length: count }, (_, i) => {
    const random = randomOf(99, i);
    return new Uint8Array(channels * pixels * pixels).map(() => random.int(256));
  });
  const channelsOn = new Uint8Array(count * channels).fill(1);
  return { tiles, channelsOn, seed: 1, step: 1, dropout: { input: 0, conv: 0, dense: 0 }, ...changes };
}

test("the published network has 305,040 parameters", () => {
  expect(countParameters(LOC2VEC)).toBe(305_040);
  const trained = parametersOf(LOC2VEC).filter((parameter) => parameter.trained);
  expect(trained.filter(({ name }) => name.endsWith(".kernel")).map(({ shape }) => shape)).toEqual([
    [3, 3, 12, 32],
    [3, 3, 32, 64],
    [3, 3, 64, 64],
    [3, 3, 64, 128],
    [3, 3, 128, 128],
    [1, 1, 128, 128],
    [1, 1, 128, 16],
    [256, 16],
    [16, 16],
  ]);
  expect(trained.filter(({ name }) => name.endsWith(".bias")).map(({ name }) => name)).toEqual([
    "embedding.bias",
  ]);
});

test("the gradients are those of tfjs's own differentiation of the plain network", async () => {
  const tensorflow = await loadTensorflow();
  const { tf } = tensorflow;
  const weights = initialWeights(SMALL, 5);
  const encoder = createEncoder(tensorflow, SMALL, weights);
  const count = 6;
  const batch = batchOf(SMALL, count);
  batch.channelsOn[4] = 0;
  const target = Float32Array.from({ length: count * SIZE }, (_, i) => Math.sin(i));
  const { gradients } = encoder.gradients(batch, () => target);

  const names = parametersOf(SMALL).filter(({ trained }) => trained);
  const plain = (tensors: Tensor[]): Tensor => {
    const weight = (name: string): Tensor =>
      tensors[names.findIndex((parameter) => parameter.name === name)] as Tensor;
    const planar = tf.tensor4d(
      batch.tiles.flatMap((tile, i) =>
        [...tile].map((v, k) => (v / 255) * (batch.channelsOn[i * 3 + Math.floor(k / 256)] as number)),
      ),
      [count, 3, 16, 16],
    );
    let x: Tensor = planar.transpose([0, 2, 3, 1]);
    for (const { name, spec } of layersOf(SMALL)) {
      if (spec.kind === "pool") x = tf.maxPool(x as Tensor4D, 2, 2, "valid");
      if (spec.kind === "flatten") x = x.reshape([count, -1]);
      if (spec.kind !== "conv" && spec.kind !== "dense") continue;
      const kernel = weight(`${name}.kernel`);
      x =
        spec.kind === "conv"
          ? tf.conv2d(x as Tensor4D, kernel as Tensor4D, 1, "same")
          : tf.matMul(x as Tensor2D, kernel as Tensor2D);
      if (spec.normalization === "none")
        return tf
          .add(x, weight(`${name}.bias`))
          .mul(tf.tensor(target, [count, SIZE]))
          .sum();
      const { mean, variance } = tf.moments(x, x.rank === 4 ? [0, 1, 2] : [0]);
      const gamma = weight(`${name}.gamma`) as Tensor1D;
      x = tf
        .sub(x, mean)
        .div(variance.add(1e-3).sqrt())
        .mul(gamma)
        .add(weight(`${name}.beta`));
      // The leak written out: tfjs has no gradient of its own op for the native backend's alpha.
      x = tf.maximum(x, tf.mul(x, 0.3));
    }
    return x;
  };
  const inputs = names.map(({ name, shape }) =>
    tf.tensor(weights.get(name)?.data.slice() as Float32Array, [...shape]),
  );
  const expected = tf.grads((...tensors: Tensor[]) => plain(tensors) as never)(inputs);
  for (const [at, { name }] of names.entries()) {
    const want = (expected[at] as Tensor).dataSync();
    const got = gradients.get(name) as Float32Array;
    const scale = Math.max(...want.map(Math.abs), 1e-3);
    for (let i = 0; i < want.length; i++) {
      expect(Math.abs((got[i] as number) - (want[i] as number)) / scale, `${name}[${i}]`).toBeLessThan(2e-3);
    }
  }
  encoder.dispose();
});

/** Forty steps on one mini-batch. @returns the losses, and the tensors that came to stay after the second */
async function descend(options: EncoderOptions): Promise<{ losses: number[]; leaked: number }> {
  const tensorflow = await loadTensorflow();
  const encoder = createEncoder(tensorflow, SMALL, initialWeights(SMALL, 1), options);
  const triplets: Triplet[] = [0, 2, 4].map((anchor) => ({
    anchor,
    positive: anchor + 1,
    negative: (anchor + 2) % 6,
  }));
  const losses: number[] = [];
  let tensors = 0;
  for (let step = 1; step <= 40; step++) {
    const gradientOf = (embeddings: Float32Array): Float32Array => {
      const { loss, gradient } = tripletLoss(embeddings, SIZE, triplets);
      losses.push(loss);
      return gradient;
    };
    const infinite = encoder.train(batchOf(SMALL, 6, { step }), gradientOf, {
      learningRate: 0.01,
      accept: () => true,
    });
    expect(infinite).toBeUndefined();
    if (step === 2) tensors = tensorflow.tf.memory().numTensors;
  }
  const leaked = tensorflow.tf.memory().numTensors - tensors;
  encoder.dispose();
  return { losses, leaked };
}

test("a few steps on one mini-batch bring the loss down; nothing leaks", async () => {
  const { losses, leaked } = await descend({});
  expect(losses.at(-1)).toBeLessThan((losses[0] as number) / 3);
  expect(leaked).toBe(0);
});

test("mixed precision: gradients point where float32's do, the loss comes down, nothing leaks", async () => {
  const tensorflow = await loadTensorflow();
  const weights = initialWeights(SMALL, 1);
  const target = Float32Array.from({ length: 32 * SIZE }, (_, i) => Math.cos(i));
  const [float32, mixed] = (["float32", "mixed"] as const).map((precision) => {
    const encoder = createEncoder(tensorflow, SMALL, weights, { precision });
    expect(encoder.precision).toBe(precision);
    const result = encoder.gradients(batchOf(SMALL, 32), () => target);
    encoder.dispose();
    return result;
  });
  const product = (a: Float32Array, b: Float32Array): number =>
    a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
  for (const [name, want] of float32?.gradients ?? []) {
    const got = mixed?.gradients.get(name) as Float32Array;
    const cosine = product(want, got) / Math.sqrt(product(want, want) * product(got, got));
    expect(cosine, name).toBeGreaterThan(name.endsWith(".kernel") ? 0.99 : 0.98);
    if (name === "conv1.kernel") expect(got).not.toEqual(want);
  }
  for (const [name, { data }] of mixed?.statistics ?? []) {
    // Float32 itself: a bfloat16 would have 16 zero bits at its end.
    expect(new Uint16Array(data.buffer).filter((_, i) => i % 2 === 0).some((low) => low !== 0)).toBe(true);
    for (const [i, want] of (float32?.statistics.get(name)?.data ?? []).entries())
      expect(data[i], name).toBeCloseTo(want, 1);
  }
  const { losses, leaked } = await descend({ precision: "mixed" });
  expect(losses.at(-1)).toBeLessThan((losses[0] as number) / 3);
  expect(leaked).toBe(0);
});

test("mixed precision on a TensorFlow without bfloat16 is refused, and auto is float32 there", async () => {
  const old = { ...(await loadTensorflow()), version: "2.9.1", bfloat16: false, bfloat16Kernels: false };
  const weights = initialWeights(SMALL, 1);
  expect(() => createEncoder(old, SMALL, weights, { precision: "mixed" })).toThrowError(
    expect.objectContaining({
      kind: "missing",
      message: "mixed precision: TensorFlow 2.9.1 has no bfloat16",
      mend: expect.stringContaining("FARM_TENSORFLOW"),
    }),
  );
  const encoder = createEncoder(old, SMALL, weights, { precision: "auto" });
  expect(encoder.precision).toBe("float32");
  encoder.dispose();
});

test("the same keys give the same gradients, others other dropout", async () => {
  const encoder = createEncoder(await loadTensorflow(), SMALL, initialWeights(SMALL, 1));
  const run = (step: number): number[] => {
    const batch = batchOf(SMALL, 4, { step, dropout: { input: 0.3, conv: 0.3, dense: 0.3 } });
    const kernel = encoder.gradients(batch, (embeddings) => embeddings).gradients.get("conv1.kernel");
    return [...(kernel as Float32Array)];
  };
  expect(run(3)).toEqual(run(3).map((value) => expect.closeTo(value, 5)));
  expect(run(3)).not.toEqual(run(4).map((value) => expect.closeTo(value, 5)));
  encoder.dispose();
});

test("statistics alone are those of a whole step, and nothing leaks", async () => {
  const tensorflow = await loadTensorflow();
  const encoder = createEncoder(tensorflow, SMALL, initialWeights(SMALL, 1));
  const batch = batchOf(SMALL, 4, { step: 3, dropout: { input: 0.3, conv: 0.3, dense: 0.3 } });
  const { statistics } = encoder.gradients(batch, (embeddings) => embeddings);
  const { numTensors } = tensorflow.tf.memory();
  expect(encoder.statistics(batch)).toEqual(statistics);
  expect(tensorflow.tf.memory().numTensors).toBe(numTensors);
  expect(encoder.statistics({ ...batch, seed: batch.seed + 1 })).not.toEqual(statistics);
  encoder.dispose();
});

test.each(["float32", "mixed"])("a %s step in a process of its own says nothing on stderr", (precision) => {
  const script = `
    import { createEncoder, initialWeights, LOC2VEC } from "@loc2vec/encoder";
    import { loadTensorflow } from "@loc2vec/tensorflow";
    const { channels, pixels } = LOC2VEC;
    const encoder = createEncoder(await loadTensorflow(), LOC2VEC, initialWeights(LOC2VEC, 1), {
      precision: ${JSON.stringify(precision)},
    });
    const tiles = [new Uint8Array(channels * pixels ** 2), new Uint8Array(channels * pixels ** 2).fill(9)];
    const dropout = { input: 0.1, conv: 0.1, dense: 0.1 };
    const batch = { tiles, channelsOn: new Uint8Array(2 * channels).fill(1), seed: 1, step: 1, dropout };
    const { gradients } = encoder.gradients(batch, (embeddings) => embeddings.map(Math.sin));
    console.log(gradients.size);`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  expect({ stdout, stderr }).toEqual({ stdout: "26\n", stderr: "" });
});

test("embedding: a tile's vector does not depend on its neighbours, nor on the batch's size", async () => {
  const encoder = createEncoder(await loadTensorflow(), SMALL, initialWeights(SMALL, 1));
  const { tiles } = batchOf(SMALL, 5);
  const all = encoder.embed(tiles);
  const last = encoder.embed(tiles.slice(4));
  expect(all.length).toBe(5 * SIZE);
  expect([...last]).toEqual([...all.slice(4 * SIZE)].map((value) => expect.closeTo(value, 5)));
  expect(() => encoder.embed([new Uint8Array(7)])).toThrow(/tile 0 of the mini-batch has 7 bytes, not 768/);
  encoder.dispose();
});

/** A quarter turn: y downwards becomes x to the right. */
function turnedTile({ channels, pixels }: Architecture, tile: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: channels * pixels * pixels }, (_, at) => {
    const [channel, y, x] = [Math.floor(at / pixels ** 2), Math.floor(at / pixels) % pixels, at % pixels];
    return tile[(channel * pixels + pixels - 1 - x) * pixels + y] as number;
  });
}
function mirroredTile({ pixels }: Architecture, tile: Uint8Array): Uint8Array {
  return tile.map((_, at) => tile[at + pixels - 1 - 2 * (at % pixels)] as number);
}

test.each([1, 4, 8] as const)(
  "averaged over %i turns, a tile has the embedding of its turns",
  async (turns) => {
    const architecture = { ...SMALL, turns };
    const encoder = createEncoder(await loadTensorflow(), architecture, initialWeights(SMALL, 1));
    const [tile] = batchOf(SMALL, 1).tiles as [Uint8Array];
    const furthest = (other: Uint8Array): number => {
      const [own, its] = [encoder.embed([tile]), encoder.embed([other])];
      return Math.max(...own.map((value, i) => Math.abs(value - (its[i] as number))));
    };
    const quarter = turnedTile(SMALL, tile);
    for (const other of [quarter, turnedTile(SMALL, quarter)])
      expect(furthest(other)).toSatisfy((far: number) => far < 1e-6 === turns > 1);
    expect(furthest(mirroredTile(SMALL, quarter))).toSatisfy((far: number) => far < 1e-6 === turns > 4);
    encoder.dispose();
  },
);

test("a network that pools globally trains on tiles of either size", async () => {
  const layers = networkOf([
    { kind: "conv", filters: 4, size: 3, normalization: "batch", activation: "leaky relu" },
    { kind: "blur pool" },
    { kind: "global pool", also: ["conv1"] },
    { kind: "dense", units: 4 },
  ]);
  const encoder = createEncoder(
    await loadTensorflow(),
    { ...SMALL, layers, halvings: 1 },
    new Map(initialWeights({ ...SMALL, layers }, 1)),
  );
  const halved = { ...SMALL, pixels: 8 };
  const embedded = (batch: TrainBatch): number[] => {
    let vectors: number[] = [];
    encoder.gradients(batch, (embeddings) => {
      vectors = [...embeddings];
      return embeddings;
    });
    return vectors;
  };
  const batch = batchOf(SMALL, 6);
  const own = embedded(batch);
  expect(embedded({ ...batch, halvings: 1 })).toEqual(own);
  expect(embedded({ ...batch, halvings: 0 })).not.toEqual(own);
  expect(() => embedded(batchOf(halved, 6))).toThrow(/tile 0 of the mini-batch has 192 bytes, not 768/);
  encoder.dispose();
});

test("SoftPN by hand, and its gradient by differences", () => {
  // Δ(a, p) = 3, Δ(a, n) = 4, Δ(p, n) = 5: the anchor is closer to the negative.
  const near = tripletLoss(Float32Array.of(0, 0, 3, 0, 0, 4), 2, [{ anchor: 0, positive: 1, negative: 2 }]);
  expect(near.loss).toBeCloseTo((Math.exp(3) / (Math.exp(3) + Math.exp(4))) ** 2, 9);
  expect(near).toMatchObject({ positive: expect.closeTo(3, 6), negative: expect.closeTo(4, 6), accuracy: 1 });
  const scaled = tripletLoss(
    Float32Array.of(0, 0, 3, 0, 0, 4),
    2,
    [{ anchor: 0, positive: 1, negative: 2 }],
    "softpn",
    0.5,
  );
  expect(scaled.loss).toBeCloseTo((Math.exp(6) / (Math.exp(6) + Math.exp(8))) ** 2, 9);
  expect(scaled).toMatchObject({ positive: expect.closeTo(3, 6), negative: expect.closeTo(4, 6) });
  // Here the positive is closer to the negative: only SoftPN sees it.
  const points = Float32Array.of(0, 0, 3, 1, 4, 0.5);
  const triplet = [{ anchor: 0, positive: 1, negative: 2 }];
  for (const [kind, scale] of [
    ["softpn", 1],
    ["ratio", 1],
    ["softpn", 3],
  ] as const) {
    const { gradient, negative } = tripletLoss(points, 2, triplet, kind, scale);
    expect(negative).toBeCloseTo(kind === "softpn" ? Math.hypot(1, 0.5) : Math.hypot(4, 0.5), 6);
    for (let i = 0; i < points.length; i++) {
      const at = (h: number): number =>
        tripletLoss(
          points.map((v, k) => (k === i ? v + h : v)),
          2,
          triplet,
          kind,
          scale,
        ).loss;
      expect(gradient[i]).toBeCloseTo((at(1e-3) - at(-1e-3)) / 2e-3, 3);
    }
  }
});

test("Adam's first step moves each weight by the learning rate against its gradient", async () => {
  const before = { weights: Float32Array.of(1, 1, 1), m: new Float32Array(3), v: new Float32Array(3) };
  const { weights } = stepOfAdam(await loadTensorflow(), before, Float32Array.of(5, -0.01, 0), 1);
  expect([...weights]).toEqual([expect.closeTo(0.999, 6), expect.closeTo(1.001, 5), 1]);
});

test("Adam in TensorFlow has the bits of doubles that are kept as float32", async () => {
  const tensorflow = await loadTensorflow();
  const random = randomOf(7);
  const draw = (scale: number): Float32Array =>
    Float32Array.from({ length: 1000 }, () => scale * random.normal());
  let ours = { weights: draw(1), m: draw(0.01), v: draw(0.01).map((value) => value * value) };
  const theirs = { weights: ours.weights.slice(), m: ours.m.slice(), v: ours.v.slice() };
  for (const step of [1, 2, 3, 999, 20_000]) {
    const gradient = draw(10 ** -(step % 7));
    const learningRate = 0.0123 / step;
    ours = stepOfAdam(tensorflow, ours, gradient, step, { ...ADAM, learningRate });
    const rate = (learningRate * Math.sqrt(1 - ADAM.beta2 ** step)) / (1 - ADAM.beta1 ** step);
    const { weights, m, v } = theirs;
    for (const [i, g] of gradient.entries()) {
      m[i] = ADAM.beta1 * (m[i] as number) + (1 - ADAM.beta1) * g;
      v[i] = ADAM.beta2 * (v[i] as number) + (1 - ADAM.beta2) * g * g;
      weights[i] =
        (weights[i] as number) - (rate * (m[i] as number)) / (Math.sqrt(v[i] as number) + ADAM.epsilon);
    }
    expect(ours).toEqual(theirs);
  }
});

test("a step that is not accepted, or whose weights would not be finite, changes nothing; the norm is of all gradients", async () => {
  const encoder = createEncoder(await loadTensorflow(), SMALL, initialWeights(SMALL, 1));
  const batch = batchOf(SMALL, 6);
  const gradientOf = (embeddings: Float32Array): Float32Array => embeddings.map(Math.sin);
  const state = () => structuredClone({ weights: encoder.weights, moments: encoder.moments });
  const before = state();
  const { gradients } = encoder.gradients(batch, gradientOf);
  const norm = Math.hypot(...[...gradients.values()].flatMap((each) => [...each]));
  const norms: number[] = [];
  const train = (learningRate: number, accepted: boolean) =>
    encoder.train(batch, gradientOf, {
      learningRate,
      accept: (gradientNorm) => norms.push(gradientNorm) > 0 && accepted,
    });
  expect(train(0.01, false)).toBeUndefined();
  expect(state()).toEqual(before);
  expect(train(1e40, true)).toBe("conv1.kernel");
  expect(state()).toEqual(before);
  expect(train(0.01, true)).toBeUndefined();
  expect(state().weights).not.toEqual(before.weights);
  expect(norms).toEqual(Array(3).fill(expect.closeTo(norm, 5)));
  encoder.dispose();
});

test("weights and moments that are read back go on in another encoder to the same bits; all is freed at the end", async () => {
  const tensorflow = await loadTensorflow();
  const gradientOf = (embeddings: Float32Array): Float32Array => embeddings.map(Math.sin);
  const train = (encoder: Encoder, steps: readonly number[]): void => {
    for (const step of steps)
      encoder.train(batchOf(SMALL, 6, { step }), gradientOf, { learningRate: 0.01, accept: () => true });
  };
  const whole = createEncoder(tensorflow, SMALL, initialWeights(SMALL, 1));
  train(whole, [1, 2, 3, 4]);
  const { numTensors } = tensorflow.tf.memory();
  const first = createEncoder(tensorflow, SMALL, initialWeights(SMALL, 1));
  const average = first.average(first.weights);
  train(first, [1, 2]);
  average.add(0.25);
  const second = createEncoder(tensorflow, SMALL, first.weights, { moments: first.moments });
  train(second, [3, 4]);
  expect(second.weights).toEqual(whole.weights);
  expect(second.moments).toEqual(whole.moments);
  expect([...second.weights.keys()]).toEqual([...initialWeights(SMALL, 1).keys()]);

  // In doubles, kept as float32.
  const began = initialWeights(SMALL, 1);
  for (const [name, { data }] of average.read()) {
    const own = first.weights.get(name)?.data as Float32Array;
    expect(data).toEqual(began.get(name)?.data.map((mean, i) => mean + 0.25 * ((own[i] as number) - mean)));
  }
  first.dispose();
  second.dispose();
  expect(tensorflow.tf.memory().numTensors).toBe(numTensors);
  whole.dispose();
});

test("safetensors: round trip, and damage is named", () => {
  const weights = initialWeights(SMALL, 3);
  const bytes = encodeSafetensors(weights, { step: "3" });
  expect(decodeSafetensors(bytes, "file")).toEqual(weights);
  const fromFile = decodeSafetensors(Buffer.from(bytes), "file");
  expect(fromFile).toEqual(weights);
  for (const { data } of fromFile.values()) expect(data.buffer.byteLength).toBe(data.byteLength);
  expect(() => decodeSafetensors(bytes.subarray(0, bytes.length - 1), "file")).toThrow(/file: .*is cut off/);
  expect(() => decodeSafetensors(bytes.subarray(0, 4), "file")).toThrow(/header is cut off/);
});
