import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { fitProbe, score } from "../src/index.ts";

/** Three overlapping clouds; the second feature is a thousand times larger, the third never varies. */
function clouds(rows: number, seed: number): { features: Float32Array; labels: number[] } {
  const random = randomOf(seed);
  const labels = Array.from({ length: rows }, () => random.int(3));
  const features = Float32Array.from(
    labels.flatMap((label) => [random.normal() + 2 * label, 1000 * (random.normal() - label ** 2), 5]),
  );
  return { features, labels };
}

test("the coefficients are where the penalized likelihood is flat", () => {
  const { features, labels } = clouds(200, 1);
  const { coefficients } = fitProbe(features, 3, labels, 3);
  const columns = [0, 1].map((k) => {
    const column = labels.map((_, row) => features[3 * row + k] as number);
    const mean = column.reduce((a, b) => a + b) / column.length;
    const deviation = Math.sqrt(column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length);
    return column.map((value) => (value - mean) / deviation);
  });
  const objective = (w: Float64Array): number => {
    let sum = 0;
    for (let c = 0; c < 3; c++) for (let k = 0; k < 3; k++) sum += 0.5 * (w[4 * c + k] as number) ** 2;
    for (const [row, label] of labels.entries()) {
      const scores = [0, 1, 2].map(
        (c) =>
          (w[4 * c] as number) * (columns[0]?.[row] as number) +
          (w[4 * c + 1] as number) * (columns[1]?.[row] as number) +
          (w[4 * c + 3] as number),
      );
      sum += Math.log(scores.reduce((total, s) => total + Math.exp(s), 0)) - (scores[label] as number);
    }
    return sum;
  };
  for (let i = 0; i < coefficients.length; i++) {
    const at = (h: number): number =>
      objective(coefficients.map((value, k) => (k === i ? value + h : value)));
    expect((at(1e-4) - at(-1e-4)) / 2e-4, `coefficient ${i}`).toBeCloseTo(0, 1);
  }
  // What never varies says nothing.
  expect([2, 6, 10].map((i) => coefficients[i])).toEqual([0, 0, 0]);
});

test("it recognizes what it learned, in rows that it has not seen, and no more than chance in noise", () => {
  const [learned, asked] = [clouds(300, 1), clouds(2000, 2)];
  const found = score(
    fitProbe(learned.features, 3, learned.labels, 3).predict(asked.features),
    asked.labels,
    3,
  );
  expect(found.accuracy).toBeGreaterThan(0.85);
  const noise = { features: learned.features.map((_, i) => Math.sin(i * i)), labels: learned.labels };
  const guess = score(fitProbe(noise.features, 3, noise.labels, 3).predict(asked.features), asked.labels, 3);
  expect(guess.balanced_accuracy).toBeLessThan(0.45);
});

test("balanced accuracy is the mean of the classes that occur", () => {
  expect(score([0, 0, 0, 1], [0, 0, 0, 2], 4)).toEqual({ accuracy: 0.75, balanced_accuracy: 0.5 });
});
