/**
 * Solves A z = b for a symmetric positive definite A (Golub & Van Loan, §4.2).
 *
 * @param a float64 [n, n]; its lower triangle is read
 * @returns what takes b, float64 [n], and gives z
 */
export function cholesky(a: readonly Float64Array[]): (b: Float64Array) => Float64Array {
  const n = a.length;
  const at = (m: readonly Float64Array[], i: number, k: number): number =>
    (m[i] as Float64Array)[k] as number;
  const l = a.map(() => new Float64Array(n));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = at(a, i, j);
      for (let k = 0; k < j; k++) sum -= at(l, i, k) * at(l, j, k);
      (l[i] as Float64Array)[j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / at(l, j, j);
    }
  }
  return (b) => {
    const z = Float64Array.from(b);
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) z[i] = (z[i] as number) - at(l, i, k) * (z[k] as number);
      z[i] = (z[i] as number) / at(l, i, i);
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) z[i] = (z[i] as number) - at(l, k, i) * (z[k] as number);
      z[i] = (z[i] as number) / at(l, i, i);
    }
    return z;
  };
}
