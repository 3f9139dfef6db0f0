import { cholesky, solveLower, solveTransposed } from "@loc2vec/numeric";
import { type Moments, moments } from "./moments.ts";

/**
 * Multinomial logistic regression on standardized features: the minimum of Σ −log p(label) + ½ λ ‖W‖², the intercepts
 * unpunished (scikit-learn's LogisticRegression with C = 1/λ).
 */
export interface Probe {
  /** Weights of the standardized features, the intercept last: float64 [classes, size + 1]. */
  coefficients: Float64Array;
  /** The same for features as they are: scores are weights · features + intercept. Float64 [classes, size + 1]. */
  weights: Float64Array;
  /** The most likely class of each row. @param features [rows, size] */
  predict(features: Float32Array): Int32Array;
}

const ITERATIONS = 300;
/** Training ends when no coefficient changes by more in an iteration. */
const TOLERANCE = 1e-4;

/**
 * Each iteration divides the gradient by an upper bound of the Hessian, ½ XᵀX + I for every class (Böhning & Lindsay 1988),
 * which never overshoots; with Nesterov's momentum, begun anew when it leads uphill (O'Donoghue & Candès 2015).
 *
 * @param features float32 [rows, size]
 * @param labels class of each row, 0 … classes − 1
 * @param punishment λ
 */
export function fitProbe(
  features: Float32Array,
  size: number,
  labels: ArrayLike<number>,
  classes: number,
  punishment: number = 1,
): Probe {
  const scales = moments(features, size);
  const standardize = standardizer(scales, size);
  const width = size + 1;
  const x = standardize(features);
  const lower = cholesky(hessianBound(x, width, punishment), (pivot) => Math.max(pivot, 1e-12));
  const solve = (b: Float64Array): Float64Array => solveTransposed(lower, solveLower(lower, b));
  let weights = new Float64Array(classes * width);
  let before = weights;
  let momentum = 1;
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const next = (1 + Math.sqrt(1 + 4 * momentum ** 2)) / 2;
    const ahead = weights.map(
      (value, i) => value + ((momentum - 1) / next) * (value - (before[i] as number)),
    );
    momentum = next;
    const gradient = gradientAt(ahead, x, width, labels, classes, punishment);
    before = weights;
    weights = ahead;
    let largest = 0;
    let uphill = 0;
    for (let c = 0; c < classes; c++) {
      const step = solve(gradient.subarray(c * width, (c + 1) * width));
      for (let k = 0; k < width; k++) {
        const i = c * width + k;
        weights[i] = (weights[i] as number) - (step[k] as number);
        largest = Math.max(largest, Math.abs(step[k] as number));
        uphill += (gradient[i] as number) * ((weights[i] as number) - (before[i] as number));
      }
    }
    if (largest < TOLERANCE) break;
    if (uphill > 0) momentum = 1;
  }
  const p = new Float64Array(classes);
  return {
    coefficients: weights,
    weights: unscaled(weights, scales, width),
    predict(data) {
      const rows = standardize(data);
      return Int32Array.from({ length: data.length / size }, (_, row) => {
        probabilities(rows, row, width, weights, p);
        return p.indexOf(Math.max(...p));
      });
    },
  };
}

/** @returns what takes features [rows, size] and gives float64 [rows, size + 1]: standardized as those of the fit, then a 1 */
function standardizer({ mean, scale }: Moments, size: number): (data: Float32Array) => Float64Array {
  const width = size + 1;
  return (data) => {
    const rows = data.length / size;
    const x = new Float64Array(rows * width);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < size; k++)
        x[row * width + k] = ((data[row * size + k] as number) - (mean[k] as number)) * (scale[k] as number);
      x[row * width + size] = 1;
    }
    return x;
  };
}

/** Coefficients of standardized features, as those of the features themselves: float64 [classes, width]. */
function unscaled(coefficients: Float64Array, { mean, scale }: Moments, width: number): Float64Array {
  const weights = coefficients.map((value, i) =>
    i % width < width - 1 ? value * (scale[i % width] as number) : value,
  );
  for (let i = 0; i < weights.length; i += width)
    for (let k = 0; k < width - 1; k++)
      (weights[i + width - 1] as number) -= (weights[i + k] as number) * (mean[k] as number);
  return weights;
}

/** ½ XᵀX + λI, without the λ of the intercept, which is not punished: float64 [width, width]. */
function hessianBound(x: Float64Array, width: number, punishment: number): Float64Array[] {
  return Array.from({ length: width }, (_, a) =>
    Float64Array.from({ length: width }, (_, b) => {
      let sum = 0;
      for (let row = 0; row < x.length; row += width) sum += (x[row + a] as number) * (x[row + b] as number);
      return 0.5 * sum + (a === b && a < width - 1 ? punishment : 0);
    }),
  );
}

/** The gradient of what is minimized, float64 [classes, width]. */
function gradientAt(
  weights: Float64Array,
  x: Float64Array,
  width: number,
  labels: ArrayLike<number>,
  classes: number,
  punishment: number,
): Float64Array {
  const p = new Float64Array(classes);
  // The punishment's part: λ times the weights, but for the intercepts.
  const gradient = weights.map((value, i) => (i % width < width - 1 ? punishment * value : 0));
  for (let row = 0; row < labels.length; row++) {
    probabilities(x, row, width, weights, p);
    p[labels[row] as number] = (p[labels[row] as number] as number) - 1;
    for (let c = 0; c < classes; c++)
      for (let k = 0; k < width; k++)
        (gradient[c * width + k] as number) += (p[c] as number) * (x[row * width + k] as number);
  }
  return gradient;
}

/** Softmax of one row's scores. @param p float64 [classes], is written */
function probabilities(
  x: Float64Array,
  row: number,
  width: number,
  weights: Float64Array,
  p: Float64Array,
): Float64Array {
  let top = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < p.length; c++) {
    let sum = 0;
    for (let k = 0; k < width; k++)
      sum += (weights[c * width + k] as number) * (x[row * width + k] as number);
    p[c] = sum;
    if (sum > top) top = sum;
  }
  let total = 0;
  for (let c = 0; c < p.length; c++) {
    p[c] = Math.exp((p[c] as number) - top);
    total += p[c] as number;
  }
  for (let c = 0; c < p.length; c++) p[c] = (p[c] as number) / total;
  return p;
}

/** How well classes are told. */
export interface ClassScore {
  accuracy: number;
  /** Mean over the classes of the share that is recognized. */
  balanced_accuracy: number;
}

/** How often predictions are right. */
export function score(predicted: ArrayLike<number>, labels: ArrayLike<number>, classes: number): ClassScore {
  const [right, all] = [new Float64Array(classes), new Float64Array(classes)];
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number;
    all[label] = (all[label] as number) + 1;
    if (predicted[i] === label) right[label] = (right[label] as number) + 1;
  }
  const recalls = [...right].flatMap((count, c) =>
    (all[c] as number) > 0 ? [count / (all[c] as number)] : [],
  );
  return {
    accuracy: right.reduce((a, b) => a + b, 0) / labels.length,
    balanced_accuracy: recalls.reduce((a, b) => a + b, 0) / recalls.length,
  };
}
