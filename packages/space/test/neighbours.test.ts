import { FarmError, randomOf } from "@loc2vec/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { metresBetween, type Neighbour, openNeighbours } from "../src/index.ts";
import { createLeast } from "../src/scan.ts";
import { clouds, grid } from "./clouds.ts";

fc.configureGlobal({ seed: 21, numRuns: 100 });

/** All rows, sorted. */
function sorted(vectors: Float32Array, size: number, query: ArrayLike<number>): Neighbour[] {
  return Array.from({ length: vectors.length / size }, (_, row) => {
    let square = 0;
    for (let k = 0; k < size; k++)
      square += ((vectors[row * size + k] as number) - (query[k] as number)) ** 2;
    return { row, distance: Math.sqrt(square) };
  }).sort((a, b) => a.distance - b.distance || a.row - b.row);
}

/** Few values, so that many distances are equal. */
const SOME = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 2, max: 40 }))
  .chain(([size, rows]) =>
    fc.record({
      size: fc.constant(size),
      rows: fc.constant(rows),
      values: fc.array(fc.integer({ min: -2, max: 2 }), { minLength: size * rows, maxLength: size * rows }),
      query: fc.nat(rows - 1),
      count: fc.integer({ min: 1, max: rows - 1 }),
      excluded: fc.array(fc.nat(rows - 1), { maxLength: 5 }),
    }),
  );

test("the least of many, in the order of all of them sorted", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 30 }),
      (squares, count) => {
        const least = createLeast(count);
        for (const [row, square] of squares.entries()) if (square < least.limit()) least.offer(row, square);
        const [rows, kept] = [new Int32Array(count), new Float64Array(count)];
        const held = least.drain(rows, kept);
        const wanted = [...squares.entries()].sort(([a, x], [b, y]) => x - y || a - b).slice(0, count);
        expect([...rows.subarray(0, held)].map((row, i) => [row, kept[i]])).toEqual(wanted);
        expect(least.limit()).toBe(Number.POSITIVE_INFINITY);
      },
    ),
  );
});

test("the nearest rows are those of all rows sorted, ties by row, with the row itself and excluded ones left out", async () => {
  await fc.assert(
    fc.asyncProperty(SOME, async ({ size, values, query, count, excluded }) => {
      const vectors = Float32Array.from(values);
      const index = await openNeighbours(vectors, size);
      const all = sorted(vectors, size, index.vector(query)).filter(({ row }) => row !== query);
      expect(index.nearest(query, count)).toEqual(all.slice(0, count));
      const left = all.filter(({ row }) => !excluded.includes(row)).slice(0, count);
      expect(index.nearest(query, count, { exclude: excluded })).toEqual(left);
      const even = all.filter(({ row }) => row % 2 === 0).slice(0, count);
      expect(index.nearest(query, count, { allowed: (row) => row % 2 === 0 })).toEqual(even);
      const vector = index.vector(query).map((value) => value + 0.5);
      expect(index.nearest(vector, count)).toEqual(sorted(vectors, size, vector).slice(0, count));
    }),
  );
});

test("an index finds nearly the same as looking at all, at the same distances, and twice the same", async () => {
  const { vectors } = clouds(3000, 16, 30);
  const exact = await openNeighbours(vectors, 16);
  const seen: number[] = [];
  const indexed = await openNeighbours(vectors, 16, {
    method: "hnsw",
    onProgress: (done) => seen.push(done),
  });
  const again = await openNeighbours(vectors, 16, { method: "hnsw" });
  expect([exact.method, indexed.method]).toEqual(["exact", "hnsw"]);
  expect(seen).toEqual([1000, 2000, 3000]);
  let hits = 0;
  for (let row = 0; row < 300; row++) {
    const [near, true10] = [indexed.nearest(row, 10), exact.nearest(row, 10)];
    expect(near).toEqual(again.nearest(row, 10));
    expect(near).toHaveLength(10);
    for (const each of near) {
      const same = true10.find((other) => other.row === each.row);
      if (same === undefined) continue;
      hits++;
      expect(each.distance).toBe(same.distance);
    }
  }
  expect(hits / 3000).toBeGreaterThan(0.99);
  // So many that the index is not asked.
  expect(indexed.nearest(7, 2999)).toEqual(exact.nearest(7, 2999));
});

