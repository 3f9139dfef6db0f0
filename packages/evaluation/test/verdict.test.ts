import { expect, test } from "vitest";
import type { Evaluated } from "../src/result.ts";
import { barsOf } from "../src/verdict.ts";

const result = (changes: Partial<Evaluated>): Evaluated => ({
  name: "",
  kind: "baseline",
  size: 16,
  triplet_accuracy: 0,
  triplet_accuracy_hard: 0,
  recall_at_1: 0,
  recall_at_10: 0,
  effective_rank: 0,
  alignment: 0,
  uniformity: 0,
  ...changes,
});
const probe = (accuracy: number): Evaluated["probe"] => ({
  100: { accuracy, balanced_accuracy: 0, deviation: 0 },
});
const MODEL = result({
  kind: "model",
  recall_at_10: 0.5,
  triplet_accuracy: 0.95,
  effective_rank: 5.9,
  probe: probe(0.6),
});

test("bars: twice the best rival, as long or longer; met when reached; the probe's must be passed", () => {
  const others = [
    // A second model is no rival, however good.
    result({ kind: "model", recall_at_10: 0.9, probe: probe(0.9) }),
    result({ kind: "untrained", recall_at_10: 0.1, probe: probe(0.6) }),
    result({ recall_at_10: 0.25, probe: probe(0.4) }),
    result({ size: 64, recall_at_10: 0.3, probe: probe(0.5) }),
  ];
  expect(barsOf([MODEL, ...others]).map(({ value, least, met }) => [value, least, met])).toEqual([
    [0.5, 0.5, true],
    [0.5, 0.6, false],
    [0.95, 0.95, true],
    [5.9, 6, false],
    [0.6, 0.6, false],
  ]);
  expect(barsOf([{ ...MODEL, probe: probe(0.61) }, ...others]).at(-1)?.met).toBe(true);
});

test("without a probe of 100 labels there is no bar for it", () => {
  const ten = { 10: { accuracy: 1, balanced_accuracy: 1, deviation: 0 } };
  expect(barsOf([{ ...MODEL, probe: ten }, result({})]).map(({ bar }) => bar)).toEqual([
    "recall@10, twice the best as short without training",
    "recall@10, twice the best of any length without training",
    "triplet accuracy, random negatives",
    "effective rank",
  ]);
});
