import type { Random } from "@loc2vec/core";
import { metresBetween, type Neighbours } from "./neighbours.ts";
import { checkCount } from "./vectors.ts";

export interface WalkOptions {
  random: Random;
  /** Of how many nearest rows the next one is drawn. */
  among?: number;
  /** How far on the ground a row lies from all that were visited, metres. */
  minDistanceM?: number;
}

export interface Jump {
  row: number;
  /** From the row before, Euclidean, in the space of the vectors; 0 of the first. */
  distance: number;
  /** From the row before, on the ground; undefined where it is not known where rows lie. */
  metres: number | undefined;
}

/**
 * A random walk: from a row to a random one of those nearest to it that were not visited yet, and so on.
 *
 * @returns the row itself and so many jumps, fewer where no row is left
 */
export function walk(
  neighbours: Neighbours,
  start: number,
  jumps: number,
  { random, among = 10, minDistanceM = 0 }: WalkOptions,
): Jump[] {
  checkCount(jumps, "jumps of a walk");
  const { places } = neighbours;
  const visited = new Set([start]);
  const way: Jump[] = [{ row: start, distance: 0, metres: places && 0 }];
  for (let row = start; way.length <= jumps; ) {
    const near = neighbours.nearest(row, among, { exclude: visited, minDistanceM });
    const next = near[random.int(near.length)];
    if (next === undefined) break;
    way.push({ ...next, metres: places && metresBetween(places, row, next.row) });
    visited.add(next.row);
    row = next.row;
  }
  return way;
}
