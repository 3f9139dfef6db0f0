import { columnMeans, covariance } from "./covariance.ts";
import { eigen } from "./eigen.ts";

/** Directions in which data vary most. */
export interface Axes {
  /** The mean of each column, float64 [columns]. */
  mean: Float64Array;
  /** Principal axes, float64 [components, columns], orthonormal, by falling variance; the largest entry of each is positive. */
  axes: Float64Array;
  /** Share of the variance that each axis explains. */
  explained: number[];
}

export interface Pca extends Axes {
  /** The rows in these axes, float64 [rows, components]. */
  scores: Float64Array;
}

/**
 * Principal component analysis (Pearson 1901) by eigen-decomposition of the covariance.
 *
 * @param data [rows, columns], C order
 * @param components how many axes to keep, at most as many as there are columns
 */
export function pca(data: Float32Array | Float64Array, columns: number, components: number): Pca {
  const axes = principalAxes(data, columns, components);
  return { ...axes, scores: project(data, axes) };
}

/** The axes of {@link pca} alone, for data that are not looked at in them, or not all. */
export function principalAxes(data: Float32Array | Float64Array, columns: number, components: number): Axes {
  const mean = columnMeans(data, columns);
  const { values, vectors } = eigen(covariance(data, columns, mean));
  const order = [...values.keys()]
    .sort((a, b) => (values[b] as number) - (values[a] as number))
    .slice(0, components);
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const axes = new Float64Array(components * columns);
  for (const [at, column] of order.entries()) {
    axes.set(withLargestPositive(vectors.map((line) => line[column] as number)), at * columns);
  }
  return {
    mean,
    axes,
    explained: order.map((at) => (total > 0 ? Math.max(0, values[at] as number) / total : 0)),
  };
}

/** An axis has no direction of its own: it gets the one in which its entry farthest from zero, the first of equals, is positive. */
function withLargestPositive(axis: readonly number[]): readonly number[] {
  const largest = axis.reduce((best, value) => (Math.abs(value) > Math.abs(best) + 1e-12 ? value : best), 0);
  return largest < 0 ? axis.map((value) => -value) : axis;
}

/**
 * Rows in the axes of a {@link pca}, its own or others.
 *
 * @param data [rows, columns], C order
 * @returns the centred rows in the axes, float64 [rows, components]
 */
export function project(
  data: Float32Array | Float64Array,
  { mean, axes }: Pick<Axes, "mean" | "axes">,
): Float64Array {
  const columns = mean.length;
  const [rows, components] = [data.length / columns, axes.length / columns];
  const scores = new Float64Array(rows * components);
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < components; at++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) {
        sum +=
          ((data[row * columns + k] as number) - (mean[k] as number)) * (axes[at * columns + k] as number);
      }
      scores[row * components + at] = sum;
    }
  }
  return scores;
}