test.each(["exact", "hnsw"] as const)(
  "%s: rows nearer on the ground than asked, to the query, to excluded ones or to one another, are skipped",
  async (method) => {
    const { vectors } = clouds(400, 8, 3);
    const places = grid(400, 100);
    const index = await openNeighbours(vectors, 8, { places, method });
    for (const query of [0, 57, 399]) {
      const found = index.nearest(query, 12, { minDistanceM: 250, exclude: [200] });
      const taken = [query, 200];
      const wanted: Neighbour[] = [];
      for (const each of sorted(vectors, 8, index.vector(query))) {
        if (wanted.length === 12 || !taken.every((row) => metresBetween(places, row, each.row) > 250))
          continue;
        wanted.push(each);
        taken.push(each.row);
      }
      expect(found).toEqual(wanted);
      expect(found).toHaveLength(12);
    }
    // Nowhere in the grid are 100 rows a kilometre apart.
    const few = index.nearest(0, 100, { minDistanceM: 1000 });
    expect(few.length).toBeGreaterThan(2);
    expect(few.length).toBeLessThan(100);
  },
);

test("metres on the ground between two rows", () => {
  expect(metresBetween(grid(4, 500), 0, 1)).toBeCloseTo(500, 0);
  expect(metresBetween(grid(4, 500), 0, 2)).toBeCloseTo(500, 0);
});

test("what cannot be answered is refused by name", async () => {
  const vectors = Float32Array.of(0, 0, 1, 0, 2, 0, 3, 1);
  const index = await openNeighbours(vectors, 2);
  const refused = (act: () => unknown, words: RegExp): void => {
    expect(act).toThrow(FarmError);
    expect(act).toThrow(words);
  };
  refused(() => index.nearest(0, 4), /^4 neighbours: there are 3 to choose from/);
  expect(index.nearest(Float32Array.of(0, 0), 4)).toHaveLength(4);
  refused(() => index.nearest(Float32Array.of(0, 0), 5), /^5 neighbours: there are 4/);
  refused(() => index.nearest(0, 0), /^0 neighbours/);
  refused(() => index.nearest(4, 1), /^row 4: there are 4 rows/);
  refused(() => index.nearest(Float32Array.of(0), 1), /query of 1 numbers: vectors have 2/);
  refused(() => index.nearest(Float32Array.of(0, Number.NaN), 1), /not finite/);
  refused(() => index.nearest(0, 1, { minDistanceM: 5 }), /not known where the rows lie/);
  await expect(openNeighbours(vectors, 3)).rejects.toThrow(/8 numbers are no whole rows of 3/);
  await expect(openNeighbours(Float32Array.of(0, 1, Number.NaN, 1), 2)).rejects.toThrow(/row 1: NaN/);
  await expect(openNeighbours(vectors, 2, { places: grid(3, 10) })).rejects.toThrow(/3 longitudes/);
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(openNeighbours(vectors, 2, { method: "hnsw", signal })).rejects.toThrow("enough");
});

test("a query that lies far from all, and rows that are all the same", async () => {
  const same = new Float32Array(40).fill(3);
  for (const method of ["exact", "hnsw"] as const) {
    const index = await openNeighbours(same, 4, { method });
    expect(index.nearest(Float32Array.of(3, 3, 3, 5), 3).map(({ distance }) => distance)).toEqual([2, 2, 2]);
  }
  const random = randomOf(3);
  const index = await openNeighbours(
    new Float32Array(40).map(() => random.normal()),
    4,
  );
  expect(index.nearest(new Float32Array(4).fill(1e30), 9)).toHaveLength(9);
});
