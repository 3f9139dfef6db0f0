import fc from "fast-check";
import { expect, test } from "vitest";
import { closestCentre, type Draws, kMeans, squaredDistance } from "../src/index.ts";

fc.configureGlobal({ seed: 13, numRuns: 60 });

/** Marsaglia's xorshift32. */
function drawsOf(seed: number): Draws {
  let state = seed;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return { uniform, int: (below) => Math.floor(below * uniform()) };
}

const distance = (a: Float32Array, b: Float32Array): number => squaredDistance(a, 0, b, 0, a.length);
const sorted = (centres: readonly Float32Array[]): number[][] =>
  centres.map((centre) => [...centre]).sort(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d);

/*
 * scikit-learn 1.9.1: the best of ten tries.
 *   x = [[0,0],[0,2],[2,0],[2,2],[20,0],[21,1],[22,0],[0,30],[1,31]]
 *   k = KMeans(3, n_init=10, random_state=0).fit(x); k.cluster_centers_; k.inertia_
 */
const POINTS = [
  [0, 0],
  [0, 2],
  [2, 0],
  [2, 2],
  [20, 0],
  [21, 1],
  [22, 0],
  [0, 30],
  [1, 31],
].map((point) => Float32Array.from(point));

test.each([1, 2, 3, 4, 5])(
  "clouds that lie apart have scikit-learn's centres, whatever is drawn (seed %i)",
  (seed) => {
    const centres = kMeans(POINTS, 3, drawsOf(seed));
    const third = Math.fround(1 / 3);
    expect(sorted(centres)).toEqual([
      [0.5, 30.5],
      [1, 1],
      [21, third],
    ]);
    const inertia = POINTS.reduce(
      (sum, point) => sum + distance(point, centres[closestCentre(centres, point)] as Float32Array),
      0,
    );
    expect(inertia).toBeCloseTo(11.666666666666666, 5);
  },
);

const clouds = fc
  .tuple(
    fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    fc.integer({ min: 2, max: 30 }),
    fc.integer({ min: 1, max: 4 }),
  )
  .map(([seed, rows, count]) => {
    const draws = drawsOf(seed);
    return {
      seed,
      count: Math.min(count, rows),
      rows: Array.from({ length: rows }, () => Float32Array.of(draws.uniform(), draws.uniform())),
    };
  });

test("at the end each centre lies in the middle of the rows that are closest to it", () => {
  fc.assert(
    fc.property(clouds, ({ seed, rows, count }) => {
      const centres = kMeans(rows, count, drawsOf(seed));
      expect(centres.length).toBe(count);
      for (const [index, centre] of centres.entries()) {
        const own = rows.filter((row) => closestCentre(centres, row) === index);
        expect(own.length).toBeGreaterThan(0);
        for (const k of [0, 1])
          expect(centre[k]).toBeCloseTo(
            own.reduce((sum, row) => sum + (row[k] as number), 0) / own.length,
            6,
          );
      }
    }),
  );
});

test("the closest centre is the one that no other is closer than, the first of equals", () => {
  fc.assert(
    fc.property(clouds, ({ rows }) => {
      const [row, ...centres] = rows as [Float32Array, ...Float32Array[]];
      const distances = centres.map((centre) => distance(centre, row));
      expect(closestCentre(centres, row)).toBe(distances.indexOf(Math.min(...distances)));
    }),
  );
  const twins = [Float32Array.of(9), Float32Array.of(1), Float32Array.of(1)];
  expect(closestCentre(twins, Float32Array.of(0))).toBe(1);
});

test("the same draws give the same centres; more centres than rows repeat some; the rows stay as they are", () => {
  const before = POINTS.map((point) => [...point]);
  expect(kMeans(POINTS, 4, drawsOf(7))).toEqual(kMeans(POINTS, 4, drawsOf(7)));
  expect(POINTS.map((point) => [...point])).toEqual(before);
  const centres = kMeans([Float32Array.of(3), Float32Array.of(5)], 4, drawsOf(7));
  expect(new Set(centres.map(([value]) => value))).toEqual(new Set([3, 5]));
  expect(centres.length).toBe(4);
});
