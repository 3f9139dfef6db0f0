import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { effectiveRank, quality, recall, tripletAccuracy, type Vectors } from "../src/metrics.ts";

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
  const measured = quality(vectors, [1, 0], 0);
  expect(measured.alignment).toBeCloseTo(2, 6);
  expect(measured.uniformity).toBeCloseTo(-8, 6);
});

test("recall is that of sorting all anchors by distance", () => {
  const random = randomOf(5);
  const [locations, positives, size] = [40, 3, 4];
  const numbers = (count: number, spread: number) =>
    Float32Array.from({ length: count }, () => spread * random.normal());
  const anchors = numbers(locations * size, 1);
  const noise = numbers(locations * positives * size, 0.6);
  const vectors = {
    size,
    anchors,
    positives: noise.map(
      (value, i) => value + (anchors[Math.floor(i / (positives * size)) * size + (i % size)] as number),
    ),
  };
  const row = (data: Float32Array, at: number): number[] => [...data.subarray(at * size, (at + 1) * size)];
  const distance = (a: number[], b: number[]): number =>
    Math.hypot(...a.map((value, k) => value - (b[k] as number)));
  const ranks = Array.from({ length: locations * positives }, (_, query) => {
    const byDistance = [...Array(locations).keys()].sort(
      (a, b) =>
        distance(row(vectors.positives, query), row(anchors, a)) -
        distance(row(vectors.positives, query), row(anchors, b)),
    );
    return 1 + byDistance.indexOf(Math.floor(query / positives));
  });
  const share = (k: number): number => ranks.filter((rank) => rank <= k).length / ranks.length;
  expect(share(1)).toBeGreaterThan(0.2);
  expect(share(1)).toBeLessThan(0.9);
  expect(recall(vectors, [1, 3, 10, 40])).toEqual([share(1), share(3), share(10), 1]);
});

// numpy 2.4.6: w = np.linalg.eigvalsh(np.cov(x.T)); w = w / w.sum(); np.exp(-(w * np.log(w)).sum())
test("effective rank is the entropy of numpy's eigenvalues", () => {
  const x = [2, 0, 1, 5, 4, 1, 0, 3, 1, 3, 2, 2, 6, 2, 8, 1, 5, 7, 3, 0, 3, 5, 9, 4, 7, 4, 6, 8];
  expect(effectiveRank(Float32Array.from(x), 4)).toBeCloseTo(3.2756491936799232, 9);
});

test("quality of vectors on a line: hard negatives are the anchors that are named, random ones lie farther", () => {
  const { triplet_accuracy, triplet_accuracy_hard, recall_at_1, recall_at_10 } = quality(
    // Four anchors at 0, 10, 20, 30; positives 3 and 12 to the right.
    line(4, [3, 12]),
    [1, 0, 1, 2],
    0,
  );
  // The named anchor is 10 away: 3 is nearer, 12 is not.
  expect(triplet_accuracy_hard).toBe(0.5);
  // A negative is at least 2 away (12 to the right of the left neighbour), so all that is certain is that 3 mostly wins.
  expect(triplet_accuracy).toBeGreaterThan(0.5);
  // 3 finds its own anchor; 12 finds the next one, but for the last location, which has none.
  expect(recall_at_1).toBe(5 / 8);
  expect(recall_at_10).toBe(1);
});
