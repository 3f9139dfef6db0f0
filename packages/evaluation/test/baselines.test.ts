import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { randomOf } from "@loc2vec/core";
import { pca, squaredDistance } from "@loc2vec/numeric";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, test } from "vitest";
import { gradientFeatures, pixelFeatures, principalComponents } from "../src/components.ts";
import { histogramsOf, type Lookalike, lookalikes } from "../src/lookalikes.ts";
import { reduced } from "../src/reduced.ts";
import { bagOfWords } from "../src/words.ts";

const SHAPE = { channels: 2, pixels: 32 };
/** Planar uint8 [2, 32, 32]. */
const draw = (value: (x: number, y: number, c: number) => number): Uint8Array =>
  Uint8Array.from({ length: 2 * 32 * 32 }, (_, i) =>
    value(i % 32, Math.floor(i / 32) % 32, Math.floor(i / 1024)),
  );

test("principal components by inner products are those of the covariance", async () => {
  const random = randomOf(1);
  const side = { channels: 1, pixels: 3 };
  const tiles = Array.from({ length: 40 }, () =>
    Uint8Array.from({ length: 9 }, (_, i) => Math.round(random.uniform() * 25 * (i + 1))),
  );
  const components = principalComponents(await loadTensorflow(), "pixels", pixelFeatures(side), tiles, 3);
  const scores = components.describe(tiles);
  const expected = pca(
    Float32Array.from(tiles.flatMap((tile) => [...tile].map((value) => value / 255))),
    9,
    3,
  ).scores;
  for (let k = 0; k < 3; k++) {
    // The sign of an axis is anybody's.
    const sign = Math.sign((scores[k] as number) * (expected[k] as number));
    for (let row = 0; row < 40; row++)
      expect(sign * (scores[3 * row + k] as number)).toBeCloseTo(expected[3 * row + k] as number, 4);
  }
  components.dispose();
});

test("HoG: a vertical edge fills the bin of its orientation, as much when it is darker; channels stay apart", () => {
  const { length, write } = gradientFeatures(SHAPE);
  const features = (tile: Uint8Array): Float32Array => {
    const into = new Float32Array(length);
    write(tile, into);
    return into;
  };
  // 2 channels × 1 block × 4 cells × 9 orientations.
  expect(length).toBe(72);
  const bright = features(draw((x, _, c) => (c === 1 && x >= 8 ? 200 : 0)));
  const dark = features(draw((x, _, c) => (c === 1 && x >= 8 ? 100 : 0)));
  for (const [i, value] of bright.entries()) expect(value).toBeCloseTo(dark[i] as number, 4);
  expect(bright.subarray(0, 36).every((value) => value === 0)).toBe(true);
  // The edge lies in the two cells on the left; across it, 0°, is shared by the first bin and the last.
  const cell = [...bright.subarray(36, 45)];
  expect(cell[0]).toBeCloseTo(cell[8] as number, 5);
  expect(cell[0]).toBeGreaterThan(0.4);
  expect(cell.slice(1, 8).every((value) => value === 0)).toBe(true);
  expect([...bright.subarray(45, 54)].every((value) => value === 0)).toBe(true);
  const flat = features(draw((_, y, c) => (c === 1 && y >= 8 ? 200 : 0)));
  expect(flat[36 + 4]).toBeGreaterThan(0.4);
});

test("a bag of words does not mind where patches lie, and minds what they show", () => {
  const patch = (left: number, top: number, value: number) => (x: number, y: number, c: number) =>
    c === 0 && Math.floor(x / 16) === left && Math.floor(y / 16) === top ? value : 0;
  const tiles = [draw(patch(0, 0, 255)), draw(patch(1, 1, 255)), draw(patch(0, 1, 100)), draw(() => 0)];
  const words = bagOfWords(SHAPE, tiles, 3, randomOf(2));
  const vectors = words.describe(tiles);
  const row = (i: number): number[] => [...vectors.subarray(3 * i, 3 * i + 3)];
  expect(row(0)).toEqual(row(1));
  expect(row(0)).not.toEqual(row(2));
  expect(row(3).filter((value) => value > 0)).toEqual([1]);
  for (let i = 0; i < 4; i++) expect(row(i).reduce((sum, value) => sum + value ** 2, 0)).toBeCloseTo(1, 5);
});

test("a bag of words reduced by PCA keeps the directions that the fitted tiles differ in, and their distances", async () => {
  const random = randomOf(4);
  const tiles = Array.from({ length: 30 }, () => {
    const values = Array.from({ length: 8 }, () => random.int(256));
    return draw((x, y, c) => values[4 * c + 2 * Math.floor(y / 16) + Math.floor(x / 16)] as number);
  });
  const bag = bagOfWords(SHAPE, tiles, 6, randomOf(2));
  expect(bag.fitted).toEqual(bag.describe([...tiles]));
  const distances = (vectors: Float32Array, size: number): number[] =>
    tiles.flatMap((_, a) =>
      tiles.map((_, b) => Math.sqrt(squaredDistance(vectors, a * size, vectors, b * size, size))),
    );
  const whole = reduced(bag, bag.fitted, 6);
  expect(whole).toMatchObject({ name: "histograms, bag of 6 words, PCA-6", size: 6 });
  const exact = distances(bag.fitted, 6);
  for (const [i, distance] of distances(await whole.describe(tiles), 6).entries())
    expect(distance).toBeCloseTo(exact[i] as number, 5);
  const two = await reduced(bag, bag.fitted, 2).describe(tiles);
  const { scores } = pca(bag.fitted, 6, 2);
  expect(two).toEqual(Float32Array.from(scores));
  // Other tiles are described anew, in the same axes.
  const others = tiles.slice(3, 9);
  expect(await reduced(bag, bag.fitted, 2).describe(others)).toEqual(two.slice(6, 18));
});

