import type { Loss } from "./loss.ts";
import { softmaxRatio } from "./triplets.ts";

/**
 * SoftPN (Balntas et al., PN-Net, arXiv 1601.05030, section 3): the SoftMax ratio of Δ(a, p) and
 * δ⁻ = min(Δ(a, n), Δ(p, n)), so that the negative is kept from whichever of anchor and positive it is nearer to.
 */
export const softpn: Loss = {
  about: "the negative's distance is that to the nearer of anchor and positive",
  temperature: 1,
  compute: (embeddings, size, { triplets }, options) =>
    softmaxRatio(embeddings, size, triplets, options, ({ anchor, positive, negative }, { distance }) => {
      const fromAnchor = distance(anchor, negative);
      const fromPositive = distance(positive, negative);
      return {
        delta: Math.min(fromAnchor, fromPositive),
        from: fromPositive < fromAnchor ? positive : anchor,
      };
    }),
};
