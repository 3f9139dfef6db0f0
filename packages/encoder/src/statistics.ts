import type { Tensor } from "@tensorflow/tfjs";
import type { Trace } from "./forward.ts";
import type { Normalized } from "./parts/normalization.ts";
import type { WeightArray, Weights } from "./weight-arrays.ts";

/** The running statistics keep at most this share of their past, as in Keras … */
const MOMENTUM = 0.99;

/**
 * Batch normalization's running means and variances, brought up to date with a mini-batch.
 *
 * @param weights in force
 * @param step from 1: in the first steps they keep less than {@link MOMENTUM}, so that they are a plain mean of what was seen
 *   and not of where they began
 */
export function updateStatistics(
  traces: readonly Trace[],
  weights: Weights,
  step: number,
): Map<string, WeightArray> {
  const share = Math.max(1 - MOMENTUM, 1 / step);
  const statistics = new Map<string, WeightArray>();
  for (const { step: taken, saved } of traces) {
    if (taken.part !== "normalization") continue;
    const { mean, variance } = saved as Normalized;
    for (const [name, tensor] of Object.entries<Tensor>({ mean, variance })) {
      const running = weights.get(`${taken.layer.name}.${name}`) as WeightArray;
      const seen = tensor.dataSync() as Float32Array;
      const data = running.data.map((value, i) => value + share * ((seen[i] as number) - value));
      statistics.set(`${taken.layer.name}.${name}`, { shape: running.shape, data });
    }
  }
  return statistics;
}
