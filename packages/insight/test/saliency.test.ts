import { randomOf } from "@loc2vec/core";
import { type Architecture, createEncoder } from "@loc2vec/encoder";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, test } from "vitest";
import { dataOf, LINEAR, NETWORKS, SMALL, trainedLike } from "../../encoder/test/networks.ts";
import { saliency } from "../src/index.ts";

const tileOf = ({ channels, pixels }: Architecture): Uint8Array => {
  const random = randomOf(21);
  return new Uint8Array(channels * pixels * pixels).map(() => (random.uniform() < 0.5 ? 0 : random.int(256)));
};

test.each(Object.entries(NETWORKS))(
  "%s: what is attributed to each number adds up to its move from the blank tile",
  async (_, architecture) => {
    const tensorflow = await loadTensorflow();
    const weights = trainedLike(architecture);
    const tile = tileOf(architecture);
    const encoder = createEncoder(tensorflow, architecture, weights);
    const vectors = encoder.embed([tile, new Uint8Array(tile.length)]);
    encoder.dispose();
    const coarse = await saliency(tensorflow, architecture, weights, tile, { steps: 2 });
    const fine = await saliency(tensorflow, architecture, weights, tile, { steps: 150 });
    // What the first calls made that stays is there: others add nothing.
    const before = tensorflow.tf.memory().numTensors;
    await saliency(tensorflow, architecture, weights, tile, { steps: 2 });
    expect(tensorflow.tf.memory().numTensors).toBe(before);
    expect(fine.side).toBe(16);
    const cells = 3 * 16 * 16;
    const length = Math.hypot(...fine.move);
    for (const [number, move] of fine.move.entries()) {
      expect(move).toBeCloseTo((vectors[number] as number) - (vectors[4 + number] as number), 4);
      const own = fine.attributions.subarray(number * cells, (number + 1) * cells);
      expect(Math.abs(own.reduce((a, b) => a + b, 0) - move) / length).toBeLessThan(0.02);
    }
    expect(fine.gap).toBeLessThan(0.02);
    expect(coarse.gap).toBeGreaterThan(fine.gap);
    expect(fine.shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    for (let i = 0; i < cells; i++) {
      const ofPixel = fine.move.map((_, number) => fine.attributions[number * cells + i] as number);
      expect(fine.magnitude[i]).toBeCloseTo(Math.hypot(...ofPixel), 5);
    }
  },
);

test("of a linear network one step is enough, and a pixel's share is that of its weights", async () => {
  const tensorflow = await loadTensorflow();
  const weights = trainedLike(LINEAR);
  const tile = tileOf(LINEAR);
  const { attributions, gap } = await saliency(tensorflow, LINEAR, weights, tile, { steps: 1 });
  expect(gap).toBeLessThan(1e-4);
  // Of a pixel away from the edges: through the kernel to nine places, and from there to the number.
  const [kernel, matrix] = [dataOf(weights, "conv1.kernel"), dataOf(weights, "embedding.kernel")];
  const [channel, y, x, number] = [1, 3, 4, 1];
  let slope = 0;
  for (let dy = 0; dy < 3; dy++) {
    for (let dx = 0; dx < 3; dx++) {
      for (let filter = 0; filter < 3; filter++) {
        const [row, column] = [y + 1 - dy, x + 1 - dx];
        slope +=
          (kernel[((dy * 3 + dx) * 2 + channel) * 3 + filter] as number) *
          (matrix[((row * 8 + column) * 3 + filter) * 2 + number] as number);
      }
    }
  }
  const at = (channel * 8 + y) * 8 + x;
  const tileWith = tile.slice();
  tileWith[at] = 200;
  const changed = await saliency(tensorflow, LINEAR, weights, tileWith, { steps: 1 });
  expect(changed.attributions[number * 128 + at]).toBeCloseTo((slope * 200) / 255, 5);
  expect(attributions[number * 128 + at]).toBeCloseTo((slope * (tile[at] as number)) / 255, 5);
});

test("blank pixels and channels that nothing reads have no share; a blank tile moves nothing", async () => {
  const tensorflow = await loadTensorflow();
  const weights = trainedLike(SMALL);
  const tile = tileOf(SMALL);
  const cells = SMALL.pixels ** 2;
  tile.fill(0, 0, cells);
  const kernel = dataOf(weights, "conv1.kernel");
  // Nothing reads the last channel: [y, x, in, out].
  for (let place = 0; place < 9; place++) kernel.fill(0, (place * 3 + 2) * 6, (place * 3 + 3) * 6);
  const { shares, magnitude } = await saliency(tensorflow, SMALL, weights, tile, { steps: 8 });
  expect(shares).toEqual([0, 1, 0]);
  for (const [i, each] of magnitude.entries()) if (tile[i] === 0) expect(each).toBe(0);
  const blank = await saliency(tensorflow, SMALL, weights, new Uint8Array(tile.length), { steps: 2 });
  expect(blank).toMatchObject({ shares: [0, 0, 0], gap: 0 });
  expect(blank.move.every((each) => each === 0)).toBe(true);
  await expect(saliency(tensorflow, SMALL, weights, new Uint8Array(5))).rejects.toThrowError("has 5 bytes");
});
