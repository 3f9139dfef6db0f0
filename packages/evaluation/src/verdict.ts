import type { Bar, Evaluated } from "./result.ts";

/** Right triplets with random negatives, as a share. */
const TRIPLETS = 0.95;
const EFFECTIVE_RANK = 6;
/** Labels that the probe's bar is for. */
const LABELS = "100";

/**
 * Whether the first result, a model's, meets what it is held to. What is as long as its vectors is its rival; what is longer
 * is told apart: more numbers tell more places apart. Other models are no rivals.
 */
export function barsOf(results: readonly Evaluated[]): Bar[] {
  const [model, ...others] = results as [Evaluated, ...Evaluated[]];
  const rivals = others.filter(({ kind }) => kind !== "model");
  const equals = rivals.filter(({ size }) => size <= model.size);
  return [
    atLeast("recall@10, twice the best as short without training", at10(model), 2 * best(equals, at10)),
    atLeast("recall@10, twice the best of any length without training", at10(model), 2 * best(rivals, at10)),
    atLeast("triplet accuracy, random negatives", model.triplet_accuracy, TRIPLETS),
    atLeast("effective rank", model.effective_rank, EFFECTIVE_RANK),
    ...(model.probe?.[LABELS]
      ? [above("linear probe, 100 labels, above every baseline", probed(model), best(rivals, probed))]
      : []),
  ];
}

const at10 = (result: Evaluated): number => result.recall_at_10;
const probed = (result: Evaluated): number => result.probe?.[LABELS]?.accuracy ?? Number.NaN;

function best(results: readonly Evaluated[], value: (result: Evaluated) => number): number {
  return Math.max(...results.map(value));
}

function atLeast(bar: string, value: number, least: number): Bar {
  return { bar, value, least, met: value >= least };
}

function above(bar: string, value: number, least: number): Bar {
  return { bar, value, least, met: value > least };
}
