import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { mask, probeVectors } from "../src/probes.ts";

/** 60 locations that are learned from and 40 that are asked for, of two classes in turn. */
const PLACES = {
  classes: ["no", "yes"],
  train: { locations: [...Array(60).keys()], targets: Array.from({ length: 60 }, (_, i) => i % 2) },
  heldout: { locations: [...Array(40).keys()], targets: Array.from({ length: 40 }, (_, i) => i % 2) },
};

test("vectors that tell the class are learned from ten labels and from all, the same in every draw", () => {
  const data = Float32Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? -1 : 1) + (i % 10) / 100);
  const right = { accuracy: 1, balanced_accuracy: 1, deviation: 0 };
  // There are no 100 to draw: all 60 are taken, and no more is asked.
  expect(probeVectors(data, 1, PLACES, 0)).toEqual({ 10: right, 60: right });
});

test("vectors that are all the same tell nothing: one class is named throughout", () => {
  const scores = probeVectors(new Float32Array(300), 3, PLACES, 0);
  expect(scores).toMatchObject({
    10: { accuracy: 0.5, balanced_accuracy: 0.5 },
    60: { accuracy: 0.5, balanced_accuracy: 0.5, deviation: 0 },
  });
});

test("vectors that are told in training alone are not mixed up with those asked for", () => {
  // The classes are swapped in what is asked for: all answers are wrong.
  const data = Float32Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? -1 : 1) * (i < 60 ? 1 : -1));
  expect(probeVectors(data, 1, PLACES, 0)["60"]).toEqual({ accuracy: 0, balanced_accuracy: 0, deviation: 0 });
});

test("masked channels are blank, the others and the tile itself as before", () => {
  const tile = Uint8Array.of(1, 2, 3, 4, 5, 6);
  expect(mask(tile, [1], 3)).toEqual(Uint8Array.of(1, 2, 0, 0, 5, 6));
  expect(mask(tile, [0, 2], 3)).toEqual(Uint8Array.of(0, 0, 3, 4, 0, 0));
  expect(tile).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6));
});

test("numbers are learned, too: R² and the mean error, the better the more labels there are", () => {
  const random = randomOf(1);
  const data = Float32Array.from({ length: 4 * 300 }, () => random.normal());
  const told = (row: number) =>
    7 + 3 * (data[4 * row] as number) - (data[4 * row + 2] as number) + random.normal();
  const part = (first: number, count: number) => ({
    locations: [...Array(count).keys()],
    targets: Array.from({ length: count }, (_, i) => told(first + i)),
  });
  const places = { classes: undefined, train: part(0, 200), heldout: part(200, 100) };
  const scores = probeVectors(data, 4, places, 0);
  expect(Object.keys(scores)).toEqual(["10", "100", "200"]);
  const [ten, hundred, all] = Object.values(scores) as { r2: number; mean_absolute_error: number }[];
  // Of a variance of 11, noise is 1; its mean error is √(2/π).
  expect(all?.r2).toBeGreaterThan(0.85);
  expect(all?.mean_absolute_error).toBeCloseTo(Math.sqrt(2 / Math.PI), 0);
  expect(hundred?.r2).toBeGreaterThan(ten?.r2 as number);
  // All that there are, are the same in every draw.
  expect(scores["200"]?.deviation).toBeCloseTo(0, 9);
});
