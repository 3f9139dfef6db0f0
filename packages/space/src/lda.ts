import { FarmError } from "@loc2vec/core";
import { cholesky, columnMeans, covariance, eigen, solveLower, solveTransposed } from "@loc2vec/numeric";
import { checkComponents, type Projection } from "./projection.ts";
import { countRows, gather } from "./vectors.ts";

type Matrix = Float64Array[];

export interface LdaOptions {
  /** At most one fewer than there are classes, and as many as a vector has numbers; as many as there can be unless told. */
  components?: number;
  /**
   * 0 to 1: how far covariances are drawn towards a multiple of the identity, (1 − s) · S + s · trace(S) / size · I, as
   * scikit-learn does. Above 0, fewer vectors than numbers are enough.
   */
  shrinkage?: number;
}

/**
 * Fisher's linear discriminants (Fisher 1936; for several classes Rao 1948; Hastie, Tibshirani & Friedman 2009, §4.3.3): the axes
 * along which classes lie farthest apart, measured by the spread within them. They solve B v = λ W v, with B and W the covariance
 * between and within classes; by W = L Lᵀ that is an eigenproblem of a symmetric matrix (Golub & Van Loan, §8.7). Scales are such
 * that vᵀ W v = 1, and W, B and shrinkage are those of scikit-learn's LinearDiscriminantAnalysis(solver="eigen").
 *
 * @param vectors float32 [n, size], C order
 * @param classes of each row, any whole numbers
 * @throws FarmError for fewer than two classes, and where vectors do not vary in all directions and shrinkage is 0
 */
export function fitLda(
  vectors: Float32Array,
  size: number,
  classes: ArrayLike<number>,
  { components, shrinkage = 0 }: LdaOptions = {},
): Projection {
  const rows = rowsByClass(countRows(vectors, size), classes);
  if (!(shrinkage >= 0 && shrinkage <= 1))
    throw new FarmError(
      "input",
      `shrinkage ${shrinkage}: is not within 0 and 1`,
      "0 for none, 0.1 for a little",
    );
  const most = Math.min(rows.length - 1, size);
  checkComponents(
    components ?? most,
    most,
    `${rows.length} classes of vectors with ${size} numbers have ${most}`,
  );
  const mean = columnMeans(vectors, size);
  const within = zeros(size);
  for (const members of rows) {
    const part = gather(vectors, size, members);
    const own = covariance(part, size, columnMeans(part, size));
    // As numeric has it, it is divided by one less than there are members.
    const share = (Math.max(1, members.length - 1) / members.length) * (members.length / classes.length);
    add(within, shrink(own, shrinkage), share);
  }
  const between = shrink(covariance(vectors, size, mean), shrinkage).map((line) =>
    line.map((value) => (value * Math.max(1, classes.length - 1)) / classes.length),
  );
  add(between, within, -1);
  return { mean, ...axesOf(between, within, components ?? most) };
}

/** The rows of each class, classes in ascending order. */
function rowsByClass(rows: number, classes: ArrayLike<number>): number[][] {
  if (classes.length !== rows)
    throw new FarmError("input", `${classes.length} classes of ${rows} vectors`, "give a class for each row");
  const found = new Map<number, number[]>();
  for (let row = 0; row < rows; row++) {
    const members = found.get(classes[row] as number);
    if (members) members.push(row);
    else found.set(classes[row] as number, [row]);
  }
  if (found.size < 2)
    throw new FarmError("input", `LDA: ${found.size} class`, "give vectors of at least two classes");
  return [...found].sort(([a], [b]) => a - b).map(([, members]) => members);
}

/** Solves B v = λ W v: with W = L Lᵀ, the eigenvectors u of L⁻¹ B L⁻ᵀ give v = L⁻ᵀ u. */
function axesOf(between: Matrix, within: Matrix, components: number): Pick<Projection, "axes" | "explained"> {
  const size = within.length;
  const lower = triangleOf(within);
  const half = between.map((line) => solveLower(lower, line)); // Rows: (L⁻¹ B)ᵀ, and B is symmetric.
  const columns = zeros(size);
  for (const [i, line] of half.entries())
    for (let k = 0; k < size; k++) set(columns, k, i, line[k] as number);
  const whole = columns.map((line) => solveLower(lower, line));
  const symmetric = whole.map((line, i) => line.map((value, k) => (value + get(whole, k, i)) / 2));
  const { values, vectors } = eigen(symmetric);
  const order = [...values.keys()].sort((a, b) => (values[b] as number) - (values[a] as number));
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const chosen = order.slice(0, components);
  const axes = new Float64Array(components * size);
  for (const [at, column] of chosen.entries()) {
    const axis = solveTransposed(
      lower,
      Float64Array.from(vectors, (line) => line[column] as number),
    );
    const largest = axis.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    axes.set(largest < 0 ? axis.map((value) => -value) : axis, at * size);
  }
  const explained = chosen.map((at) => (total > 0 ? Math.max(0, values[at] as number) / total : 0));
  return { axes, explained };
}

/** How small a pivot may be beside its diagonal entry, and that beside the greatest one, before the matrix counts as singular. */
const [SINGULAR, FLAT] = [1e-10, 1e-20];

/** The lower triangle of what lies within classes. @throws FarmError where it does not vary in all directions */
function triangleOf(within: Matrix): Matrix {
  const greatest = within.reduce((most, line, i) => Math.max(most, line[i] as number), 0);
  return cholesky(within, (pivot, i) => {
    if (pivot > SINGULAR * get(within, i, i) && pivot > FLAT * greatest) return pivot;
    throw new FarmError(
      "data",
      `LDA: within classes, number ${i} of the vectors does not vary by itself`,
      "set a shrinkage, such as 0.1, or give more vectors",
    );
  });
}

function shrink(matrix: Matrix, shrinkage: number): Matrix {
  const trace = matrix.reduce((sum, line, i) => sum + (line[i] as number), 0);
  return matrix.map((line, i) =>
    line.map((value, k) => (1 - shrinkage) * value + (i === k ? (shrinkage * trace) / matrix.length : 0)),
  );
}

function add(target: Matrix, matrix: Matrix, factor: number): void {
  for (const [i, line] of matrix.entries())
    for (let k = 0; k < line.length; k++) set(target, i, k, get(target, i, k) + factor * (line[k] as number));
}

const zeros = (size: number): Matrix => Array.from({ length: size }, () => new Float64Array(size));
const get = (matrix: Matrix, row: number, column: number): number =>
  (matrix[row] as Float64Array)[column] as number;
const set = (matrix: Matrix, row: number, column: number, value: number): void => {
  (matrix[row] as Float64Array)[column] = value;
};
