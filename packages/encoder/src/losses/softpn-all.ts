import { batchFigures, contrast, groupsOf, SOFTPLUS } from "./contrast.ts";
import { distanceMatrix, throughDistances } from "./distances.ts";
import type { Loss } from "./loss.ts";

/**
 * SoftPN with all negatives of the mini-batch. With D the Euclidean distances and τ the temperature, for rows i and j of one
 * location and k over the rows of all others:
 *
 *     loss(i, j) = log(1 + Σₖ e^{−D(i, k)/τ} · e^{D(i, j)/τ}),   the mean over all ordered pairs (i, j)
 *
 * How it comes from SoftPN (Balntas et al., arXiv 1601.05030, section 3): δ⁻, the distance to the one negative that was
 * drawn, becomes the soft minimum of the distances to all, −τ log Σₖ e^{−D(i, k)/τ}; the minimum over anchor and positive is
 * taken by letting both rows of a pair be i in turn; and instead of its square the share d⁺ = e^{D/τ} / (e^{D/τ} + e^{δ⁻/τ})
 * is brought down by −log(1 − d⁺), whose gradient does not vanish where a pair is altogether wrong. It is as well NT-Xent (Chen
 * et al., arXiv 2002.05709, eq. 1) with negated distances for similarities.
 */
export const softpnAll: Loss = {
  about: "SoftPN with a soft minimum over all negatives of the mini-batch",
  temperature: 0.3,
  compute: (embeddings, size, structure, { temperature }) => {
    const groups = groupsOf(structure);
    const distances = distanceMatrix(embeddings, size);
    const { loss, bySimilarity } = contrast(
      distances.map((distance) => -distance / temperature),
      groups,
      SOFTPLUS,
    );
    const byDistance = bySimilarity.map((slope) => -slope / temperature);
    return {
      loss,
      gradient: throughDistances(embeddings, size, distances, byDistance),
      ...batchFigures(distances, groups, structure),
    };
  },
};
