import { distanceM, type Place, randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { extremes } from "../src/index.ts";

const [ROWS, SIZE] = [60, 3];
const random = randomOf(31);
const vectors = new Float32Array(ROWS * SIZE).map(() => random.normal());
const numberOf = (row: number, number: number): number => vectors[row * SIZE + number] as number;
const rows = Array.from({ length: ROWS }, (_, row) => row);

test("the ends of each number are those of a sorted list, the outermost first", () => {
  const found = extremes(vectors, SIZE, { k: 5 });
  expect(found).toHaveLength(SIZE);
  for (const [number, { lowest, highest }] of found.entries()) {
    const sorted = rows.toSorted((a, b) => numberOf(a, number) - numberOf(b, number));
    expect(lowest).toEqual(sorted.slice(0, 5));
    expect(highest).toEqual(sorted.slice(-5).reverse());
  }
  expect(extremes(vectors.subarray(0, 6), SIZE, { k: 5 })[0]?.lowest).toHaveLength(2);
});

test("among equal numbers the seed decides, and the same seed the same way", () => {
  const equal = new Float32Array(40);
  equal[7] = -1;
  const of = (seed: number): number[] | undefined => extremes(equal, 1, { k: 6, seed })[0]?.lowest;
  expect(of(1)?.[0]).toBe(7);
  expect(of(1)).toEqual(of(1));
  expect(of(1)).not.toEqual(of(2));
  expect(new Set(of(1)).size).toBe(6);
});

test("with places, the rows of an end lie apart, and each that was passed over lies near one before it", () => {
  const draw = randomOf(37);
  const places: Place[] = rows.map(() => ({
    lon: 24.9 + 0.015 * draw.uniform(),
    lat: 60.2 + 0.0075 * draw.uniform(),
  }));
  const metres = 250;
  let passedOver = 0;
  const between = (a: number, b: number): number => distanceM(places[a] as Place, places[b] as Place);
  for (const [number, { lowest }] of extremes(vectors, SIZE, { k: 4, places, metres }).entries()) {
    expect(lowest).toHaveLength(4);
    for (const [i, a] of lowest.entries())
      for (const b of lowest.slice(i + 1)) expect(between(a, b)).toBeGreaterThanOrEqual(metres);
    const last = numberOf(lowest.at(-1) as number, number);
    const passed = rows.filter((row) => numberOf(row, number) < last && !lowest.includes(row));
    passedOver += passed.length;
    for (const row of passed) {
      const before = lowest.filter((each) => numberOf(each, number) < numberOf(row, number));
      expect(before.some((each) => between(each, row) < metres)).toBe(true);
    }
  }
  expect(passedOver).toBeGreaterThan(0);
  // By default two footprints; all of these lie within one.
  const here = rows.map(() => ({ lon: 24.9, lat: 60.2 }));
  expect(extremes(vectors, SIZE, { k: 4, places: here })[0]?.highest).toHaveLength(1);
});

test("what cannot be asked for is said", () => {
  expect(() => extremes(vectors, 7, { k: 1 })).toThrowError("180 numbers are no vectors of 7");
  expect(() => extremes(vectors, SIZE, { k: 0 })).toThrowError("0 rows at each end");
  expect(() => extremes(vectors, SIZE, { k: 1, places: [] })).toThrowError("0 places of 60 vectors");
  const broken = vectors.slice();
  broken[10] = Number.NaN;
  expect(() => extremes(broken, SIZE, { k: 1 })).toThrowError("vector 3: number 1 is not finite");
});