test("figure 7: equal histograms whose embeddings are far apart, none twice, none that may not be", () => {
  const stripes = draw((x) => (x % 2 === 0 ? 255 : 0));
  const halves = draw((x) => (x < 16 ? 255 : 0));
  const other = draw(() => 90);
  const histogramsOfTiles = (...tiles: Uint8Array[]) => histogramsOf(2).describe(tiles) as Float32Array;
  const histograms = histogramsOfTiles(stripes, halves, stripes, other);
  const embeddings = Float32Array.of(0, 5, 1, 100);
  const pairs = lookalikes(histograms, 2, embeddings, 2, () => true);
  expect(pairs[0]).toEqual({ a: 0, b: 1, chi2: 0, distance: 5, farther_than: 2 / 6 });
  expect(pairs.slice(1).every(({ a, b }) => ![0, 1].includes(a) && ![0, 1].includes(b))).toBe(true);
  const apart = lookalikes(histograms, 2, embeddings, 1, (a, b) => a + b !== 1);
  expect(apart[0]).toMatchObject({ a: 1, b: 2, chi2: 0, distance: 4 });
  // Nothing in common: χ² is 1 for each channel.
  expect(
    lookalikes(
      histogramsOfTiles(
        other,
        draw(() => 200),
      ),
      2,
      Float32Array.of(0, 1),
      1,
      () => true,
    )[0]?.chi2,
  ).toBeCloseTo(1, 6);
});

/** Histograms of one channel of `kinds` pictures, so that many pairs have the same χ², and embeddings that have few distances. */
function manyRows(rows: number, kinds: number): { histograms: Float32Array; embeddings: Float32Array } {
  const random = randomOf(7);
  const pictures = Array.from({ length: kinds }, () => {
    const bins = Array.from({ length: 16 }, () => random.uniform() ** 4);
    const sum = bins.reduce((total, bin) => total + bin, 0);
    return bins.map((bin) => bin / sum);
  });
  const chosen = Array.from({ length: rows }, () => pictures[random.int(kinds)] as number[]);
  return {
    histograms: Float32Array.from(chosen.flat()),
    embeddings: Float32Array.from({ length: 2 * rows }, () => random.int(40)),
  };
}

test.each([20, 300, 100_000])(
  "figure 7 of many rows of %i kinds is what sorting all pairs gives",
  (kinds) => {
    const [rows, count] = [900, 6];
    const { histograms, embeddings } = manyRows(rows, kinds);
    const mayPair = (a: number, b: number): boolean => (a + b) % 5 !== 0;
    const value = (at: number): number => histograms[at] as number;
    const pairs: Lookalike[] = [];
    const distances: number[] = [];
    for (let a = 0; a < rows; a++) {
      for (let b = a + 1; b < rows; b++) {
        const [dx, dy] = [0, 1].map(
          (k) => (embeddings[2 * a + k] as number) - (embeddings[2 * b + k] as number),
        ) as [number, number];
        const distance = Math.sqrt(dx * dx + dy * dy);
        distances.push(distance);
        if (!mayPair(a, b)) continue;
        let chi2 = 0;
        for (let i = 0; i < 16; i++) {
          const [x, y] = [value(16 * a + i), value(16 * b + i)];
          if (x + y > 0) chi2 += (x - y) ** 2 / (x + y);
        }
        pairs.push({ a, b, chi2: chi2 / 2, distance, farther_than: 0 });
      }
    }
    const alike = pairs
      .sort((x, y) => x.chi2 - y.chi2 || y.distance - x.distance)
      .slice(0, Math.ceil(pairs.length / 10_000))
      .sort((x, y) => y.distance - x.distance);
    expect(alike.length).toBeGreaterThan(30);
    const expected: Lookalike[] = [];
    for (const pair of alike) {
      if (expected.some(({ a, b }) => [a, b].includes(pair.a) || [a, b].includes(pair.b))) continue;
      const nearer = distances.filter((distance) => distance < pair.distance).length;
      expected.push({ ...pair, farther_than: nearer / distances.length });
      if (expected.length === count) break;
    }
    expect(lookalikes(histograms, 1, embeddings, count, mayPair)).toEqual(expected);
  },
);

test("figure 7 does not keep the pairs: 8 million of them in a heap of 40 MB", async () => {
  const { histograms, embeddings } = manyRows(4000, 500);
  const module = new URL("../dist/lookalikes.js", import.meta.url).href;
  const source = `
    import { parentPort, workerData } from "node:worker_threads";
    const { lookalikes } = await import(${JSON.stringify(module)});
    const { histograms, embeddings } = workerData;
    parentPort.postMessage(lookalikes(histograms, 1, embeddings, 6, () => true).length);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { histograms, embeddings },
    resourceLimits: { maxOldGenerationSizeMb: 40 },
  });
  expect((await once(worker, "message"))[0]).toBe(6);
});
