import { batchFigures, countPairs, groupsOf, nearestNegatives } from "./contrast.ts";
import { distanceMatrix, throughDistances } from "./distances.ts";
import type { Loss } from "./loss.ts";
import { scaleOf } from "./triplets.ts";

/**
 * SoftPN (Balntas et al., arXiv 1601.05030, section 3) of all pairs (i, j) of rows of one location, each with the hardest
 * negative of the mini-batch in place of the one that was drawn (as Hermans et al. choose it, arXiv 1703.07737, eq. 5):
 *
 *     δ⁻ = min over k of other locations of min(Δ(i, k), Δ(j, k))
 *
 * The loss is the mean of the squared shares, as of SoftPN.
 */
export const softpnHard: Loss = {
  about: "SoftPN with the hardest negative of the mini-batch for each pair",
  temperature: 1,
  compute: (embeddings, size, structure, { temperature }) => {
    const scale = scaleOf(temperature);
    const groups = groupsOf(structure);
    const rows = groups.length;
    const distances = distanceMatrix(embeddings, size);
    const nearest = nearestNegatives(distances, groups);
    const pairs = countPairs(groups) / 2;
    const byDistance = new Float64Array(rows * rows);
    let [loss, negative] = [0, 0];
    for (let i = 0; i < rows; i++) {
      for (let j = i + 1; j < rows; j++) {
        if (groups[j] !== groups[i]) continue;
        const from = (nearest.distance[j] as number) < (nearest.distance[i] as number) ? j : i;
        const far = nearest.distance[from] as number;
        const share = 1 / (1 + Math.exp(scale * (far - (distances[i * rows + j] as number))));
        const slope = (2 * scale * share ** 2 * (1 - share)) / pairs;
        loss += share ** 2;
        negative += far;
        byDistance[i * rows + j] = slope;
        const hardest = from * rows + (nearest.row[from] as number);
        byDistance[hardest] = (byDistance[hardest] as number) - slope;
      }
    }
    return {
      loss: loss / pairs,
      gradient: throughDistances(embeddings, size, distances, byDistance),
      ...batchFigures(distances, groups, structure),
      negative: negative / pairs,
    };
  },
};
