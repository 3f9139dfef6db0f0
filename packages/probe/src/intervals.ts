import { mean } from "@loc2vec/numeric";

/** A mean with the interval that holds it in 95 of 100 cases. */
export interface Interval {
  mean: number;
  low: number;
  high: number;
}

/** Student's t at 97.5 %, by degrees of freedom from 1 (R 4.5: `qt(0.975, 1:30)`). */
const T = [
  ...[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145],
  ...[2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048],
  ...[2.045, 2.042],
] as const;

/**
 * The mean over folds and seeds. Folds learn from the same rows in part, so their scores depend on each other: the variance is
 * corrected as Nadeau & Bengio (2003) do, for repeated cross-validation as Bouckaert & Frank (2004): (1/n + 1/(folds − 1)) · s².
 *
 * @param values of each fold of each seed
 */
export function intervalOf(values: readonly number[], folds: number): Interval {
  const middle = mean(values);
  if (values.length < 2)
    return { mean: middle, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  const freedom = values.length - 1;
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / freedom;
  const t = T[freedom - 1] ?? 1.96 + 2.4 / freedom;
  const half = t * Math.sqrt((1 / values.length + 1 / (folds - 1)) * variance);
  return { mean: middle, low: middle - half, high: middle + half };
}
