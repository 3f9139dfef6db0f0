import type { Tensor } from "@tensorflow/tfjs";
import type { Trace } from "./forward.ts";
import type { Normalized } from "./parts/normalization.ts";

/** The running statistics keep at most this share of their past, as in Keras … */
const MOMENTUM = 0.99;

/**
 * The share of its own that a mini-batch has in batch normalization's running means and variances.
 *
 * @param step from 1: in the first steps they keep less than {@link MOMENTUM}, so that they are a plain mean of what was seen
 *   and not of where they began
 */
export const shareOf = (step: number): number => Math.max(1 - MOMENTUM, 1 / step);

/** The means and variances that batch normalization saw on the way forward, by the names of the running ones. */
export function seenStatistics(traces: readonly Trace[]): Map<string, Tensor> {
  const seen = new Map<string, Tensor>();
  for (const { step, saved } of traces) {
    if (step.part !== "normalization") continue;
    const { mean, variance } = saved as Normalized;
    seen.set(`${step.layer.name}.mean`, mean);
    seen.set(`${step.layer.name}.variance`, variance);
  }
  return seen;
}
