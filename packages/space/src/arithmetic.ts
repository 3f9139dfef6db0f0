import { FarmError } from "@loc2vec/core";
import type { NearestOptions, Neighbour, Neighbours } from "./neighbours.ts";

/** A row, or a vector that is none of them, float32 [size]. */
export type Term = number | Float32Array;

/**
 * What is to c as a is to b: the rows nearest to a − b + c (Mikolov, Yih & Zweig 2013) that are none of the three.
 *
 * @param minDistanceM how far on the ground they lie from those of the three that are rows, and from one another, metres
 * @param allowed leaves rows out as well
 */
export function analogy(
  neighbours: Neighbours,
  { a, b, c }: { a: Term; b: Term; c: Term },
  count: number,
  { minDistanceM = 0, allowed }: Pick<NearestOptions, "minDistanceM" | "allowed"> = {},
): Neighbour[] {
  const vectorOf = (term: Term): Float32Array => (typeof term === "number" ? neighbours.vector(term) : term);
  const [from, less, more] = [vectorOf(a), vectorOf(b), vectorOf(c)];
  const target = from.map((value, k) => value - (less[k] as number) + (more[k] as number));
  const exclude = [a, b, c].filter((term) => typeof term === "number");
  return neighbours.nearest(target, count, { exclude, minDistanceM, ...(allowed ? { allowed } : {}) });
}

/** A step on the way from one row to another. */
export interface Step extends Neighbour {
  /** How far it is on the way, 0 to 1; `distance` is that of the row from the point there. */
  t: number;
}

/**
 * The straight way from one row's vector to another's, and the row that lies nearest to each of its steps; at both ends the two
 * rows themselves.
 *
 * @param steps at least 2, equally far from one another
 */
export function interpolate(neighbours: Neighbours, from: number, to: number, steps: number): Step[] {
  if (!(Number.isInteger(steps) && steps >= 2))
    throw new FarmError(
      "input",
      `${steps} steps between two rows`,
      "take at least 2, the two rows themselves",
    );
  const [start, end] = [neighbours.vector(from), neighbours.vector(to)];
  return Array.from({ length: steps }, (_, step) => {
    const t = step / (steps - 1);
    if (step === 0) return { t, row: from, distance: 0 };
    if (step === steps - 1) return { t, row: to, distance: 0 };
    const point = start.map((value, k) => value + t * ((end[k] as number) - value));
    return { t, ...(neighbours.nearest(point, 1)[0] as Neighbour) };
  });
}
