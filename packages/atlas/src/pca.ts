export interface Pca {
  /** Of the columns, float64 [columns]. */
  mean: Float64Array;
  /** Principal axes, float64 [components, columns], orthonormal, by falling variance; the largest entry of each is positive. */
  axes: Float64Array;
  /** Share of the variance that each axis explains. */
  explained: number[];
  /** The rows in these axes, float64 [rows, components]. */
  scores: Float64Array;
}

/**
 * Principal component analysis (Pearson 1901) by eigen-decomposition of the covariance.
 *
 * @param data [rows, columns], C order
 */
export function pca(data: Float32Array | Float64Array, columns: number, components: number): Pca {
  const rows = data.length / columns;
  const mean = new Float64Array(columns);
  for (let i = 0; i < data.length; i++)
    mean[i % columns] = (mean[i % columns] as number) + (data[i] as number) / rows;
  const covariance = Array.from({ length: columns }, () => new Float64Array(columns));
  for (let row = 0; row < rows; row++) {
    for (let a = 0; a < columns; a++) {
      const da = (data[row * columns + a] as number) - (mean[a] as number);
      const line = covariance[a] as Float64Array;
      for (let b = 0; b < columns; b++) {
        line[b] =
          (line[b] as number) +
          (da * ((data[row * columns + b] as number) - (mean[b] as number))) / Math.max(1, rows - 1);
      }
    }
  }
  const { values, vectors } = eigen(covariance);
  const order = [...values.keys()]
    .sort((a, b) => (values[b] as number) - (values[a] as number))
    .slice(0, components);
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const axes = new Float64Array(components * columns);
  for (const [at, column] of order.entries()) {
    const axis = vectors.map((line) => line[column] as number);
    const largest = axis.reduce(
      (best, value) => (Math.abs(value) > Math.abs(best) + 1e-12 ? value : best),
      0,
    );
    for (const [k, value] of axis.entries()) axes[at * columns + k] = largest < 0 ? -value : value;
  }
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
  return {
    mean,
    axes,
    explained: order.map((at) => (total > 0 ? Math.max(0, values[at] as number) / total : 0)),
    scores,
  };
}

/** Eigenvalues, and eigenvectors as columns, of a symmetric matrix: cyclic Jacobi rotations (Golub & Van Loan, §8.5). */
function eigen(symmetric: readonly Float64Array[]): { values: number[]; vectors: Float64Array[] } {
  const n = symmetric.length;
  const a = symmetric.map((line) => line.slice());
  const v = Array.from({ length: n }, (_, i) => new Float64Array(n).map((_, k) => (k === i ? 1 : 0)));
  const get = (m: readonly Float64Array[], i: number, k: number): number =>
    (m[i] as Float64Array)[k] as number;
  const turn = (
    m: Float64Array[],
    i: number,
    p: number,
    q: number,
    c: number,
    s: number,
    columns: boolean,
  ): void => {
    const [x, y] = columns ? [get(m, i, p), get(m, i, q)] : [get(m, p, i), get(m, q, i)];
    if (columns) {
      (m[i] as Float64Array)[p] = c * x - s * y;
      (m[i] as Float64Array)[q] = s * x + c * y;
    } else {
      (m[p] as Float64Array)[i] = c * x - s * y;
      (m[q] as Float64Array)[i] = s * x + c * y;
    }
  };
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += get(a, p, q) ** 2;
    if (off < 1e-24) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(get(a, p, q)) < 1e-300) continue;
        const theta = (get(a, q, q) - get(a, p, p)) / (2 * get(a, p, q));
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        for (let i = 0; i < n; i++) turn(a, i, p, q, c, t * c, true);
        for (let i = 0; i < n; i++) turn(a, i, p, q, c, t * c, false);
        for (let i = 0; i < n; i++) turn(v, i, p, q, c, t * c, true);
      }
    }
  }
  return { values: a.map((line, i) => line[i] as number), vectors: v };
}

export interface Neighbour {
  index: number;
  /** Euclidean. */
  distance: number;
}

/** The `count` rows nearest to a row, itself left out, nearest first. @param allowed leaves rows out */
export function nearest(
  data: Float32Array,
  columns: number,
  row: number,
  count: number,
  allowed: (index: number) => boolean = () => true,
): Neighbour[] {
  const found: Neighbour[] = [];
  for (let index = 0; index < data.length / columns; index++) {
    if (index === row || !allowed(index)) continue;
    let sum = 0;
    for (let k = 0; k < columns; k++)
      sum += ((data[row * columns + k] as number) - (data[index * columns + k] as number)) ** 2;
    found.push({ index, distance: Math.sqrt(sum) });
  }
  return found.sort((a, b) => a.distance - b.distance || a.index - b.index).slice(0, count);
}
