import { randomOf } from "@loc2vec/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { applyProjection, fitLda, fitPca } from "../src/index.ts";
import { clouds } from "./clouds.ts";

fc.configureGlobal({ seed: 22, numRuns: 30 });

test("two sets in the axes of one of them: its scores are centred, the other's are where they belong", () => {
  const { vectors } = clouds(200, 5, 3);
  const projection = fitPca(vectors, 5, 2);
  const own = applyProjection(projection, vectors);
  for (const axis of [0, 1]) {
    const sum = own.filter((_, i) => i % 2 === axis).reduce((total, value) => total + value, 0);
    expect(sum / 200).toBeCloseTo(0, 6);
  }
  const [x = 0, y = 0] = own;
  const shifted = vectors.subarray(0, 5).map((value, k) => value + 3 * (projection.axes[k] as number));
  expect([...applyProjection(projection, shifted)]).toEqual([expect.closeTo(x + 3, 5), expect.closeTo(y, 5)]);
  expect(projection.explained[0]).toBeGreaterThan(projection.explained[1] as number);
});

test("discriminants have no covariance within classes, and spread 1 each", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 2, max: 6 }), (seed, classes) => {
      const { vectors, cloud } = clouds(150, 6, classes, randomOf(seed), 1);
      const present = new Set(cloud).size;
      if (present < 2) return;
      const projection = fitLda(vectors, 6, cloud);
      const axes = Math.min(present - 1, 6);
      expect(projection.explained).toHaveLength(axes);
      expect(projection.explained.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
      const scores = applyProjection(projection, vectors);
      const within = Array.from({ length: axes * axes }, () => 0);
      for (const each of new Set(cloud)) {
        const rows = [...cloud.keys()].filter((row) => cloud[row] === each);
        const mean = (axis: number): number =>
          rows.reduce((sum, row) => sum + (scores[row * axes + axis] as number), 0) / rows.length;
        const means = Array.from({ length: axes }, (_, axis) => mean(axis));
        for (const row of rows)
          for (let a = 0; a < axes; a++)
            for (let b = 0; b < axes; b++)
              within[a * axes + b] =
                (within[a * axes + b] as number) +
                (((scores[row * axes + a] as number) - (means[a] as number)) *
                  ((scores[row * axes + b] as number) - (means[b] as number))) /
                  150;
      }
      for (let a = 0; a < axes; a++)
        for (let b = 0; b < axes; b++) expect(within[a * axes + b]).toBeCloseTo(a === b ? 1 : 0, 6);
    }),
  );
});

test("what tells two classes apart is found, though it varies least", () => {
  const random = randomOf(4);
  const classes = Int32Array.from({ length: 300 }, (_, i) => i % 2);
  // The second number tells the class; the first is ten times as wide.
  const vectors = Float32Array.from({ length: 600 }, (_, i) =>
    i % 2 === 0 ? 10 * random.normal() : (classes[i >> 1] as number) + 0.1 * random.normal(),
  );
  const [x = 0, y = 0] = fitLda(vectors, 2, classes).axes;
  expect(Math.abs(x / y)).toBeLessThan(0.01);
  const [first = 0] = fitPca(vectors, 2, 1).axes;
  expect(Math.abs(first)).toBeGreaterThan(0.99);
});

test("what LDA cannot do is refused by name, and shrinkage mends what it can", () => {
  const { vectors } = clouds(20, 3, 2);
  const halves = Int32Array.from({ length: 20 }, (_, i) => i % 2);
  expect(() => fitLda(vectors, 3, new Int32Array(20))).toThrow(/LDA: 1 class/);
  expect(() => fitLda(vectors, 3, new Int32Array(19))).toThrow(/19 classes of 20 vectors/);
  expect(() => fitLda(vectors, 3, halves, { components: 2 })).toThrow(/2 axes: 2 classes/);
  expect(() => fitLda(vectors, 3, halves, { shrinkage: 1.5 })).toThrow(/shrinkage 1.5/);
  const flat = vectors.map((value, i) => (i % 3 === 2 ? 1 : value));
  expect(() => fitLda(flat, 3, halves)).toThrow(/number 2 of the vectors does not vary/);
  expect(fitLda(flat, 3, halves, { shrinkage: 0.1 }).axes.every(Number.isFinite)).toBe(true);
  expect(() => fitPca(vectors, 3, 4)).toThrow(/4 axes: vectors have 3 numbers/);
  expect(() => fitPca(new Float32Array(0), 3, 1)).toThrow(/no vectors/);
  expect(() => applyProjection(fitPca(vectors, 3, 1), new Float32Array(4))).toThrow(/no whole rows of 3/);
});
