import { expect, test } from "vitest";
import { mean, median, squaredDistance } from "../src/index.ts";

test("mean: 0 of none", () => {
  expect(mean([1, 2, 6])).toBe(3);
  expect(mean([-4])).toBe(-4);
  expect(mean([])).toBe(0);
});

test("median: by size, not as text; the upper of two in the middle; none of none; the values keep their order", () => {
  const values = [100, 9, 20];
  expect(median(values)).toBe(20);
  expect(values).toEqual([100, 9, 20]);
  expect(median([4, 1, 3, 2])).toBe(3);
  expect(median([])).toBeUndefined();
});

test("squared distances are of the vectors that begin where it is said", () => {
  const [a, b] = [Float32Array.of(9, 1, 2, 3, 9), Float32Array.of(4, 6, 3, 9)];
  // (1 − 4)² + (2 − 6)² + (3 − 3)²
  expect(squaredDistance(a, 1, b, 0, 3)).toBe(25);
  expect(squaredDistance(a, 1, b, 0, 1)).toBe(9);
});
