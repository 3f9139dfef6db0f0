const SWEEPS = 60;
/** Sum of the squares above the diagonal, below which the matrix counts as diagonal. */
const DIAGONAL = 1e-24;
/** An entry that is as good as zero already. */
const ZERO = 1e-300;

type Matrix = readonly Float64Array[];

export interface Eigen {
  /** In no order. */
  values: number[];
  /** Float64 [rows, columns]: the eigenvector of `values[i]` is column i. They are orthonormal. */
  vectors: Float64Array[];
}

/**
 * Eigenvalues and eigenvectors of a symmetric matrix, by cyclic Jacobi rotations (Golub & Van Loan, §8.5): precise, and fast
 * enough for some hundred columns.
 *
 * @param symmetric float64 [n, n]; stays as it is
 */
export function eigen(symmetric: Matrix): Eigen {
  const n = symmetric.length;
  const matrix = symmetric.map((line) => line.slice());
  const vectors = Array.from({ length: n }, (_, i) => new Float64Array(n).map((_, k) => (k === i ? 1 : 0)));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let above = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) above += entry(matrix, p, q) ** 2;
    if (above < DIAGONAL) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const off = entry(matrix, p, q);
        if (Math.abs(off) < ZERO) continue;
        const theta = (entry(matrix, q, q) - entry(matrix, p, p)) / (2 * off);
        const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const cosine = 1 / Math.sqrt(tangent * tangent + 1);
        const sine = tangent * cosine;
        rotateColumns(matrix, p, q, cosine, sine);
        rotateRows(matrix, p, q, cosine, sine);
        rotateColumns(vectors, p, q, cosine, sine);
      }
    }
  }
  return { values: matrix.map((line, i) => line[i] as number), vectors };
}

function entry(matrix: Matrix, row: number, column: number): number {
  return (matrix[row] as Float64Array)[column] as number;
}

/** Turns columns p and q into cos · p − sin · q and sin · p + cos · q. */
function rotateColumns(matrix: Matrix, p: number, q: number, cosine: number, sine: number): void {
  for (const line of matrix) {
    const [x, y] = [line[p] as number, line[q] as number];
    line[p] = cosine * x - sine * y;
    line[q] = sine * x + cosine * y;
  }
}

/** Turns rows p and q alike. */
function rotateRows(matrix: Matrix, p: number, q: number, cosine: number, sine: number): void {
  const [lineP, lineQ] = [matrix[p] as Float64Array, matrix[q] as Float64Array];
  for (let i = 0; i < lineP.length; i++) {
    const [x, y] = [lineP[i] as number, lineQ[i] as number];
    lineP[i] = cosine * x - sine * y;
    lineQ[i] = sine * x + cosine * y;
  }
}
