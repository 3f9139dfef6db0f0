import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { judge } from "../src/judge.ts";
import type { Targets } from "../src/targets.ts";

const ROWS = 400;
const options = { blockM: 1000, borderM: 300, folds: 3, seeds: 1, most: 150, seed: 1 };

/** Places of a few kilometres, what is told of them, and features of which some know it, and some do not. */
function world(seed: number) {
  const random = randomOf(seed, 9);
  const places = Array.from({ length: ROWS }, () => ({
    lon: 24.9 + 0.12 * random.uniform(),
    lat: 60.15 + 0.06 * random.uniform(),
  }));
  const [a, b] = [places, places].map(() => Float64Array.from({ length: ROWS }, () => random.normal())) as [
    Float64Array,
    Float64Array,
  ];
  const noise = (): number => random.normal();
  const table = (size: number, of: (row: number, k: number) => number) => ({
    size,
    data: Float32Array.from({ length: ROWS * size }, (_, i) => of(Math.floor(i / size), i % size)),
  });
  return {
    ...{ places, a, b },
    first: { name: "ours", ...table(2, (row, k) => (k === 0 ? (a[row] as number) : noise())) },
    second: { name: "second", ...table(1, (row) => b[row] as number) },
    nothing: { name: "nothing", ...table(3, noise) },
    /** Every row has its own: who learns them by heart has learned nothing. */
    where: {
      name: "coordinates",
      ...table(2, (row, k) => (k === 0 ? places[row]?.lon : places[row]?.lat) as number),
    },
  };
}
const numbers = (values: Float64Array): Targets => ({ classes: undefined, values });

test("numbers: what knows half tells half, what is beside it adds the other, and noise tells nothing", async () => {
  const { places, a, b, first, second, nothing } = world(1);
  const values = a.map((value, row) => value + (b[row] as number));
  const { results, told } = await judge(first, [second, nothing], places, numbers(values), options);
  const of = (name: string, role: string) => {
    const found = results.find((one) => one.name === name && one.role === role);
    return { ...found, r2: found?.curve.at(-1)?.scores.r2, few: found?.curve[0]?.scores.r2?.mean };
  };
  expect(Math.abs((of("ours", "model").r2?.mean as number) - 0.5)).toBeLessThan(0.15);
  expect(of("second", "beside").r2?.mean).toBeGreaterThan(0.97);
  expect(of("second", "beside").gain?.low).toBeGreaterThan(0.1);
  expect(of("nothing", "rival").r2?.mean).toBeLessThan(0.03);
  expect(of("nothing", "rival").gain?.low).toBeGreaterThan(0.1);
  // It adds nothing to what knows all that it knows.
  expect(Math.abs(of("second", "rival").gain?.mean as number)).toBeLessThan(0.15);
  expect(of("the mean", "naive").r2?.mean).toBeLessThanOrEqual(0);
  expect(of("second", "beside").r2?.low).toBeLessThan(of("second", "beside").r2?.mean as number);
  expect(results[0]?.curve.map(({ labels }) => labels).slice(0, 3)).toEqual([10, 30, 100]);
  expect(of("second", "beside").few).toBeLessThan(of("second", "beside").r2?.mean as number);
  const error = told.reduce((sum, value, row) => sum + (value - (values[row] as number)) ** 2, 0) / ROWS;
  expect(error).toBeGreaterThan(0.7);
  expect(error).toBeLessThan(1.3);
});

test("classes: a bent border is told by who can bend, rare classes count as much as others, and the seed settles all", async () => {
  const { places, a, first, where } = world(2);
  const classes = ["far", "near"];
  const values = a.map((value) => (Math.abs(value) > 1.2 ? 0 : 1));
  const targets = { classes, values };
  const found = await judge(first, [where], places, targets, options);
  const [ours, coordinates, , naive] = found.results.map(({ curve }) => curve.at(-1)?.scores);
  expect(ours?.balanced_accuracy?.mean).toBeGreaterThan(0.85);
  // A straight border would be at a half: k-NN or the perceptron was chosen.
  expect(Object.keys(found.results[0]?.learners ?? {}).join()).toMatch(/neighbours|mlp/);
  expect(coordinates?.balanced_accuracy?.mean).toBeLessThan(0.58);
  expect(naive?.balanced_accuracy?.mean).toBe(0.5);
  expect(naive?.accuracy?.mean).toBeGreaterThan(0.7);
  expect(naive?.macro_f1?.mean).toBeLessThan(0.5);
  const again = await judge(first, [], places, targets, options);
  expect(again.results[0]).toEqual(found.results[0]);
});

test("labels that follow the ground do not leak: coordinates tell nothing across the border", async () => {
  const { places, where, nothing } = world(3);
  // A colour of its own for each patch of 250 m.
  const values = Float64Array.from(places, ({ lon, lat }) => {
    const patch = [Math.floor(lon / 0.0045), Math.floor(lat / 0.00225)] as const;
    return randomOf(7, ...patch).uniform();
  });
  const within = await judge(where, [nothing], places, numbers(values), {
    ...options,
    blockM: 100,
    borderM: 0,
  });
  const across = await judge(where, [nothing], places, numbers(values), options);
  const [leaking, honest] = [within, across].map(
    ({ results }) => results[0]?.curve.at(-1)?.scores.r2?.mean as number,
  );
  expect(honest).toBeLessThan(0.05);
  expect(leaking).toBeGreaterThan((honest as number) + 0.02);
});

test("too little ground to learn from is named", async () => {
  const { places, a, first } = world(4);
  await expect(
    judge(first, [], places.slice(0, 60), numbers(a.slice(0, 60)), { ...options, borderM: 2500, folds: 2 }),
  ).rejects.toThrowError(/labelled places? .*2500 m/);
});
