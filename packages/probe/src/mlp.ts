import type { Random } from "@loc2vec/core";

/** Size of the hidden layer, steps of Adam, rows of a step, learning rate, and weight decay at each step. */
const [HIDDEN, STEPS, BATCH, RATE, DECAY] = [24, 300, 32, 0.01, 1e-3] as const;
/** Adam's (Kingma & Ba 2015). */
const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8] as const;

/** A perceptron with one hidden layer of ReLUs. */
export interface Mlp {
  /** Of the inputs, which are standardized: (x − mean) · scale. */
  mean: ArrayLike<number>;
  scale: ArrayLike<number>;
  hidden: number;
  /** [hidden, size + 1], then [outputs, hidden + 1], intercepts last. */
  weights: ArrayLike<number>;
  /** What outputs are multiplied by, and what is added. */
  unit: readonly [number, number];
}

/** Sums of weights · inputs + intercept. @param weights [outputs, inputs + 1] from `from` on @param into float64 [outputs] */
export function outputsOf(
  weights: ArrayLike<number>,
  inputs: ArrayLike<number>,
  into: Float64Array,
  from: number = 0,
): void {
  const width = inputs.length + 1;
  for (let o = 0; o < into.length; o++) {
    const at = from + o * width;
    let sum = weights[at + width - 1] as number;
    for (let i = 0; i < width - 1; i++) sum += (weights[at + i] as number) * (inputs[i] as number);
    into[o] = sum;
  }
}

/** One row's outputs. @param given [size] @param into float64 [outputs] */
export function scoreMlp(
  { mean, scale, hidden, weights, unit }: Mlp,
  given: ArrayLike<number>,
  into: Float64Array,
): void {
  const inputs = Float64Array.from(given, (value, i) => (value - (mean[i] as number)) * (scale[i] as number));
  const middle = new Float64Array(hidden);
  outputsOf(weights, inputs, middle);
  for (let h = 0; h < hidden; h++) middle[h] = Math.max(0, middle[h] as number);
  outputsOf(weights, middle, into, hidden * (inputs.length + 1));
  for (let o = 0; o < into.length; o++) into[o] = (into[o] as number) * unit[0] + unit[1];
}

/**
 * Learns by {@link STEPS} steps of Adam, on {@link BATCH} rows each: classes by cross-entropy, numbers by squared errors.
 *
 * @param rows standardized inputs, float64 [rows, size]
 * @param targets class of each row, or standardized number
 * @param classes how many; undefined for numbers
 * @returns the weights, float64: [hidden, size + 1], then [outputs, hidden + 1]
 */
export function trainMlp(
  rows: Float64Array,
  size: number,
  targets: ArrayLike<number>,
  classes: number | undefined,
  random: Random,
): { hidden: number; weights: Float64Array } {
  const [outputs, first] = [classes ?? 1, HIDDEN * (size + 1)];
  const weights = new Float64Array(first + outputs * (HIDDEN + 1));
  // He's scale for what ReLUs follow (He et al. 2015).
  for (let i = 0; i < first; i++)
    if (i % (size + 1) < size) weights[i] = Math.sqrt(2 / size) * random.normal();
  for (let i = first; i < weights.length; i++)
    if ((i - first) % (HIDDEN + 1) < HIDDEN) weights[i] = Math.sqrt(1 / HIDDEN) * random.normal();
  const [gradient, mean, variance] = [0, 1, 2].map(() => new Float64Array(weights.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const [middle, out] = [new Float64Array(HIDDEN), new Float64Array(outputs)];
  const pass = { middle, out, first, isClasses: classes !== undefined };
  for (let step = 1; step <= STEPS; step++) {
    gradient.fill(0);
    const count = Math.min(BATCH, targets.length);
    for (let b = 0; b < count; b++) {
      const row = random.int(targets.length);
      const given = rows.subarray(row * size, (row + 1) * size);
      addGradient(gradient, weights, given, targets[row] as number, pass);
    }
    const rate = RATE * (1 - (step - 1) / STEPS);
    const [unbias1, unbias2] = [1 - BETA1 ** step, 1 - BETA2 ** step];
    for (let i = 0; i < weights.length; i++) {
      const g = (gradient[i] as number) / count;
      mean[i] = BETA1 * (mean[i] as number) + (1 - BETA1) * g;
      variance[i] = BETA2 * (variance[i] as number) + (1 - BETA2) * g * g;
      const deviation = Math.sqrt((variance[i] as number) / unbias2) + EPSILON;
      weights[i] =
        (weights[i] as number) * (1 - rate * DECAY) - (rate * (mean[i] as number)) / (unbias1 * deviation);
    }
  }
  return { hidden: HIDDEN, weights };
}

/** What one row's gradient is reckoned in. */
interface Pass {
  /** Of the hidden layer, and of the outputs; written over. */
  middle: Float64Array;
  out: Float64Array;
  /** Where the second layer's weights begin. */
  first: number;
  isClasses: boolean;
}

/** Adds one row's gradient. */
function addGradient(
  gradient: Float64Array,
  weights: Float64Array,
  given: Float64Array,
  target: number,
  { middle, out, first, isClasses }: Pass,
): void {
  const [size, outputs] = [given.length, out.length];
  outputsOf(weights, given, middle);
  for (let h = 0; h < HIDDEN; h++) middle[h] = Math.max(0, middle[h] as number);
  outputsOf(weights, middle, out, first);
  if (isClasses) {
    const top = Math.max(...out);
    let total = 0;
    for (let o = 0; o < outputs; o++) {
      out[o] = Math.exp((out[o] as number) - top);
      total += out[o] as number;
    }
    for (let o = 0; o < outputs; o++) out[o] = (out[o] as number) / total - (o === target ? 1 : 0);
  } else out[0] = (out[0] as number) - target;
  for (let h = 0; h < HIDDEN; h++) {
    const active = middle[h] as number;
    let back = 0;
    for (let o = 0; o < outputs; o++) {
      const at = first + o * (HIDDEN + 1);
      back += (out[o] as number) * (weights[at + h] as number);
      gradient[at + h] = (gradient[at + h] as number) + (out[o] as number) * active;
    }
    if (active <= 0) continue;
    const at = h * (size + 1);
    for (let i = 0; i < size; i++)
      gradient[at + i] = (gradient[at + i] as number) + back * (given[i] as number);
    gradient[at + size] = (gradient[at + size] as number) + back;
  }
  for (let o = 0; o < outputs; o++) {
    const at = first + o * (HIDDEN + 1) + HIDDEN;
    gradient[at] = (gradient[at] as number) + (out[o] as number);
  }
}
