import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { classesOf, fittedSchema, scoresOf } from "../src/fitted.ts";
import { intervalOf } from "../src/intervals.ts";
import { candidatesFor, constant, type Lesson } from "../src/learners.ts";
import { scoreClasses } from "../src/scores.ts";
import { chooseTargets } from "../src/targets.ts";

const random = randomOf(3, 1);
const features = Float32Array.from({ length: 600 }, () => 4 + 2 * random.normal());
const numbers = Array.from(
  { length: 200 },
  (_, row) => 3 * (features[3 * row] as number) - (features[3 * row + 2] as number) + 10,
);
const codes = numbers.map((value) => (value > 20 ? 2 : value > 15 ? 1 : 0));
const lesson = (targets: readonly number[], classes?: number): Lesson => ({
  ...{ features, size: 3, targets, classes, seed: 1 },
});

test.each(candidatesFor(undefined))("$name tells numbers, also after it was written down", (candidate) => {
  const fitted = candidate.fit(lesson(numbers));
  const told = scoresOf(fitted, features, 3, undefined);
  const spread = numbers.reduce((sum, value) => sum + (value - 18) ** 2, 0);
  const left = numbers.reduce((sum, value, row) => sum + (value - (told[row] as number)) ** 2, 0);
  expect(left / spread).toBeLessThan(0.4);
  expect(scoresOf(fittedSchema.parse(JSON.parse(JSON.stringify(fitted))), features, 3, undefined)).toEqual(
    told,
  );
});

test.each(candidatesFor(3))(
  "$name tells classes by shares that sum to 1, also after it was written down",
  (candidate) => {
    const fitted = candidate.fit(lesson(codes, 3));
    const shares = scoresOf(fitted, features, 3, 3);
    for (let row = 0; row < 200; row++)
      expect([0, 1, 2].reduce((sum, c) => sum + (shares[3 * row + c] as number), 0)).toBeCloseTo(1, 9);
    const prior = [0, 1, 2].map((code) => codes.filter((each) => each === code).length / 200);
    expect(scoreClasses(classesOf(shares, prior), codes, 3).balanced_accuracy).toBeGreaterThan(0.7);
    expect(scoresOf(fittedSchema.parse(JSON.parse(JSON.stringify(fitted))), features, 3, 3)).toEqual(shares);
  },
);

test("who looks at nothing names the most frequent class, and the mean", () => {
  const told = scoresOf(constant.fit(lesson([0, 1, 1, 2], 3)), new Float32Array(6), 3, 3);
  expect([...classesOf(told, [0.25, 0.5, 0.25])]).toEqual([1, 1]);
  expect([...scoresOf(constant.fit(lesson([1, 2, 6])), new Float32Array(3), 3, undefined)]).toEqual([3]);
});

// scikit-learn 1.9: balanced_accuracy_score, f1_score(average="macro") and accuracy_score of these.
test("balanced accuracy and macro-F1 are scikit-learn's", () => {
  const [is, said] = [
    [0, 0, 0, 0, 1, 1, 2, 2, 2, 2],
    [0, 0, 1, 2, 1, 0, 2, 2, 2, 0],
  ];
  const { balanced_accuracy, macro_f1, accuracy } = scoreClasses(said as number[], is as number[], 3);
  expect(balanced_accuracy).toBeCloseTo((0.5 + 0.5 + 0.75) / 3, 12);
  expect(macro_f1).toBeCloseTo((0.5 + 0.5 + 0.75) / 3, 12);
  expect(accuracy).toBeCloseTo(0.6, 12);
});

test("an interval is wider than independent folds would have it", () => {
  const values = [0.4, 0.5, 0.6, 0.5];
  const { mean, low, high } = intervalOf(values, 4);
  // s² = 0.02 / 3; t = 3.182; (1/4 + 1/3) · s².
  const half = 3.182 * Math.sqrt((1 / 4 + 1 / 3) * (0.02 / 3));
  expect(mean).toBeCloseTo(0.5, 12);
  expect(low).toBeCloseTo(0.5 - half, 9);
  expect(high).toBeCloseTo(0.5 + half, 9);
});

test("classes that are rare, or in too few blocks, are left out by name; one class, and too few rows, are refused", () => {
  const labels = [...Array(30).fill("house"), ...Array(25).fill("flat"), ...Array(40).fill("boat"), "tent"];
  const points = labels.map((label: string, i) => ({ lon: i, lat: 0, label }));
  // Boats lie in one block; the others are spread.
  const blockOf = Int32Array.from(points, ({ label }, i) => (label === "boat" ? 9 : i % 4));
  const about = { blockOf, folds: 4, origin: "homes.csv, column kind" };
  const { rows, targets, leftOut } = chooseTargets({ kind: "classes", points }, about);
  expect(targets.classes).toEqual(["flat", "house"]);
  expect(rows).toHaveLength(55);
  expect(leftOut).toEqual([
    { name: "boat", rows: 40, blocks: 1 },
    { name: "tent", rows: 1, blocks: 1 },
  ]);
  const houses = points.map((point) => (point.label === "flat" ? { ...point, label: "boat" } : point));
  expect(() => chooseTargets({ kind: "classes", points: houses.slice(0, 30) }, about)).toThrowError(
    /homes\.csv, column kind: one class only, "house"/,
  );
  expect(() => chooseTargets({ kind: "classes", points: points.slice(0, 12) }, about)).toThrowError(
    /0 labelled places are too few, 20 are needed; left out: house \(12 rows in 4 blocks\)/,
  );
});
