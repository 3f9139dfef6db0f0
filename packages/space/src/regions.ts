import { FarmError, type Random } from "@loc2vec/core";
import { closestCentre, kMeans } from "@loc2vec/numeric";
import { countRows } from "./vectors.ts";

/** Rows that centres are found with, at most; drawn where there are more. */
const MOST_LEARNED = 50_000;

/** Parts of the space, each of the rows that one centre is closest to. The largest is number 0; of equal ones, that with the lower first row comes first. */
export interface Regions {
  /** Of each row, the number of its region, uint16 [n]. */
  regions: Uint16Array;
  /** Float32 [count, size]. */
  centres: Float32Array[];
  /** Rows of each region. */
  sizes: number[];
}

/**
 * Divides vectors into regions by k-means.
 *
 * @param vectors float32 [n, size], C order
 * @param count of regions: at most one for each row, and 65,536. Some may stay empty, where fewer rows differ
 */
export function findRegions(vectors: Float32Array, size: number, count: number, random: Random): Regions {
  const rows = countRows(vectors, size);
  if (!(Number.isInteger(count) && count >= 1 && count <= Math.min(rows, 65_536)))
    throw new FarmError(
      "input",
      `${count} regions of ${rows} vectors`,
      `ask for 1 to ${Math.min(rows, 65_536)}`,
    );
  const row = (at: number): Float32Array => vectors.subarray(at * size, (at + 1) * size);
  const all = Array.from({ length: rows }, (_, at) => at);
  const learned = rows <= MOST_LEARNED ? all : random.shuffle(all).slice(0, MOST_LEARNED);
  const centres = kMeans(learned.map(row), count, random);
  const closest = Uint16Array.from({ length: rows }, (_, at) => closestCentre(centres, row(at)));
  const sizes = centres.map(() => 0);
  const firsts = centres.map(() => rows);
  for (const [at, centre] of closest.entries()) {
    sizes[centre] = (sizes[centre] as number) + 1;
    firsts[centre] = Math.min(firsts[centre] as number, at);
  }
  const order = [...centres.keys()].sort(
    (a, b) => (sizes[b] as number) - (sizes[a] as number) || (firsts[a] as number) - (firsts[b] as number),
  );
  const numbers = new Map(order.map((centre, number) => [centre, number]));
  return {
    regions: closest.map((centre) => numbers.get(centre) as number),
    centres: order.map((centre) => centres[centre] as Float32Array),
    sizes: order.map((centre) => sizes[centre] as number),
  };
}
