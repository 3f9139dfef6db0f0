import { type Architecture, layersOf } from "@loc2vec/encoder";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, test } from "vitest";
import { dataOf, LINEAR, NETWORKS, SMALL, trainedLike } from "../../encoder/test/networks.ts";
import { blur, gaussian } from "../src/blur.ts";
import { maximizeActivations } from "../src/index.ts";

const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

test.each(Object.entries(NETWORKS))(
  "%s: every layer with filters gets images that it responds to more than to noise",
  async (_, architecture) => {
    const tensorflow = await loadTensorflow();
    const weights = trainedLike(architecture);
    // Nothing but uphill.
    const options = { iterations: 12, decay: 0, blurEvery: 1000 };
    for (const { name, kernel, output } of layersOf(architecture)) {
      if (kernel === undefined) continue;
      const found = await maximizeActivations(tensorflow, architecture, weights, { layer: name, ...options });
      const count = output.at(-1) as number;
      expect(found).toMatchObject({ layer: name, channels: 3, side: 16 });
      expect(found.filters).toEqual(Array.from({ length: count }, (_, i) => i));
      expect(found.images.length).toBe(count * 3 * 16 * 16);
      expect(found.images.every((pixel) => pixel >= 0 && pixel <= 255)).toBe(true);
      for (const filter of found.filters)
        expect(found.last[filter], `${name}, ${filter}`).toBeGreaterThan(found.first[filter] as number);
    }
    // What the first calls made that stays is there: others add nothing.
    const before = tensorflow.tf.memory().numTensors;
    await maximizeActivations(tensorflow, architecture, weights, { layer: "embedding", ...options });
    expect(tensorflow.tf.memory().numTensors).toBe(before);
  },
);

test("a filter that wants one channel and not the other gets it; one that wants edges gets stripes", async () => {
  const tensorflow = await loadTensorflow();
  const architecture: Architecture = {
    ...LINEAR,
    pixels: 16,
    layers: LINEAR.layers.map((spec) =>
      spec.kind === "conv" ? { ...spec, activation: "leaky relu" } : spec,
    ),
  };
  const weights = trainedLike(architecture);
  const kernel = dataOf(weights, "conv1.kernel").fill(0);
  dataOf(weights, "conv1.bias").fill(0);
  const set = (y: number, x: number, channel: number, filter: number, value: number): void => {
    kernel[((y * 3 + x) * 2 + channel) * 3 + filter] = value;
  };
  for (let y = 0; y < 3; y++) {
    for (let x = 0; x < 3; x++) {
      set(y, x, 0, 0, 1);
      set(y, x, 1, 0, -1);
      // Bright to the right of dark, whatever is above and below.
      set(y, x, 0, 1, x - 1);
      set(y, x, 0, 2, y - 1);
    }
  }
  const { images, side } = await maximizeActivations(tensorflow, architecture, weights, {
    layer: "conv1",
    blurWidth: 0.5,
  });
  const cells = side * side;
  expect(mean(images.subarray(0, cells))).toBeGreaterThan(100);
  expect(Math.max(...images.subarray(cells, 2 * cells))).toBeLessThan(5);
  /** How much the first channel changes along y and along x. */
  const changes = (filter: number): { y: number; x: number } => {
    const plane = images.subarray(2 * filter * cells, (2 * filter + 1) * cells);
    const sums = { y: 0, x: 0 };
    for (let y = 2; y < side - 2; y++) {
      for (let x = 2; x < side - 2; x++) {
        const pixel = plane[y * side + x] as number;
        sums.y += Math.abs(pixel - (plane[(y + 1) * side + x] as number));
        sums.x += Math.abs(pixel - (plane[y * side + x + 1] as number));
      }
    }
    return sums;
  };
  expect(changes(1).x).toBeGreaterThan(2 * changes(1).y);
  expect(changes(2).y).toBeGreaterThan(2 * changes(2).x);
});

test("filters that nothing moves, or that never rise above 0, are dead; they were tried from several seeds", async () => {
  const tensorflow = await loadTensorflow();
  const weights = trainedLike(SMALL);
  dataOf(weights, "conv2.gamma")[1] = 0;
  dataOf(weights, "conv2.beta")[1] = 0.5;
  dataOf(weights, "conv2.beta")[3] = -1000;
  const of = (filters: number[], attempts: number) =>
    maximizeActivations(tensorflow, SMALL, weights, { layer: "conv2", filters, attempts, iterations: 20 });
  const found = await of([0, 1, 2, 3], 2);
  expect(found.dead).toEqual([1, 3]);
  expect(found.first[1]).toBeCloseTo(0.5, 5);
  expect(found.last[1]).toBeCloseTo(0.5, 5);
  expect(found.last[3]).toBeLessThan(0);
  // The second attempt began with other noise, and it is the one that is told.
  const once = await of([3], 1);
  expect(once.dead).toEqual([3]);
  expect(once.first[0]).not.toBe(found.first[3]);
});

