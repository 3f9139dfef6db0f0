import { EPSILON } from "./distances.ts";
import type { LossOptions, LossResult, Triplet } from "./loss.ts";

/** Euclidean distances Δ between the rows of a mini-batch, and the gradient that is gathered along them. */
export interface Geometry {
  /** Δ(a, b) of two rows. */
  distance(a: number, b: number): number;
  /** Adds weight · ∂Δ(a, b) to the gradient. @param delta Δ(a, b) */
  addGradient(a: number, b: number, delta: number, weight: number): void;
  /** What was added so far, float32 [rows, size]. */
  gradient(): Float32Array;
}

/** @param embeddings float32 [rows, size] */
export function geometryOf(embeddings: Float32Array, size: number): Geometry {
  const sums = new Float64Array(embeddings.length);
  return {
    distance: (a, b) => {
      let sum = EPSILON;
      for (let k = 0; k < size; k++)
        sum += ((embeddings[a * size + k] as number) - (embeddings[b * size + k] as number)) ** 2;
      return Math.sqrt(sum);
    },
    addGradient: (a, b, delta, weight) => {
      for (let k = 0; k < size; k++) {
        const part =
          (weight * ((embeddings[a * size + k] as number) - (embeddings[b * size + k] as number))) / delta;
        sums[a * size + k] = (sums[a * size + k] as number) + part;
        sums[b * size + k] = (sums[b * size + k] as number) - part;
      }
    },
    gradient: () => Float32Array.from(sums),
  };
}

/** The distance δ⁻ that a triplet's negative is told apart by. */
export interface Far {
  delta: number;
  /** The row that it is measured from: the triplet's anchor, or its positive. */
  from: number;
}

/**
 * 1/τ, to fifteen digits: trainings of old have a scale s in its place, and 1 / (1 / s) is not always s, but its first
 * fifteen digits are.
 */
export const scaleOf = (temperature: number): number => Number((1 / temperature).toPrecision(15));

/**
 * The SoftMax ratio of each triplet's distances (Hoffer & Ailon 2015, arXiv 1412.6622, section 2.2), with τ the temperature:
 *
 *     d⁺ = e^{Δ(a, p)/τ} / (e^{Δ(a, p)/τ} + e^{δ⁻/τ}),   d⁻ = 1 − d⁺
 *
 * The loss is the mean squared error of (d⁺, d⁻) against (0, 1), which is the mean of d⁺². The lower τ is, the sooner a
 * triplet that is right weighs nothing any more.
 *
 * @param farOf δ⁻ of a triplet
 */
export function softmaxRatio(
  embeddings: Float32Array,
  size: number,
  triplets: readonly Triplet[],
  { temperature }: LossOptions,
  farOf: (triplet: Triplet, geometry: Geometry) => Far,
): LossResult {
  const scale = scaleOf(temperature);
  const geometry = geometryOf(embeddings, size);
  const sums = { loss: 0, positive: 0, negative: 0, accuracy: 0 };
  for (const triplet of triplets) {
    const { anchor, positive, negative } = triplet;
    const near = geometry.distance(anchor, positive);
    const far = farOf(triplet, geometry);
    const share = 1 / (1 + Math.exp(scale * (far.delta - near)));
    sums.loss += share ** 2;
    sums.positive += near;
    sums.negative += far.delta;
    if (near < far.delta) sums.accuracy++;
    const slope = (2 * scale * share ** 2 * (1 - share)) / triplets.length;
    geometry.addGradient(anchor, positive, near, slope);
    geometry.addGradient(far.from, negative, far.delta, -slope);
  }
  for (const key of ["loss", "positive", "negative", "accuracy"] as const) sums[key] /= triplets.length;
  return { ...sums, gradient: geometry.gradient() };
}
