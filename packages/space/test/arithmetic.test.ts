import { randomOf } from "@loc2vec/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { analogy, findRegions, interpolate, metresBetween, openNeighbours, walk } from "../src/index.ts";
import { clouds, grid } from "./clouds.ts";

fc.configureGlobal({ seed: 23, numRuns: 40 });

test("a − b + c is the fourth corner of a parallelogram, and none of the three", async () => {
  // Rows 0 to 3 are a square, row 4 lies near its fourth corner.
  const vectors = Float32Array.of(0, 0, 10, 0, 0, 10, 10, 10, 9, 9, 50, 50);
  const index = await openNeighbours(vectors, 2);
  expect(analogy(index, { a: 1, b: 0, c: 2 }, 2)).toEqual([
    { row: 3, distance: 0 },
    { row: 4, distance: Math.SQRT2 },
  ]);
  // a − a + c is c, which is left out.
  expect(analogy(index, { a: 1, b: 1, c: 3 }, 1)).toEqual([{ row: 4, distance: Math.SQRT2 }]);
  expect(() => analogy(index, { a: 1, b: 9, c: 2 }, 1)).toThrow(/row 9: there are 6 rows/);
});

test("the way from one row to another is straight, and ends at both", async () => {
  const vectors = Float32Array.from({ length: 22 }, (_, i) => (i % 2 === 0 ? i / 2 : 0));
  const index = await openNeighbours(vectors, 2);
  const way = interpolate(index, 0, 10, 5);
  expect(way.map(({ t }) => t)).toEqual([0, 0.25, 0.5, 0.75, 1]);
  expect(way.map(({ row }) => row)).toEqual([0, 2, 5, 7, 10]);
  expect(way.map(({ distance }) => distance)).toEqual([0, 0.5, 0, 0.5, 0]);
  expect(() => interpolate(index, 0, 10, 1)).toThrow(/1 steps between two rows/);
});

test("a walk never comes back, jumps to near rows alone, and is the same again", async () => {
  const { vectors } = clouds(120, 6, 4);
  const places = grid(120, 300);
  const index = await openNeighbours(vectors, 6, { places });
  fc.assert(
    fc.property(fc.nat(119), fc.integer({ min: 1, max: 8 }), fc.nat(1e6), (start, among, seed) => {
      const way = walk(index, start, 15, { random: randomOf(seed), among });
      expect(walk(index, start, 15, { random: randomOf(seed), among })).toEqual(way);
      expect(way).toHaveLength(16);
      expect(new Set(way.map(({ row }) => row)).size).toBe(16);
      for (const [i, { row, distance, metres }] of way.entries()) {
        if (i === 0) continue;
        const before = way[i - 1]?.row as number;
        const visited = way.slice(0, i).map((jump) => jump.row);
        const near = index.nearest(before, among, { exclude: visited });
        expect(near).toContainEqual({ row, distance });
        expect(metres).toBe(metresBetween(places, before, row));
      }
    }),
  );
});

test("a walk ends where no row is left, and keeps its distance on the ground", async () => {
  const vectors = Float32Array.of(0, 1, 2, 3);
  const index = await openNeighbours(vectors, 1);
  const way = walk(index, 0, 9, { random: randomOf(1), among: 2 });
  expect(way.map(({ row }) => row).sort()).toEqual([0, 1, 2, 3]);
  expect(way[1]?.metres).toBeUndefined();
  const places = grid(4, 100);
  const apart = await openNeighbours(vectors, 1, { places });
  // A square of 100 m: only the opposite corner is farther than 120 m away.
  const far = walk(apart, 0, 9, { random: randomOf(1), among: 2, minDistanceM: 120 });
  expect(far.map(({ row }) => row)).toEqual([0, 3]);
  expect(() => walk(index, 0, -1, { random: randomOf(1) })).toThrow(/-1 jumps/);
});

test("regions are ordered by size, hold each row's closest centre, and come out the same again", () => {
  fc.assert(
    fc.property(fc.nat(1e6), fc.integer({ min: 1, max: 9 }), (seed, count) => {
      const { vectors } = clouds(80, 3, 5, randomOf(seed));
      const { regions, centres, sizes } = findRegions(vectors, 3, count, randomOf(seed, 1));
      expect(findRegions(vectors, 3, count, randomOf(seed, 1))).toEqual({ regions, centres, sizes });
      expect(sizes).toHaveLength(count);
      expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
      for (const [number, size] of sizes.entries())
        expect(regions.filter((each) => each === number)).toHaveLength(size);
      const square = (row: number, centre: number): number =>
        [0, 1, 2].reduce(
          (sum, k) => sum + ((vectors[row * 3 + k] as number) - (centres[centre]?.[k] as number)) ** 2,
          0,
        );
      for (const [row, own] of regions.entries())
        for (let other = 0; other < count; other++)
          expect(square(row, own)).toBeLessThanOrEqual(square(row, other));
    }),
  );
});

test("clouds far apart are the regions, the largest first", () => {
  const vectors = Float32Array.from({ length: 60 }, (_, i) => (i < 10 ? 0 : i < 40 ? 100 : 200) + (i % 3));
  const { regions, sizes } = findRegions(vectors, 1, 3, randomOf(5));
  expect(sizes).toEqual([30, 20, 10]);
  expect([regions[0], regions[10], regions[59]]).toEqual([2, 0, 1]);
  expect(() => findRegions(vectors, 1, 61, randomOf(5))).toThrow(/61 regions of 60 vectors/);
});

test("of very many rows, the centres are found with some, and all rows get their region", () => {
  const random = randomOf(6);
  const vectors = Float32Array.from({ length: 51_000 }, (_, i) => (i % 3 === 0 ? 10 : 0) + random.uniform());
  const { regions, sizes, centres } = findRegions(vectors, 1, 2, randomOf(5));
  expect(sizes).toEqual([34_000, 17_000]);
  expect(regions.every((region, row) => region === (row % 3 === 0 ? 1 : 0))).toBe(true);
  expect(centres.map(([centre]) => centre)).toEqual([expect.closeTo(0.5, 1), expect.closeTo(10.5, 1)]);
});
