import type { BatchStructure, LossResult } from "./loss.ts";

/** The number of each row's location, from 0, by row: rows with the same one are positives of one another. */
export function groupsOf({ locationOfRow }: Pick<BatchStructure, "locationOfRow">): Int32Array {
  const numbers = new Map<number, number>();
  return Int32Array.from(locationOfRow, (location) => {
    const number = numbers.get(location) ?? numbers.size;
    numbers.set(location, number);
    return number;
  });
}

/** What a pair's term is made of z = log Σₖ e^{s(i, k)} − s(i, j), and the slope of that. */
export interface Term {
  value(z: number): number;
  slope(z: number): number;
}

/** log(1 + e^z): −log of the positive's softmax share beside all negatives. It stays exact where e^z would overflow. */
export const SOFTPLUS: Term = {
  value: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
  slope: (z) => 1 / (1 + Math.exp(-z)),
};

/** z itself: the positive is not in the denominator. */
export const LINEAR: Term = { value: (z) => z, slope: () => 1 };

/**
 * The mean over all ordered pairs (i, j) of rows of one location, j ≠ i, of a term of
 *
 *     z = log Σₖ e^{s(i, k)} − s(i, j),   k over the rows of all other locations
 *
 * @param similarity s, float64 [rows, rows]
 * @param groups of {@link groupsOf}
 * @returns the mean, and its gradient by s, float64 [rows, rows]
 */
export function contrast(
  similarity: Float64Array,
  groups: Int32Array,
  { value, slope }: Term,
): { loss: number; bySimilarity: Float64Array } {
  const rows = groups.length;
  const pairs = countPairs(groups);
  const bySimilarity = new Float64Array(rows * rows);
  const shares = new Float64Array(rows);
  let loss = 0;
  for (let i = 0; i < rows; i++) {
    const at = i * rows;
    let most = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < rows; k++)
      if (groups[k] !== groups[i] && (similarity[at + k] as number) > most)
        most = similarity[at + k] as number;
    let sum = 0;
    for (let k = 0; k < rows; k++) {
      if (groups[k] === groups[i]) continue;
      const share = Math.exp((similarity[at + k] as number) - most);
      shares[k] = share;
      sum += share;
    }
    const all = most + Math.log(sum);
    let push = 0;
    for (let j = 0; j < rows; j++) {
      if (groups[j] !== groups[i] || j === i) continue;
      const z = all - (similarity[at + j] as number);
      loss += value(z);
      const pull = slope(z) / pairs;
      bySimilarity[at + j] = -pull;
      push += pull;
    }
    for (let k = 0; k < rows; k++)
      if (groups[k] !== groups[i]) bySimilarity[at + k] = (push * (shares[k] as number)) / sum;
  }
  return { loss: loss / pairs, bySimilarity };
}

/** Ordered pairs of different rows of one location. */
export function countPairs(groups: Int32Array): number {
  const sizes = new Map<number, number>();
  for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  return [...sizes.values()].reduce((sum, size) => sum + size * (size - 1), 0);
}

/** Each row's nearest row of another location; of equals the first. Float64 distances and rows, by row. */
export function nearestNegatives(
  distances: Float64Array,
  groups: Int32Array,
): { distance: Float64Array; row: Int32Array } {
  const rows = groups.length;
  const distance = new Float64Array(rows).fill(Number.POSITIVE_INFINITY);
  const row = new Int32Array(rows).fill(-1);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < rows; k++) {
      const apart = distances[i * rows + k] as number;
      if (groups[k] === groups[i] || apart >= (distance[i] as number)) continue;
      distance[i] = apart;
      row[i] = k;
    }
  }
  return { distance, row };
}

/**
 * What a loss of the whole mini-batch tells beside its value: mean distance of all pairs, mean distance of their first row to
 * its nearest negative, and the share of the drawn triplets that are right as SoftPN counts: whose positive is nearer to the
 * anchor than the negative is to either.
 *
 * @param distances Euclidean, float64 [rows, rows]
 */
export function batchFigures(
  distances: Float64Array,
  groups: Int32Array,
  { triplets }: Pick<BatchStructure, "triplets">,
): Pick<LossResult, "positive" | "negative" | "accuracy"> {
  const rows = groups.length;
  const nearest = nearestNegatives(distances, groups).distance;
  const pairs = countPairs(groups);
  let [positive, negative] = [0, 0];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < rows; j++) {
      if (groups[j] !== groups[i] || j === i) continue;
      positive += distances[i * rows + j] as number;
      negative += nearest[i] as number;
    }
  }
  return {
    positive: positive / pairs,
    negative: negative / pairs,
    accuracy: shareRight(distances, rows, triplets),
  };
}

function shareRight(distances: Float64Array, rows: number, triplets: BatchStructure["triplets"]): number {
  const right = triplets.filter(({ anchor, positive, negative }) => {
    const near = distances[anchor * rows + positive] as number;
    const far = [anchor, positive].map((row) => distances[row * rows + negative] as number);
    return far.every((distance) => near < distance);
  });
  return right.length / triplets.length;
}
