/** @param data [rows, columns], C order @returns the mean of each column, float64 [columns] */
export function columnMeans(data: Float32Array | Float64Array, columns: number): Float64Array {
  const rows = data.length / columns;
  const means = new Float64Array(columns);
  for (let i = 0; i < data.length; i++)
    means[i % columns] = (means[i % columns] as number) + (data[i] as number) / rows;
  return means;
}

/**
 * The sample covariance: divided by rows − 1, as numpy.cov does (by 1 for a single row).
 *
 * @param data [rows, columns], C order
 * @param means of the columns: see {@link columnMeans}
 * @returns float64 [columns, columns]
 */
export function covariance(
  data: Float32Array | Float64Array,
  columns: number,
  means: Float64Array,
): Float64Array[] {
  const rows = data.length / columns;
  const products = Array.from({ length: columns }, () => new Float64Array(columns));
  for (let row = 0; row < rows; row++) {
    for (let a = 0; a < columns; a++) {
      const deviation = (data[row * columns + a] as number) - (means[a] as number);
      const line = products[a] as Float64Array;
      for (let b = 0; b < columns; b++) {
        line[b] =
          (line[b] as number) +
          (deviation * ((data[row * columns + b] as number) - (means[b] as number))) / Math.max(1, rows - 1);
      }
    }
  }
  return products;
}
