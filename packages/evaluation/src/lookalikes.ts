import { squaredDistance } from "./metrics.ts";
import type { Representation } from "./representation.ts";

/** Two tiles whose histograms are alike and whose embeddings are not: figure 7 of Loc2Vec (2018). */
export interface Lookalike {
  /** Rows. */
  a: number;
  b: number;
  /** χ² of the histograms: ½ Σ (x − y)² / (x + y), mean of the channels; 0 for equal ones, at most 1. */
  chi2: number;
  /** Of the embeddings. */
  distance: number;
  /** Share of all pairs whose embeddings are nearer to one another. */
  farther_than: number;
}

const BINS = 16;

/** Shares of intensities, [channel, bin] of each tile, as a representation of it. */
export function histogramsOf(channels: number): Representation {
  const size = channels * BINS;
  return {
    name: "histograms",
    size,
    describe(tiles) {
      const found = new Float32Array(tiles.length * size);
      for (const [row, tile] of tiles.entries()) {
        const area = tile.length / channels;
        for (let i = 0; i < tile.length; i++) {
          const at = row * size + Math.floor(i / area) * BINS + ((tile[i] as number) >> 4);
          found[at] = (found[at] as number) + 1 / area;
        }
      }
      return found;
    },
    dispose: () => {},
  };
}

/**
 * Of the pairs whose χ² is among the lowest 1 in 10,000, those whose embeddings are farthest apart; no row twice.
 *
 * @param histograms float32 [rows, channel, bin]: see {@link histogramsOf}
 * @param embeddings float32 [rows, size]
 * @param apart whether two rows may be a pair at all
 */
export function lookalikes(
  histograms: Float32Array,
  channels: number,
  embeddings: Float32Array,
  count: number,
  apart: (a: number, b: number) => boolean,
): Lookalike[] {
  const width = channels * BINS;
  const rows = histograms.length / width;
  const size = embeddings.length / rows;
  const each = Array.from({ length: rows }, (_, row) => histograms.subarray(row * width, (row + 1) * width));
  const [distances, pairs]: [number[], Omit<Lookalike, "farther_than">[]] = [[], []];
  for (let a = 0; a < rows; a++) {
    for (let b = a + 1; b < rows; b++) {
      const distance = Math.sqrt(squaredDistance(embeddings, a * size, embeddings, b * size, size));
      distances.push(distance);
      if (!apart(a, b)) continue;
      pairs.push({
        a,
        b,
        chi2: chiSquared(each[a] as Float32Array, each[b] as Float32Array) / channels,
        distance,
      });
    }
  }
  const sorted = Float64Array.from(distances).sort();
  const alike = pairs
    .sort((x, y) => x.chi2 - y.chi2 || y.distance - x.distance)
    .slice(0, Math.max(count, Math.ceil(pairs.length / 10_000)))
    .sort((x, y) => y.distance - x.distance);
  const [found, seen]: [Lookalike[], Set<number>] = [[], new Set()];
  for (const pair of alike) {
    if (found.length === count) break;
    if (seen.has(pair.a) || seen.has(pair.b)) continue;
    seen.add(pair.a).add(pair.b);
    found.push({ ...pair, farther_than: below(sorted, pair.distance) / sorted.length });
  }
  return found;
}

function chiSquared(x: Float32Array, y: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const both = (x[i] as number) + (y[i] as number);
    if (both > 0) sum += ((x[i] as number) - (y[i] as number)) ** 2 / both;
  }
  return sum / 2;
}

/** How many of the ascending values lie below `value`. */
function below(ascending: Float64Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
