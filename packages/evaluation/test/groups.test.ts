import { expect, test } from "vitest";
import { describeGroup, groupBySeed } from "../src/groups.ts";
import type { Evaluated } from "../src/result.ts";

const trained = (seed: number, learningRate: number, step = 10) =>
  ({ step, settings: { seed, learningRate, schedule: { warmup: 30 } } }) as never;

test("models are alike whose settings differ in the seed alone; one of the same seed is none of them", () => {
  const checkpoints = [
    trained(1, 0.1),
    trained(1, 0.2),
    trained(2, 0.1, 20),
    trained(1, 0.1),
    trained(3, 0.1),
  ];
  expect(groupBySeed(checkpoints)).toEqual([[0, 2, 4], [1], [3]]);
  // What would be a fourth seed finds the second of those that were trained alike taken, and the third.
  expect(groupBySeed([...checkpoints, trained(2, 0.1)])).toEqual([[0, 2, 4], [1], [3, 5]]);
});

const result = (name: string, recall: number, r2: number): Evaluated => ({
  name,
  kind: "model",
  size: 16,
  step: 1,
  loss: "dcl",
  triplet_accuracy: 0.9,
  triplet_accuracy_hard: 0.5,
  recall_at_1: 0.1,
  recall_at_10: recall,
  effective_rank: 8,
  alignment: 0.1,
  uniformity: -2,
  probes: { price: { 10: { r2, mean_absolute_error: 2, deviation: 0.01 } } },
});

test("a group has the mean, the standard deviation of a sample, the least and the most of each figure", () => {
  const results = [result("a", 0.5, -0.1), result("x", 0, 0), result("b", 0.6, 0.2), result("c", 0.73, 0.5)];
  const checkpoints = [trained(1, 0.1), trained(1, 0.2), trained(4, 0.1, 20), trained(7, 0.1)];
  const group = describeGroup([0, 2, 3], checkpoints, results);
  expect(group).toMatchObject({ models: ["a", "b", "c"], seeds: [1, 4, 7], steps: [10, 20, 10], size: 16 });
  const figures = (recall: number, r2: number) => ({
    recall_at_10: expect.closeTo(recall, 12),
    probes: { price: { 10: { r2: expect.closeTo(r2, 12) } } },
  });
  expect(group.mean).toMatchObject({ ...figures(0.61, 0.2), triplet_accuracy: expect.closeTo(0.9, 12) });
  expect(group.minimum).toMatchObject(figures(0.5, -0.1));
  expect(group.maximum).toMatchObject(figures(0.73, 0.5));
  // statistics.stdev([0.5, 0.6, 0.73]) of Python
  expect(group.deviation).toMatchObject({ ...figures(0.1153256259467079, 0.3), uniformity: 0 });
  expect(Object.keys(group.mean).sort()).toEqual(
    Object.keys(result("", 0, 0))
      .filter((name) => !["name", "kind", "size", "step", "loss"].includes(name))
      .sort(),
  );
});

test("the mean of one model is the model, to the bit", () => {
  const only = result("a", 0.1 + 0.2, 1 / 3);
  const { mean, deviation } = describeGroup([0], [trained(1, 0.1)], [only]);
  expect(only).toEqual({ ...only, ...mean });
  expect(deviation.recall_at_10).toBe(0);
});
