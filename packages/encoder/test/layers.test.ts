import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { backward } from "../src/backward.ts";
import { convert, type Real } from "../src/engine.ts";
import { foldWeights } from "../src/fold.ts";
import { forward } from "../src/forward.ts";
import { LAYER_KINDS, type LayerSpec, type WeightArray } from "../src/index.ts";
import { inferSteps } from "../src/infer.ts";
import type { Shape } from "../src/layers/shape.ts";
import { layOut } from "../src/layout.ts";
import { inferenceSteps, type Step, trainingSteps } from "../src/steps.ts";

/** What python/make_fixtures.py wrote of layers: their own numbers and gradients in Keras. */
interface Example {
  input: Shape;
  layers: LayerSpec[];
  weights: Record<string, { shape: number[]; data: number[] }>;
  inference: number[];
  /** In training. */
  output: number[];
  /** Of the sum of all that it gives, each number times {@link weighing}. */
  gradientByInput: number[];
  gradients: Record<string, number[]>;
}
const examples: Example[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "fixtures.json"), "utf8"),
).layers;

const BATCH = 2;
/** As in make_fixtures.py. */
const inputOf = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => (((i * 37) % 256) - 128) / 256);
const weighing = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((i * 7919 + 90 * 104729) % 1000) / 1000 - 0.5);

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

const weightsOf = ({ weights }: Example): Map<string, WeightArray> =>
  new Map(
    Object.entries(weights).map(([name, { shape, data }]) => [
      name,
      { shape, data: Float32Array.from(data) },
    ]),
  );

const nameOf = ({ layers }: Example): string =>
  layers.map((spec) => `${spec.kind} ${Object.values(spec).slice(1).join(" ")}`.trim()).join(", ");

test("every kind of layer has an example that holds it alone", () => {
  const alone = examples.flatMap(({ layers }) => (layers.length === 1 ? layers.map(({ kind }) => kind) : []));
  expect([...new Set(alone)].sort()).toEqual(Object.keys(LAYER_KINDS).sort());
});

test.each(examples.map((example) => [nameOf(example), example] as const))(
  "%s: what it gives, and all its gradients, are Keras'",
  async (_, example) => {
    const tensorflow = await loadTensorflow();
    const { tf } = tensorflow;
    let before = 0;
    const layers = layOut(example.input, example.layers);
    const types: [Real, number][] = [
      ["float32", 1e-5],
      ["bfloat16", 0.03],
    ];
    // The first round makes the constants, which stay.
    for (const [type, tolerance] of [...types, ...types]) {
      if (type === "bfloat16" && !tensorflow.bfloat16Kernels) continue;
      if (type === "float32") before = tf.memory().numTensors;
      tf.tidy(() => {
        const shape = [BATCH, ...example.input];
        const x = tf.tensor(inputOf(shape.reduce((a, b) => a * b)), shape);
        const steps = trainingSteps(layers, type).filter(({ part }) => part !== "dropout");
        const operandsOf = ({ layer, type: own }: Step): Record<string, Tensor> =>
          Object.fromEntries(
            [...weightsOf(example)].flatMap(([name, { shape, data }]) => {
              const [prefix, weight = ""] = name.split(".");
              if (prefix !== layer.name) return [];
              const tensor = tf.tensor(data, [...shape]);
              const converted = ["kernel", "bias"].includes(weight);
              return [[weight, converted ? convert(tensorflow, tensor, "float32", own) : tensor]];
            }),
          );
        const { output, traces } = forward(tensorflow, steps, { tensor: x, type: "float32" }, operandsOf);
        expect(output.shape).toEqual([BATCH, ...(layers.at(-1)?.output ?? [])]);
        expectClose(output.dataSync() as Float32Array, example.output, tolerance, `${type}: output`);
        const dy = tf.tensor(weighing(output.size), output.shape);
        const { weights, input } = backward(tensorflow, traces, dy, { input: true, weights: true });
        expect(input?.shape).toEqual(shape);
        const byInput = input?.dataSync() as Float32Array;
        expectClose(byInput, example.gradientByInput, tolerance, `${type}: gradient by the input`);
        expect([...weights.keys()].sort()).toEqual(Object.keys(example.gradients).sort());
        for (const [name, gradient] of Object.entries(example.gradients)) {
          const ours = weights.get(name)?.dataSync() as Float32Array;
          expectClose(ours, gradient, tolerance, `${type}: gradient by ${name}`);
        }
        // Where only the weights' are wanted, they are the same, and the way back ends at the first kernel.
        const short = backward(tensorflow, traces, dy);
        expect(short.input === undefined).toBe(layers.some(({ kernel }) => kernel !== undefined));
        for (const [name, gradient] of weights)
          expect(short.weights.get(name)?.dataSync()).toEqual(gradient.dataSync());
        // Where only the input's is wanted, it is the same, and no other is given.
        const inputAlone = backward(tensorflow, traces, dy, { input: true, weights: false });
        expect(inputAlone.weights.size).toBe(0);
        expect(inputAlone.input?.dataSync()).toEqual(byInput);
      });
    }
    expect(tf.memory().numTensors).toBe(before);
  },
);

test.each(examples.map((example) => [nameOf(example), example] as const))(
  "%s: outside training, folded and in another order, it gives what Keras gives",
  async (_, example) => {
    const tensorflow = await loadTensorflow();
    const { tf } = tensorflow;
    const layers = layOut(example.input, example.layers);
    tf.tidy(() => {
      const shape = [BATCH, ...example.input];
      // The first kernel takes bytes.
      const scale = layers.some(({ kernel }) => kernel !== undefined) ? 255 : 1;
      const x = tf.tensor(inputOf(shape.reduce((a, b) => a * b)), shape).mul(scale);
      const folded = foldWeights(tf, layers, weightsOf(example));
      const output = inferSteps(tensorflow, inferenceSteps(layers), folded, x);
      expectClose(output.dataSync() as Float32Array, example.inference, 1e-5, "inference");
    });
  },
);

test("what rises follows a layer that selects: LeakyReLU, dropout and a folded shift come after the pooling", () => {
  const followed = { normalization: "batch", activation: "leaky relu" } as const;
  const layers = layOut(
    [8, 8, 2],
    [
      { kind: "conv", filters: 3, size: 3, ...followed },
      { kind: "pool" },
      { kind: "pool" },
      { kind: "flatten" },
      { kind: "dense", units: 2, normalization: "none", activation: "none" },
    ],
  );
  const listed = (steps: Step[]): string[] =>
    steps.map(({ layer, part }) => (part === "layer" ? layer.name : part));
  expect(listed(trainingSteps(layers, "bfloat16"))).toEqual(
    "conv1 normalization pool1 pool2 activation dropout flatten1 embedding bias".split(" "),
  );
  expect(listed(inferenceSteps(layers))).toEqual(
    "conv1 pool1 pool2 bias activation flatten1 embedding bias".split(" "),
  );
  expect(trainingSteps(layers, "bfloat16").map(({ type }) => type)).toEqual([
    ...Array(6).fill("bfloat16"),
    ...Array(3).fill("float32"),
  ]);
});
