import { LINEAR } from "./contrast.ts";
import type { Loss } from "./loss.ts";
import { sphereLoss } from "./sphere.ts";

/**
 * The decoupled contrastive loss (Yeh et al., arXiv 2110.06848, section 3): NT-Xent without the positive in the denominator.
 * A pair that is right goes on to be pulled together and away from its negatives, however small the mini-batch is.
 */
export const dcl: Loss = {
  about: "as ntxent, the positive not being in the denominator",
  temperature: 0.2,
  compute: (embeddings, size, structure, options) => sphereLoss(embeddings, size, structure, options, LINEAR),
};
