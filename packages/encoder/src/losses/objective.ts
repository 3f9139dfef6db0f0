import { decorrelation } from "./decorrelate.ts";
import { LOSSES, type LossName } from "./index.ts";
import type { BatchStructure, LossOptions, LossResult } from "./loss.ts";

/** What a training brings down: a loss, and what is added to it. */
export interface Objective extends LossOptions {
  loss: LossName;
  /** Weight of the {@link decorrelation} that is added, 0 or more. */
  decorrelate: number;
}

/**
 * The objective of a mini-batch.
 *
 * @param embeddings float32 [rows, size]
 * @param size numbers of an embedding
 */
export function computeObjective(
  embeddings: Float32Array,
  size: number,
  structure: BatchStructure,
  { loss: name, temperature, decorrelate }: Objective,
): LossResult {
  const result = LOSSES[name].compute(embeddings, size, structure, { temperature });
  if (decorrelate === 0) return result;
  const { value, gradient } = decorrelation(embeddings, size);
  return {
    ...result,
    loss: result.loss + decorrelate * value,
    gradient: result.gradient.map((slope, i) => slope + decorrelate * (gradient[i] as number)),
  };
}
