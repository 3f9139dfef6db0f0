import { SOFTPLUS } from "./contrast.ts";
import type { Loss } from "./loss.ts";
import { sphereLoss } from "./sphere.ts";

/**
 * NT-Xent (Chen et al., SimCLR, arXiv 2002.05709, eq. 1): −log of the softmax share that the positive's cosine has, the
 * positive itself and all negatives being in the denominator. There each image has one positive; here it is the mean over all
 * ordered pairs of rows of one location, the other positives being left out of each other's denominator.
 */
export const ntxent: Loss = {
  about: "SimCLR's: the positive's softmax share among all negatives of the mini-batch, by cosines",
  temperature: 0.1,
  compute: (embeddings, size, structure, options) =>
    sphereLoss(embeddings, size, structure, options, SOFTPLUS),
};
