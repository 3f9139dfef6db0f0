import type { WeightArray, Weights } from "./weight-arrays.ts";

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
export type AdamState = Map<string, WeightArray>;

/**
 * One step of Adam (Kingma & Ba, arXiv 1412.6980, algorithm 1 in the order of its section 2's last paragraph).
 *
 * @param step from 1
 * @param state is brought up to date
 * @returns the new weights of those that have a gradient, in arrays of their own
 */
export function adamStep(
  weights: Weights,
  gradients: ReadonlyMap<string, Float32Array>,
  state: AdamState,
  step: number,
  { learningRate, beta1, beta2, epsilon }: AdamOptions = ADAM,
): Map<string, WeightArray> {
  const rate = (learningRate * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step);
  const updated = new Map<string, WeightArray>();
  for (const [name, gradient] of gradients) {
    const { shape, data } = weights.get(name) as WeightArray;
    const moment = (suffix: string): Float32Array => {
      const moments = state.get(`${name}.${suffix}`) ?? { shape, data: new Float32Array(data.length) };
      state.set(`${name}.${suffix}`, moments);
      return moments.data;
    };
    const m = moment("m");
    const v = moment("v");
    const next = new Float32Array(data.length);
    for (let i = 0; i < next.length; i++) {
      const g = gradient[i] as number;
      m[i] = beta1 * (m[i] as number) + (1 - beta1) * g;
      v[i] = beta2 * (v[i] as number) + (1 - beta2) * g * g;
      next[i] = (data[i] as number) - (rate * (m[i] as number)) / (Math.sqrt(v[i] as number) + epsilon);
    }
    updated.set(name, { shape, data: next });
  }
  return updated;
}
