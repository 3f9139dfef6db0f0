import type { Loss } from "./loss.ts";
import { softmaxRatio } from "./triplets.ts";

/** The plain SoftMax ratio (Hoffer & Ailon 2015, arXiv 1412.6622, section 2.2): δ⁻ = Δ(a, n). */
export const ratio: Loss = {
  about: "the negative's distance is that to the anchor",
  temperature: 1,
  compute: (embeddings, size, { triplets }, options) =>
    softmaxRatio(embeddings, size, triplets, options, ({ anchor, negative }, { distance }) => ({
      delta: distance(anchor, negative),
      from: anchor,
    })),
};
