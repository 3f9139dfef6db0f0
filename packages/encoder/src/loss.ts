/**
 * Losses of triplets (anchor, positive, negative), with Δ the Euclidean distance of two embeddings:
 * - `softpn` (Balntas et al., PN-Net, arXiv 1601.05030): δ⁻ = min(Δ(a, n), Δ(p, n));
 * - `ratio` (Hoffer & Ailon 2015, arXiv 1412.6622): δ⁻ = Δ(a, n).
 *
 * d⁺ = e^{Δ(a, p)} / (e^{Δ(a, p)} + e^{δ⁻}) and d⁻ = 1 − d⁺; the loss is the mean squared error of (d⁺, d⁻) against
 * (0, 1), which is the mean of d⁺². A scale other than 1 multiplies every Δ in these exponents (the inverse of a temperature):
 * the larger it is, the sooner a triplet that is right weighs nothing any more.
 */
export type Loss = "softpn" | "ratio";

/** Rows of the mini-batch's embeddings. */
export interface Triplet {
  anchor: number;
  positive: number;
  negative: number;
}

export interface LossResult {
  /** Mean over the triplets. */
  loss: number;
  /** Of the loss by the embeddings, float32 [rows, size]. */
  gradient: Float32Array;
  /** Mean of Δ(a, p). */
  positive: number;
  /** Mean of δ⁻. */
  negative: number;
  /** Share of triplets with Δ(a, p) < δ⁻. */
  accuracy: number;
}

/** Keeps the distance of two equal embeddings differentiable. */
const EPSILON = 1e-12;

/** @param embeddings float32 [rows, size] */
export function tripletLoss(
  embeddings: Float32Array,
  size: number,
  triplets: readonly Triplet[],
  kind: Loss = "softpn",
  scale = 1,
): LossResult {
  const sums = new Float64Array(embeddings.length);
  const result = { loss: 0, positive: 0, negative: 0, accuracy: 0 };
  const distance = (a: number, b: number): number => {
    let sum = EPSILON;
    for (let k = 0; k < size; k++)
      sum += ((embeddings[a * size + k] as number) - (embeddings[b * size + k] as number)) ** 2;
    return Math.sqrt(sum);
  };
  /** Adds `weight` · ∂Δ(a, b). */
  const spread = (a: number, b: number, delta: number, weight: number): void => {
    for (let k = 0; k < size; k++) {
      const part =
        (weight * ((embeddings[a * size + k] as number) - (embeddings[b * size + k] as number))) / delta;
      sums[a * size + k] = (sums[a * size + k] as number) + part;
      sums[b * size + k] = (sums[b * size + k] as number) - part;
    }
  };
  for (const { anchor, positive, negative } of triplets) {
    const near = distance(anchor, positive);
    const fromAnchor = distance(anchor, negative);
    const fromPositive = kind === "softpn" ? distance(positive, negative) : Number.POSITIVE_INFINITY;
    const closer = fromPositive < fromAnchor ? positive : anchor;
    const far = Math.min(fromAnchor, fromPositive);
    const share = 1 / (1 + Math.exp(scale * (far - near)));
    result.loss += share ** 2;
    result.positive += near;
    result.negative += far;
    if (near < far) result.accuracy++;
    const slope = (2 * scale * share ** 2 * (1 - share)) / triplets.length;
    spread(anchor, positive, near, slope);
    spread(closer, negative, far, -slope);
  }
  for (const key of ["loss", "positive", "negative", "accuracy"] as const) result[key] /= triplets.length;
  return { ...result, gradient: Float32Array.from(sums) };
}
