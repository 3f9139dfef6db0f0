/** Added to the square of a distance: keeps the distance of two equal embeddings differentiable. */
export const EPSILON = 1e-12;

/**
 * Euclidean distances between all rows.
 *
 * @param embeddings float32 [rows, size]
 * @returns float64 [rows, rows], symmetric
 */
export function distanceMatrix(embeddings: Float32Array, size: number): Float64Array {
  const rows = embeddings.length / size;
  const distances = new Float64Array(rows * rows);
  for (let a = 0; a < rows; a++) {
    for (let b = a; b < rows; b++) {
      let sum = EPSILON;
      for (let k = 0; k < size; k++) {
        const apart = (embeddings[a * size + k] as number) - (embeddings[b * size + k] as number);
        sum += apart * apart;
      }
      const distance = Math.sqrt(sum);
      distances[a * rows + b] = distance;
      distances[b * rows + a] = distance;
    }
  }
  return distances;
}

/**
 * The gradient by the embeddings of what depends on them through their distances alone, by the chain rule.
 *
 * @param embeddings float32 [rows, size]
 * @param distances of {@link distanceMatrix}
 * @param byDistance the gradient by each distance, float64 [rows, rows]: what stands at (a, b) and at (b, a) adds up
 * @returns float32 [rows, size]
 */
export function throughDistances(
  embeddings: Float32Array,
  size: number,
  distances: Float64Array,
  byDistance: Float64Array,
): Float32Array {
  const rows = embeddings.length / size;
  const sums = new Float64Array(embeddings.length);
  for (let a = 0; a < rows; a++) {
    for (let b = a + 1; b < rows; b++) {
      const slope = (byDistance[a * rows + b] as number) + (byDistance[b * rows + a] as number);
      if (slope === 0) continue;
      const weight = slope / (distances[a * rows + b] as number);
      for (let k = 0; k < size; k++) {
        const [i, j] = [a * size + k, b * size + k];
        const part = weight * ((embeddings[i] as number) - (embeddings[j] as number));
        sums[i] = (sums[i] as number) + part;
        sums[j] = (sums[j] as number) - part;
      }
    }
  }
  return Float32Array.from(sums);
}
