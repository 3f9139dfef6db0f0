import { expect, test } from "vitest";
import type { Evaluated, ProbeScores } from "../src/result.ts";
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
const right = (accuracy: number) => ({ accuracy, balanced_accuracy: 0, deviation: 0 });
const fits = (r2: number) => ({ r2, mean_absolute_error: 0, deviation: 0 });
const probes = (kinds: ProbeScores, price: ProbeScores) => ({ kinds, price });

const MODEL = result({
  name: "ours",
  kind: "model",
  recall_at_10: 0.69,
  triplet_accuracy_hard: 0.3,
  triplet_accuracy: 0.98,
  effective_rank: 7.9,
  probes: probes(
    { 10: right(0.1), 100: right(0.6), 1000: right(0.7) },
    { 10: fits(0), 100: fits(-0.1), 596: fits(1) },
  ),
});
const RIVALS = [
  // A second model is no rival, however good.
  result({ name: "other", kind: "model", recall_at_10: 0.9, triplet_accuracy_hard: 1 }),
  result({ name: "untrained", kind: "untrained", recall_at_10: 0.46, triplet_accuracy_hard: 0.9 }),
  result({ name: "pixels", recall_at_10: 0.2, probes: probes({ 100: right(0.6) }, { 100: fits(-0.2) }) }),
  result({ name: "few words", words: 16, recall_at_10: 0.45, triplet_accuracy_hard: 0.2 }),
  result({ name: "reduced", words: 64, recall_at_10: 0.44, triplet_accuracy_hard: 0.29 }),
  result({ name: "words", words: 64, size: 64, recall_at_10: 0.5, triplet_accuracy_hard: 0.25 }),
].map((rival) => ({
  ...rival,
  probes: probes(
    { 100: right(0.5), 1000: right(0.65), ...rival.probes?.kinds },
    { 100: fits(-0.3), ...rival.probes?.price },
  ),
}));

test("bars: the longest bag, rivals as short, every bag; what a bar goes by is named; the probes' must be passed", () => {
  expect(barsOf(MODEL, [MODEL, ...RIVALS])).toEqual([
    {
      bar: "recall@10, 1.15 × the bag of 64 words",
      value: 0.69,
      least: 1.15 * 0.5,
      aim: 1.3 * 0.5,
      rival: "words",
      met: true,
    },
    {
      bar: "recall@10, 1.5 × the best of as many numbers or fewer",
      value: 0.69,
      least: 1.5 * 0.46,
      rival: "untrained",
      met: 0.69 >= 1.5 * 0.46,
    },
    { bar: "hard triplets, above every bag of words", value: 0.3, least: 0.29, rival: "reduced", met: true },
    { bar: "effective rank", value: 7.9, least: 8, met: false },
    { bar: "right triplets, random negatives", value: 0.98, least: 0.98, met: true },
    {
      bar: "probe kinds, 100 labels: accuracy above every rival",
      value: 0.6,
      least: 0.6,
      rival: "pixels",
      met: false,
    },
    {
      bar: "probe kinds, 1000 labels: accuracy above every rival",
      value: 0.7,
      least: 0.65,
      rival: "untrained",
      met: true,
    },
    // Of the prices there are 596 to learn from, so that there is no bar for a thousand.
    {
      bar: "probe price, 100 labels: R² above every rival",
      value: -0.1,
      least: -0.2,
      rival: "pixels",
      met: true,
    },
  ]);
});

test("a model of as many numbers as the bag has words is held to 1.5 × of it; without probes there are no bars for them", () => {
  const { probes: _, ...model } = MODEL;
  const bars = barsOf({ ...model, size: 64 }, RIVALS);
  expect(bars[1]).toMatchObject({ least: 0.75, rival: "words", met: false });
  expect(bars).toHaveLength(5);
  // One of eight is not held to those of sixteen.
  const short = result({ name: "short", size: 8, recall_at_10: 0.1 });
  expect(barsOf({ ...model, size: 8 }, [...RIVALS, short])[1]).toMatchObject({ rival: "short", met: true });
});
