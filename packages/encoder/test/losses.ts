import { LOSSES, type LossName, type LossResult, structureOf, type Triplet } from "../src/index.ts";

/** A loss of triplets alone. @param embeddings float32 [rows, size] */
export function tripletLoss(
  embeddings: Float32Array,
  size: number,
  triplets: readonly Triplet[],
  name: LossName = "softpn",
  temperature = 1,
): LossResult {
  return LOSSES[name].compute(embeddings, size, structureOf([], triplets), { temperature });
}
