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
 * together, in TensorFlow: elementwise ops, so that it comes to the same bits however many threads there are.
 *
 * @param before stay as they are
 * @param gradient of the loss by the weights, a vector
 * @param step from 1
 */
export function adamStep(
  tensorflow: Pick<Tensorflow, "tf" | "op">,
  before: AdamTensors,
  gradient: Tensor,
  step: number,
  { learningRate, beta1, beta2, epsilon }: AdamOptions = ADAM,
): AdamTensors {
  const { add, subtract, multiply, divide, root, towards, number } = flatMath(tensorflow);
  const rate = (learningRate * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step);
  const m = towards(before.m, gradient, 1 - beta1);
  const v = towards(before.v, multiply(gradient, gradient), 1 - beta2);
  const change = divide(multiply(m, number(rate)), add(root(v), number(epsilon)));
  return { weights: subtract(before.weights, change), m, v };
}
