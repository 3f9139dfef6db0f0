/** Each number shall vary as much, at least: its standard deviation, and what is added to the variance below the root. */
const [SPREAD, EPSILON] = [1, 1e-4] as const;
/** The weight of the covariances beside that of the variances: ν : μ of the paper's section 4. */
const COVARIANCE = 1 / 25;

/**
 * Variance–covariance regularization (Bardes et al., VICReg, arXiv 2105.04906, eqs. 1 to 4) of a mini-batch's embeddings Z,
 * all rows together: keeps each of the d numbers from becoming a constant, and any two from saying the same.
 *
 *     v(Z) = 1/d Σⱼ max(0, 1 − √(Var(zⱼ) + ε)),   C(Z) = 1/(n − 1) Σᵢ (zᵢ − z̄)(zᵢ − z̄)ᵀ,   c(Z) = 1/d Σ_{i≠j} C(Z)ᵢⱼ²
 *
 * @param embeddings float32 [rows, size], two rows or more
 * @returns v(Z) + c(Z) / 25, and its gradient by the embeddings, float64 [rows, size]
 */
export function decorrelation(
  embeddings: Float32Array,
  size: number,
): { value: number; gradient: Float64Array } {
  const rows = embeddings.length / size;
  const centred = centre(embeddings, size);
  const covariance = new Float64Array(size * size);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        covariance[i * size + j] =
          (covariance[i * size + j] as number) +
          ((centred[row * size + i] as number) * (centred[row * size + j] as number)) / (rows - 1);
  /** The gradient by the covariances, variances among them. */
  const slopes = new Float64Array(size * size);
  let value = 0;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const at = i * size + j;
      const each = covariance[at] as number;
      if (i !== j) {
        value += (COVARIANCE * each ** 2) / size;
        slopes[at] = (2 * COVARIANCE * each) / size;
        continue;
      }
      const deviation = Math.sqrt(each + EPSILON);
      if (deviation >= SPREAD) continue;
      value += (SPREAD - deviation) / size;
      slopes[at] = -1 / (2 * deviation * size);
    }
  }
  // C is symmetric, so its slopes are; the mean's part in the gradient adds up to nothing.
  const gradient = new Float64Array(embeddings.length);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let j = 0; j < size; j++)
        sum += (slopes[i * size + j] as number) * (centred[row * size + j] as number);
      gradient[row * size + i] = (2 * sum) / (rows - 1);
    }
  return { value, gradient };
}

/** The embeddings less their mean, float64. */
function centre(embeddings: Float32Array, size: number): Float64Array {
  const rows = embeddings.length / size;
  const means = new Float64Array(size);
  for (const [i, value] of embeddings.entries()) means[i % size] = (means[i % size] as number) + value / rows;
  return Float64Array.from(embeddings, (value, i) => value - (means[i % size] as number));
}
