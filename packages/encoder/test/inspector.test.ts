import { randomOf } from "@loc2vec/core";
import { loadTensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { type Architecture, createEncoder, createInspector } from "../src/index.ts";
import { SMALL_LAYERS, TILE, trainedLike } from "./networks.ts";

/** Networks that have every kind of layer between them, by what is special of them. */
const NETWORKS: Readonly<Record<string, Architecture>> = {
  "of Loc2Vec's kind, on tiles that are halved and turned": {
    ...{ channels: 3, pixels: 32, halvings: 1, turns: 8 },
    layers: SMALL_LAYERS.small,
  },
  "with blur pools and a bias": { ...TILE, layers: SMALL_LAYERS.blurred },
  "with a global pool of several maps": { ...TILE, layers: SMALL_LAYERS.global },
};
const ENTRIES = Object.entries(NETWORKS);

const SIDE = 16;
const noise = (count: number, seed: number): Float32Array => {
  const random = randomOf(seed);
  return new Float32Array(count).map(() => 255 * random.uniform());
};

test.each(ENTRIES)("%s: the embedding is the encoder's, on its turns", async (_, architecture) => {
  const tensorflow = await loadTensorflow();
  const { tf } = tensorflow;
  const weights = trainedLike(architecture);
  const random = randomOf(7);
  const { pixels, channels, halvings = 0 } = architecture;
  // Squares of equal pixels are what they were when they are halved.
  const cells = SIDE ** 2;
  const small = new Uint8Array(2 * channels * cells).map(() => random.int(256));
  const tiles = [0, 1].map((tile) =>
    Uint8Array.from({ length: channels * pixels * pixels }, (_, i) => {
      const [c, y, x] = [Math.floor(i / pixels ** 2), Math.floor(i / pixels) % pixels, i % pixels];
      return small[(tile * channels + c) * cells + (y >> halvings) * SIDE + (x >> halvings)] as number;
    }),
  );
  const encoder = createEncoder(tensorflow, architecture, weights);
  const theirs = encoder.embed(tiles);
  encoder.dispose();
  const before = tf.memory().numTensors;
  const inspector = createInspector(tensorflow, architecture, weights);
  tf.tidy(() => {
    const planar = tf.tensor4d(Float32Array.from(small), [2, channels, SIDE, SIDE]);
    const { output } = inspector.look(planar.transpose([0, 2, 3, 1]), "embedding");
    const ours = output.dataSync() as Float32Array;
    expect(output.shape).toEqual([2, 4]);
    for (const [i, value] of theirs.entries()) expect(ours[i]).toBeCloseTo(value, 4);
  });
  inspector.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

test.each(ENTRIES)(
  "%s: the gradients by the pixels are differences, at every layer",
  async (_, architecture) => {
    const tensorflow = await loadTensorflow();
    const { tf } = tensorflow;
    const inspector = createInspector(tensorflow, architecture, trainedLike(architecture));
    const shape = [2, SIDE, SIDE, architecture.channels] as [number, number, number, number];
    const start = noise(
      shape.reduce((a, b) => a * b),
      11,
    );
    for (const layer of inspector.layers) {
      const valueAt = (pixels: Float32Array, weighing: Tensor): number =>
        tf.tidy(() => {
          const { output } = inspector.look(tf.tensor4d(pixels, shape), layer.name);
          // Summed in float64: what is told apart is a small part of it.
          const [numbers, factors] = [output.dataSync(), weighing.dataSync()];
          return numbers.reduce((sum, number, i) => sum + number * (factors[i] as number), 0);
        });
      tf.tidy(() => {
        const { output, back } = inspector.look(tf.tensor4d(start, shape), layer.name);
        expect(output.shape).toEqual([2, ...layer.output]);
        const random = randomOf(13);
        const weighing = tf.tensor(
          new Float32Array(output.size).map(() => random.normal()),
          output.shape,
        );
        const gradient = back(weighing).dataSync() as Float32Array;
        expect(gradient.length).toBe(start.length);
        for (let direction = 0; direction < 3; direction++) {
          const draws = randomOf(17, direction);
          const along = new Float32Array(start.length).map(() => draws.normal());
          const slope = along.reduce((sum, value, i) => sum + value * (gradient[i] as number), 0);
          const size = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
          // Large beside float32's precision, small beside the bends of LeakyReLU and pooling.
          const h = 0.02;
          const moved = (sign: number): Float32Array =>
            start.map((value, i) => value + sign * h * (along[i] as number));
          const difference = (valueAt(moved(1), weighing) - valueAt(moved(-1), weighing)) / (2 * h);
          expect(size, layer.name).toBeGreaterThan(0);
          expect(Math.abs(difference - slope) / size, `${layer.name}, ${direction}`).toBeLessThan(0.06);
        }
      });
    }
    inspector.dispose();
  },
);

test("before a feature map, pixels may be of another size; a layer that is not there is named", async () => {
  const tensorflow = await loadTensorflow();
  const { tf } = tensorflow;
  const architecture = NETWORKS["of Loc2Vec's kind, on tiles that are halved and turned"] as Architecture;
  const inspector = createInspector(tensorflow, architecture, trainedLike(architecture));
  tf.tidy(() => {
    const pixels = tf.zeros([1, 8, 8, 3]);
    expect(inspector.look(pixels, "conv2").output.shape).toEqual([1, 4, 4, 6]);
    expect(() => inspector.look(pixels, "conv9")).toThrowError(
      expect.objectContaining({
        message: 'the network has no layer "conv9"',
        mend: "one of: conv1, pool1, conv2, pool2, conv3, flatten1, dense, embedding",
      }),
    );
  });
  inspector.dispose();
  expect(() => createInspector(tensorflow, architecture, new Map())).toThrowError(
    "the inspector: weight conv1.kernel is missing",
  );
});
