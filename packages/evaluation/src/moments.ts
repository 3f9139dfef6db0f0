import { columnMeans } from "@loc2vec/numeric";

/** The mean of each column, and 1 / standard deviation (0 for a column that does not vary). */
export interface Moments {
  mean: Float64Array;
  scale: Float64Array;
}

/** @param data float32 [rows, size] */
export function moments(data: Float32Array, size: number): Moments {
  const rows = data.length / size;
  const mean = columnMeans(data, size);
  const variance = new Float64Array(size);
  for (let i = 0; i < data.length; i++)
    variance[i % size] =
      (variance[i % size] as number) + ((data[i] as number) - (mean[i % size] as number)) ** 2 / rows;
  return { mean, scale: variance.map((value) => (value > 1e-20 ? 1 / Math.sqrt(value) : 0)) };
}
