import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { effectiveRank, quality, recall, tripletAccuracy, type Vectors } from "../src/index.ts";

/** Locations on a line at 0, 10, 20 …; two positives of each, so far to its right. */
function line(locations: number, right: readonly number[]): Vectors {
  return {
    size: 1,
    anchors: Float32Array.from({ length: locations }, (_, i) => 10 * i),
    positives: Float32Array.from(
      { length: locations * right.length },
      (_, i) => 10 * Math.floor(i / right.length) + (right[i % right.length] as number),
    ),
  };
}

test("recall counts the anchors that are as near as the own one, or nearer", () => {
  expect(recall(line(5, [1, 4]), [1, 2])).toEqual([1, 1]);
  // 6 to the right, the next anchor is nearer; the last location has none.
  expect(recall(line(5, [1, 6]), [1, 2])).toEqual([0.6, 1]);
  // A tie counts against.
  expect(recall(line(5, [5, 5]), [1, 2])).toEqual([0.2, 1]);
  expect(
    recall({ size: 1, anchors: new Float32Array(4), positives: new Float32Array(4) }, [1, 3, 4]),
  ).toEqual([0, 0, 1]);
});

test("triplet accuracy: the positive must be nearer than the negative", () => {
  const vectors = line(4, [3, 12]);
  const next = (sample: number) => (location: number) => ({ location: (location + 1) % 4, sample });
  // Against the next anchor, 10 away (30 for the last), and against its first positive, 13 away.
  expect(tripletAccuracy(vectors, next(0))).toBe(5 / 8);
  expect(tripletAccuracy(vectors, next(1))).toBe(1);
});

test("effective rank: 1 on a line, the number of equal directions otherwise", () => {
  const random = randomOf(1);
  const data = Float32Array.from({ length: 6 * 4000 }, () => random.normal());
  expect(effectiveRank(data, 6)).toBeGreaterThan(5.95);
  expect(effectiveRank(data, 6)).toBeLessThan(6.0001);
  const flat = data.map((value, i) => (i % 6 < 2 ? value : 7));
  expect(effectiveRank(flat, 6)).toBeCloseTo(2, 2);
  const along = data.map((_, i) => (data[i - (i % 6)] as number) * (1 + (i % 6)));
  expect(effectiveRank(along, 6)).toBeCloseTo(1, 3);
});

test("alignment and uniformity on the unit circle; only directions count", () => {
  // Two opposite directions: distance² 4. Positives at a right angle: 2.
  const vectors = {
    size: 2,
    anchors: Float32Array.of(3, 0, -5, 0),
    positives: Float32Array.of(0, 2, 0, 9),
  };
  const found = quality(vectors, [1, 0], 0);
  expect(found.alignment).toBeCloseTo(2, 6);
  expect(found.uniformity).toBeCloseTo(-8, 6);
});
