import { mean, pca, project } from "@loc2vec/numeric";
import { type Moments, moments } from "./moments.ts";

/** Linear regression on standardized features, whose coefficients are held small, but for the intercept (Hoerl & Kennard 1970). */
export interface Ridge {
  /** Of the squared coefficients, beside the squared errors; chosen by the errors at rows that are left out, one at a time. */
  punishment: number;
  /** Of the features as they are, the intercept last: float64 [size + 1]. */
  weights: Float64Array;
  /** The number of each row. @param features float32 [rows, size] */
  predict(features: Float32Array): Float64Array;
}

/** 10⁵ to 10⁻², the strongest first: of equals it is taken. */
const PUNISHMENTS = Array.from({ length: 15 }, (_, i) => 10 ** (5 - i / 2));

/**
 * In the principal axes of the features, where the normal equations are diagonal, each punishment α takes a pass over the rows:
 * the error at row i, had it been left out, is (yᵢ − ŷᵢ) / (1 − hᵢ), where hᵢ = 1/n + Σₖ zᵢₖ² / (λₖ + α) (Allen 1974, PRESS; as
 * scikit-learn's RidgeCV does).
 *
 * @param features float32 [rows, size]
 * @param targets number of each row
 */
export function fitRidge(features: Float32Array, size: number, targets: readonly number[]): Ridge {
  const scales = moments(features, size);
  const standardize = standardizer(scales, size);
  const standard = standardize(features);
  const { mean: middle, axes, scores } = pca(standard, size, size);
  const rows = targets.length;
  const intercept = mean(targets);
  const squares = new Float64Array(size);
  const products = new Float64Array(size);
  for (let i = 0; i < scores.length; i++) {
    const [k, z] = [i % size, scores[i] as number];
    squares[k] = (squares[k] as number) + z * z;
    products[k] = (products[k] as number) + z * ((targets[Math.floor(i / size)] as number) - intercept);
  }
  const coefficientsOf = (punishment: number): Float64Array =>
    products.map((product, k) => product / ((squares[k] as number) + punishment));
  const errorOf = (punishment: number): number => {
    const coefficients = coefficientsOf(punishment);
    let sum = 0;
    for (let row = 0; row < rows; row++) {
      let [error, leverage] = [(targets[row] as number) - intercept, 1 / rows];
      for (let k = 0; k < size; k++) {
        const z = scores[row * size + k] as number;
        error -= (coefficients[k] as number) * z;
        leverage += (z * z) / ((squares[k] as number) + punishment);
      }
      sum += (error / Math.max(1e-12, 1 - leverage)) ** 2;
    }
    return sum;
  };
  const errors = PUNISHMENTS.map(errorOf);
  const punishment = PUNISHMENTS[errors.indexOf(Math.min(...errors))] as number;
  const coefficients = coefficientsOf(punishment);
  return {
    punishment,
    weights: unscaled(coefficients, axes, middle, intercept, scales),
    predict(data) {
      const asked = project(standardize(data), { mean: middle, axes });
      return Float64Array.from({ length: data.length / size }, (_, row) => {
        let sum = intercept;
        for (let k = 0; k < size; k++) sum += (coefficients[k] as number) * (asked[row * size + k] as number);
        return sum;
      });
    },
  };
}

/**
 * Coefficients of the principal axes, as those of the features themselves, the intercept last.
 *
 * @param axes float64 [size, size], one after another
 * @param centre of the standardized features, from which the axes lead
 */
function unscaled(
  coefficients: Float64Array,
  axes: Float64Array,
  centre: ArrayLike<number>,
  intercept: number,
  { mean: middle, scale }: Moments,
): Float64Array {
  const size = scale.length;
  const weights = new Float64Array(size + 1);
  weights[size] = intercept;
  for (let i = 0; i < size; i++) {
    const along = coefficients.reduce((sum, value, k) => sum + value * (axes[k * size + i] as number), 0);
    weights[i] = along * (scale[i] as number);
    weights[size] =
      (weights[size] as number) -
      along * (centre[i] as number) -
      (weights[i] as number) * (middle[i] as number);
  }
  return weights;
}

/** @returns what takes features [rows, size] and gives float64 of that shape: standardized as those of the fit */
function standardizer({ mean: middle, scale }: Moments, size: number): (data: Float32Array) => Float64Array {
  return (data) =>
    Float64Array.from(
      data,
      (value, i) => (value - (middle[i % size] as number)) * (scale[i % size] as number),
    );
}

/** How well numbers are told. */
export interface NumberScore {
  /** 1 − Σ (y − ŷ)² / Σ (y − ȳ)², where ȳ is the mean of those asked for: 0 is what naming it throughout gives, 1 is perfect. */
  r2: number;
  /** Mean of |y − ŷ|. */
  mean_absolute_error: number;
}

/** How near predictions come; where all numbers are one, R² is 0 but for perfect predictions. */
export function scoreNumbers(predicted: ArrayLike<number>, targets: readonly number[]): NumberScore {
  const middle = mean(targets);
  const errors = targets.map((target, i) => target - (predicted[i] as number));
  const left = errors.reduce((sum, error) => sum + error ** 2, 0);
  const all = targets.reduce((sum, target) => sum + (target - middle) ** 2, 0);
  const r2 = all > 0 ? 1 - left / all : left === 0 ? 1 : 0;
  return { r2, mean_absolute_error: mean(errors.map(Math.abs)) };
}
