import {
  apartM,
  distanceM,
  FarmError,
  MAX_OFFSET_M,
  type Place,
  Purpose,
  randomOf,
  TILE_RADIUS_M,
} from "@loc2vec/core";

export interface ExtremesOptions {
  /** How many rows to name at each end. */
  k: number;
  /** Decides among equal numbers. Default: 0. */
  seed?: number;
  /** Where the rows are, one each, in their order: then those of one end lie apart. */
  places?: readonly Place[];
  /** How far apart, metres. Default: two footprints, so that no two show the same ground. */
  metres?: number;
}

/** The rows at the two ends of a number, by index, the outermost first. Fewer than `k` where not so many lie apart. */
export interface Extremes {
  lowest: number[];
  highest: number[];
}

/**
 * For each number of the vectors the rows where it is lowest and highest: what the number is about. Those that lie apart
 * are chosen from the outermost inwards.
 *
 * @param vectors float32 [row, size]
 * @param size numbers of a vector
 * @throws FarmError `usage` for a `k` that is no count, or as many places as there are no rows; `data` naming a row that is not
 *   finite
 */
export function extremes(
  vectors: Float32Array,
  size: number,
  { k, seed = 0, places, metres = apartM(TILE_RADIUS_M, MAX_OFFSET_M) }: ExtremesOptions,
): Extremes[] {
  const rows = vectors.length / size;
  check(vectors, size, k, places);
  // Sorting keeps the order of equal numbers: it is drawn.
  const drawn = randomOf(seed, Purpose.insight, 1).shuffle(Array.from({ length: rows }, (_, row) => row));
  const near = (a: number, b: number): boolean =>
    places !== undefined && distanceM(places[a] as Place, places[b] as Place) < metres;
  const choose = (order: Iterable<number>): number[] => {
    const chosen: number[] = [];
    for (const row of order) {
      if (chosen.length === k) break;
      if (!chosen.some((other) => near(row, other))) chosen.push(row);
    }
    return chosen;
  };
  return Array.from({ length: size }, (_, number) => {
    const numberOf = (row: number): number => vectors[row * size + number] as number;
    const ascending = drawn.toSorted((a, b) => numberOf(a) - numberOf(b));
    return { lowest: choose(ascending), highest: choose(ascending.reverse()) };
  });
}

function check(vectors: Float32Array, size: number, k: number, places: readonly Place[] | undefined): void {
  const rows = vectors.length / size;
  if (!Number.isInteger(rows))
    throw new FarmError("usage", `${vectors.length} numbers are no vectors of ${size}`);
  if (!Number.isInteger(k) || k < 1)
    throw new FarmError("usage", `${k} rows at each end of a number`, "k is 1 or more");
  if (places !== undefined && places.length !== rows)
    throw new FarmError("usage", `${places.length} places of ${rows} vectors`, "one for each row");
  const at = vectors.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw new FarmError("data", `vector ${Math.floor(at / size)}: number ${at % size} is not finite`);
}
