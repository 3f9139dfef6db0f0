import { squaredDistance } from "@loc2vec/numeric";
import type { Representation } from "./representation.ts";

/** Two tiles whose histograms are alike and whose embeddings are not: figure 7 of Loc2Vec (2018). */
export interface Lookalike {
  /** Rows. */
  a: number;
  b: number;
  /** χ² of the histograms: ½ Σ (x − y)² / (x + y), mean of the channels; 0 for equal ones, at most 1. */
  chi2: number;
  /** Euclidean distance of the embeddings. */
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
      const shares = new Float32Array(tiles.length * size);
      for (const [row, tile] of tiles.entries()) {
        const area = tile.length / channels;
        for (let i = 0; i < tile.length; i++) {
          const at = row * size + Math.floor(i / area) * BINS + ((tile[i] as number) >> 4);
          shares[at] = (shares[at] as number) + 1 / area;
        }
      }
      return shares;
    },
    dispose: () => {},
  };
}

/** One in so many pairs is alike … */
const PAIRS_PER_ALIKE = 10_000;
/** … but no more than these, so that memory does not grow with the pairs. */
const MOST_ALIKE = 100_000;

type Pair = Omit<Lookalike, "farther_than">;

/**
 * The pairs whose embeddings are farthest apart, among those whose χ² is of the lowest 1 in 10,000 (at most 100,000 pairs);
 * no row twice. The pairs are gone through thrice rather than kept.
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
  const rowOf = Array.from({ length: rows }, (_, row) => histograms.subarray(row * width, (row + 1) * width));
  const distanceOf = (a: number, b: number): number =>
    Math.sqrt(squaredDistance(embeddings, a * size, embeddings, b * size, size));
  let pairs = 0;
  for (let a = 0; a < rows; a++) for (let b = a + 1; b < rows; b++) if (apart(a, b)) pairs++;
  const kept = keepLowest(
    Math.max(count, Math.min(MOST_ALIKE, Math.ceil(pairs / PAIRS_PER_ALIKE))),
    (x: Pair, y: Pair) => x.chi2 - y.chi2 || y.distance - x.distance || x.a - y.a || x.b - y.b,
  );
  for (let a = 0; a < rows; a++) {
    for (let b = a + 1; b < rows; b++) {
      if (!apart(a, b)) continue;
      const most = kept.highest()?.chi2 ?? Number.POSITIVE_INFINITY;
      const chi2 = chiSquared(rowOf[a] as Float32Array, rowOf[b] as Float32Array, channels, most);
      if (chi2 <= most) kept.add({ a, b, chi2, distance: distanceOf(a, b) });
    }
  }
  const chosen: Pair[] = [];
  const seen = new Set<number>();
  for (const pair of kept.sorted().sort((x, y) => y.distance - x.distance)) {
    if (chosen.length === count) break;
    if (seen.has(pair.a) || seen.has(pair.b)) continue;
    seen.add(pair.a).add(pair.b);
    chosen.push(pair);
  }
  const nearer = chosen.map(() => 0);
  for (let a = 0; a < rows; a++) {
    for (let b = a + 1; b < rows; b++) {
      const distance = distanceOf(a, b);
      for (const [at, pair] of chosen.entries())
        if (distance < pair.distance) nearer[at] = (nearer[at] as number) + 1;
    }
  }
  return chosen.map((pair, at) => ({
    ...pair,
    farther_than: (nearer[at] as number) / ((rows * (rows - 1)) / 2),
  }));
}

/** Keeps the lowest `count` of what is added, by `order`; never more than twice as many. */
function keepLowest<T>(count: number, order: (x: T, y: T) => number) {
  let kept: T[] = [];
  let highest: T | undefined;
  const sort = (): void => {
    kept = kept.sort(order).slice(0, count);
    if (kept.length === count) highest = kept[count - 1];
  };
  return {
    add(value: T): void {
      if (highest !== undefined && order(value, highest) > 0) return;
      kept.push(value);
      if (kept.length >= 2 * count) sort();
    },
    /** What nothing above it is kept; undefined before there were enough. */
    highest: (): T | undefined => highest,
    sorted(): T[] {
      sort();
      return kept;
    },
  };
}

/** Mean of the channels; above `most`, some value above it. */
function chiSquared(x: Float32Array, y: Float32Array, channels: number, most: number): number {
  let sum = 0;
  for (let first = 0; first < x.length; first += BINS) {
    for (let i = first; i < first + BINS; i++) {
      const both = (x[i] as number) + (y[i] as number);
      if (both > 0) sum += ((x[i] as number) - (y[i] as number)) ** 2 / both;
    }
    if (sum / 2 / channels > most) break;
  }
  return sum / 2 / channels;
}