test("an image follows from seed and filter, whichever others are asked for", async () => {
  const tensorflow = await loadTensorflow();
  const weights = trainedLike(SMALL);
  const of = (filters: number[], seed: number) =>
    maximizeActivations(tensorflow, SMALL, weights, { layer: "conv1", filters, seed, iterations: 5 });
  const size = 3 * 16 * 16;
  const several = await of([4, 0, 2], 9);
  const alone = await of([2], 9);
  for (const [i, pixel] of alone.images.entries())
    expect(Math.abs(pixel - (several.images[2 * size + i] as number))).toBeLessThan(0.01);
  expect(several.first[2]).toBeCloseTo(alone.first[0] as number, 4);
  const other = await of([2], 10);
  expect(other.first[0]).not.toBeCloseTo(alone.first[0] as number, 4);
});

test("a convolution takes images of other sizes; what cannot be asked for is said", async () => {
  const tensorflow = await loadTensorflow();
  const weights = trainedLike(SMALL);
  const of = (options: { layer: string; filters?: number[]; side?: number }) =>
    maximizeActivations(tensorflow, SMALL, weights, { iterations: 1, ...options });
  const { images, side } = await of({ layer: "conv3", filters: [1], side: 8 });
  expect([images.length, side]).toEqual([3 * 8 * 8, 8]);
  await expect(of({ layer: "pool1" })).rejects.toMatchObject({
    message: 'the network has no layer with filters that is called "pool1"',
    mend: "one of: conv1, conv2, conv3, dense, embedding",
  });
  await expect(of({ layer: "conv1", filters: [6] })).rejects.toMatchObject({
    message: "conv1 has no filter 6",
    mend: "0 to 5",
  });
  await expect(of({ layer: "embedding", side: 8 })).rejects.toThrowError(
    "dense takes images of 16 pixels alone, not of 8",
  );
  await expect(of({ layer: "conv1", side: 7 })).rejects.toThrowError("cannot be halved");
});

test("decay darkens, and blur smooths", async () => {
  const tensorflow = await loadTensorflow();
  const weights = trainedLike(SMALL);
  const of = async (options: { decay: number; blurEvery: number }): Promise<Float32Array> =>
    (await maximizeActivations(tensorflow, SMALL, weights, { layer: "conv2", iterations: 21, ...options }))
      .images;
  const roughness = (images: Float32Array): number =>
    mean(images.map((pixel, i) => Math.abs(pixel - (images[i - 1] ?? pixel))));
  const plain = await of({ decay: 0, blurEvery: 100 });
  expect(mean(await of({ decay: 0.2, blurEvery: 100 }))).toBeLessThan(0.5 * mean(plain));
  expect(roughness(await of({ decay: 0, blurEvery: 4 }))).toBeLessThan(0.7 * roughness(plain));
});

test("a blur spreads a dot as a Gaussian, keeps its sum, and leaves even areas as they are to the edge", async () => {
  const tensorflow = await loadTensorflow();
  const { tf } = tensorflow;
  const weights = gaussian(0.8);
  expect(weights.length).toBe(7);
  expect(weights.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  expect((weights[3] as number) / (weights[4] as number)).toBeCloseTo(Math.exp(1 / (2 * 0.8 ** 2)), 9);
  tf.tidy(() => {
    const dot = tf.buffer([1, 11, 11, 2]);
    dot.set(100, 0, 5, 4, 1);
    const image = tf.add(dot.toTensor(), tf.tensor4d([50, 0], [1, 1, 1, 2]));
    const blurred = blur(tensorflow, image as ReturnType<typeof tf.tensor4d>, 0.8).arraySync();
    for (const [y, row] of (blurred[0] ?? []).entries()) {
      for (const [x, [even, spread]] of row.entries()) {
        expect(even).toBeCloseTo(50, 3);
        expect(spread).toBeCloseTo(100 * (weights[y - 2] ?? 0) * (weights[x - 1] ?? 0), 3);
      }
    }
  });
});
