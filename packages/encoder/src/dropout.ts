import { Purpose, randomOf } from "@loc2vec/core";

/** Rates of dropout, 0 to less than 1. */
export interface Dropout {
  /** Spatial dropout on the input: probability that a channel of a tile falls out. */
  input: number;
  /** Spatial dropout after each convolution: probability that a feature map falls out (Tompson et al., arXiv 1411.4280). */
  conv: number;
  /** Dropout after each dense layer but the embedding. */
  dense: number;
}

/** Weak: the original's rates are not known, and stronger ones make a training learn more slowly (docs/quality.md). */
export const DROPOUT: Dropout = { input: 0.02, conv: 0.01, dense: 0.02 };

/** Keys of the draws: the same keys, the same draws. */
export interface DropoutKeys {
  seed: number;
  step: number;
}

/**
 * Draws what falls out: each number by itself with the rate's probability. What lies between two that do is drawn in one go
 * (geometric gaps by inversion: Devroye, Non-Uniform Random Variate Generation, 1986, section X.2), for hardly any do.
 *
 * @param ordinal of the layer that it follows; 0 for the input
 * @param count how many numbers
 * @param rate 0 to less than 1
 * @returns 0 or 1 / (1 − rate) each; undefined when nothing falls out
 */
export function drawMask(
  { seed, step }: DropoutKeys,
  ordinal: number,
  count: number,
  rate: number,
): Float32Array | undefined {
  if (rate <= 0) return undefined;
  const mask = new Float32Array(count).fill(1 / (1 - rate));
  const random = randomOf(seed, Purpose.dropout, step, ordinal);
  const scale = 1 / Math.log1p(-rate);
  const gap = (): number => Math.floor(Math.log1p(-random.uniform()) * scale);
  for (let at = gap(); at < count; at += 1 + gap()) mask[at] = 0;
  return mask;
}
