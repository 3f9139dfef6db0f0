import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { flatMath } from "./flat.ts";
import type { Weights } from "./weight-arrays.ts";

/** What can be chosen of Adam. */
export interface AdamOptions {
  learningRate: number;
  /** Shares of their past that the first and the second moments keep in a step. */
  beta1: number;
  beta2: number;
  /** Added to the root of the second moment. */
  epsilon: number;
}

/** The defaults of Keras, which are those of the paper but for ε. */
export const ADAM: AdamOptions = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };

/** First and second moments by name, `<weight>.m` and `<weight>.v`. */
export type AdamState = Weights;

/** Weights and their moments: vectors of one length, float32. */
export interface AdamTensors {
  weights: Tensor;
  /** First and second moments. */
  m: Tensor;
  v: Tensor;
}

/**
 * One step of Adam (Kingma & Ba, arXiv 1412.6980, algorithm 1 in the order of its section 2's last paragraph) on all weights
 * together, in TensorFlow. It is computed in float64 and kept in float32.
 *
 * @param before stay as they are
 * @param gradient of the loss by the weights, a vector in float64
 * @param step from 1
 */
export function adamStep(
  tensorflow: Pick<Tensorflow, "tf" | "op">,
  before: AdamTensors,
  gradient: Tensor,
  step: number,
  { learningRate, beta1, beta2, epsilon }: AdamOptions = ADAM,
): AdamTensors {
  const { widen, narrow, add, subtract, multiply, divide, root, number } = flatMath(tensorflow);
  const fixed = (value: number): Tensor => number(value, "kept");
  const rate = (learningRate * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step);
  const part1 = multiply(fixed(1 - beta1), gradient);
  const part2 = multiply(multiply(fixed(1 - beta2), gradient), gradient);
  const m = narrow(add(multiply(fixed(beta1), widen(before.m)), part1));
  const v = narrow(add(multiply(fixed(beta2), widen(before.v)), part2));
  const change = divide(multiply(number(rate), widen(m)), add(root(widen(v)), fixed(epsilon)));
  return { weights: narrow(subtract(widen(before.weights), change)), m, v };
}
