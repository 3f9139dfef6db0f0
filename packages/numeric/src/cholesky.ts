type Matrix = readonly Float64Array[];

/**
 * The lower triangle L of a symmetric positive definite matrix L Lᵀ (Golub & Van Loan, §4.2).
 *
 * @param matrix float64 [n, n]; its lower triangle is read
 * @param pivotOf what is taken for a pivot, the square of row i's diagonal entry: it is 0 or below, or nearly so, where the
 *   matrix is not positive definite
 * @returns float64 [n, n], 0 above the diagonal
 */
export function cholesky(matrix: Matrix, pivotOf: (pivot: number, i: number) => number): Float64Array[] {
  const lower = matrix.map(() => new Float64Array(matrix.length));
  for (const [i, line] of lower.entries()) {
    for (let j = 0; j <= i; j++) {
      let sum = at(matrix, i, j);
      for (let k = 0; k < j; k++) sum -= at(lower, i, k) * at(lower, j, k);
      line[j] = i === j ? Math.sqrt(pivotOf(sum, i)) : sum / at(lower, j, j);
    }
  }
  return lower;
}

/** x of L x = b. @param lower float64 [n, n] @param b float64 [n] */
export function solveLower(lower: Matrix, b: Float64Array): Float64Array {
  const x = Float64Array.from(b);
  for (let i = 0; i < x.length; i++) {
    for (let k = 0; k < i; k++) x[i] = (x[i] as number) - at(lower, i, k) * (x[k] as number);
    x[i] = (x[i] as number) / at(lower, i, i);
  }
  return x;
}

/** x of Lᵀ x = b, likewise. */
export function solveTransposed(lower: Matrix, b: Float64Array): Float64Array {
  const x = Float64Array.from(b);
  for (let i = x.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < x.length; k++) x[i] = (x[i] as number) - at(lower, k, i) * (x[k] as number);
    x[i] = (x[i] as number) / at(lower, i, i);
  }
  return x;
}

function at(matrix: Matrix, row: number, column: number): number {
  return (matrix[row] as Float64Array)[column] as number;
}
