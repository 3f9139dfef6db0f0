import { distanceM, FarmError } from "@loc2vec/core";
import { type Approximate, type BuildOptions, buildHnsw } from "./hnsw.ts";
import { createLeast, scan } from "./scan.ts";
import { checkRow, countRows, type Places } from "./vectors.ts";

/** Rows from which on an index is built: below, scanning them all takes a few milliseconds. */
export const INDEXED_FROM = 100_000;
/** Candidates for which the index is asked at most; where more are skipped, all rows are scanned. */
const MOST_CANDIDATES = 2048;
/** By how many times more candidates are looked at where too many of them were skipped. */
const MORE = 4;

export interface Neighbour {
  row: number;
  /** Euclidean, in the space of the vectors. */
  distance: number;
}

export interface NeighboursOptions extends BuildOptions {
  /** Where the rows lie; without it, `minDistanceM` cannot be asked for. */
  places?: Places;
  /** `exact` looks at all rows, `hnsw` builds an index that misses a few; by default, the number of rows decides. */
  method?: "exact" | "hnsw";
}

export interface NearestOptions {
  /** Rows to leave out. */
  exclude?: Iterable<number>;
  /** Leaves rows out as well. */
  allowed?: (row: number) => boolean;
  /**
   * Metres on the ground. Rows that do not lie farther than this from the row that is asked about, from all excluded ones,
   * and from those found before, are skipped: nearer ones show parts of the same map, and any method would find them.
   */
  minDistanceM?: number;
}

/** Finds the nearest of some vectors. */
export interface Neighbours {
  readonly rows: number;
  /** Numbers in a vector. */
  readonly size: number;
  /** How they are found now. */
  readonly method: "exact" | "hnsw";
  readonly places: Places | undefined;
  /** A row's vector, not copied. @throws FarmError where there is no such row */
  vector(row: number): Float32Array;
  /**
   * The `count` nearest rows, in ascending order of distance, ties in that of rows; fewer only where too many are left out or
   * skipped. Of a query that is a row, the row itself is left out.
   *
   * @param query a row, or a vector float32 [size]
   * @throws FarmError where there are not so many rows
   */
  nearest(query: number | Float32Array, count: number, options?: NearestOptions): Neighbour[];
}

/**
 * Makes vectors ready to be searched: by scanning them all, or, from {@link INDEXED_FROM} rows on, by an index in memory.
 * Distances are computed in float64 of the vectors either way.
 *
 * @param vectors float32 [n, size], C order; not copied, so they must stay as they are
 */
export async function openNeighbours(
  vectors: Float32Array,
  size: number,
  options: NeighboursOptions = {},
): Promise<Neighbours> {
  const neighbours = scanNeighbours(vectors, size, options.places);
  const { method = neighbours.rows >= INDEXED_FROM ? "hnsw" : "exact" } = options;
  if (method === "hnsw") neighbours.useIndex(await buildHnsw(vectors, size, options));
  return neighbours;
}

/** Neighbours that are found by a scan, until there is an index. */
export interface Indexable extends Neighbours {
  useIndex(index: Approximate): void;
}

/** Makes vectors ready to be scanned, as {@link openNeighbours} takes them. */
export function scanNeighbours(vectors: Float32Array, size: number, places: Places | undefined): Indexable {
  const rows = countRows(vectors, size);
  if (places !== undefined && (places.lon.length !== rows || places.lat.length !== rows))
    throw new FarmError(
      "input",
      `places: ${places.lon.length} longitudes and ${places.lat.length} latitudes of ${rows} rows`,
      "give a longitude and a latitude for each row",
    );
  const exact = exactSearch(vectors, size);
  let search = exact;
  const vector = (row: number): Float32Array => {
    checkRow(row, rows);
    return vectors.subarray(row * size, (row + 1) * size);
  };
  return {
    ...{ rows, size, places, vector },
    get method() {
      return search === exact ? "exact" : "hnsw";
    },
    useIndex(index) {
      search = indexedSearch(vectors, size, index, exact);
    },
    nearest(query, count, asked = {}) {
      const self = typeof query === "number" ? [query] : [];
      const from = typeof query === "number" ? vector(query) : query;
      checkQuery(from, size, count, rows - self.length);
      return nearestOf(search, { from, self, rows, places }, count, asked);
    },
  };
}

function checkQuery(query: Float32Array, size: number, count: number, most: number): void {
  if (query.length !== size)
    throw new FarmError(
      "input",
      `a query of ${query.length} numbers: vectors have ${size}`,
      "give one vector",
    );
  if (!query.every(Number.isFinite))
    throw new FarmError("input", "a query with a number that is not finite", "give finite numbers");
  if (!(Number.isInteger(count) && count >= 1 && count <= most))
    throw new FarmError(
      "input",
      `${count} neighbours: there are ${most} to choose from`,
      `ask for 1 to ${most}`,
    );
}

/** The `count` nearest allowed rows, ascending, and whether a greater count may give more. */
type Search = (
  query: Float32Array,
  count: number,
  allowed: (row: number) => boolean,
) => { found: Neighbour[]; more: boolean };

function exactSearch(vectors: Float32Array, size: number): Search {
  return (query, count, allowed) => {
    const least = createLeast(count);
    scan(vectors, size, Float64Array.from(query), least, allowed);
    const [rows, squares] = [new Int32Array(count), new Float64Array(count)];
    const kept = least.drain(rows, squares);
    const found = Array.from({ length: kept }, (_, i) => ({
      row: rows[i] as number,
      distance: Math.sqrt(squares[i] as number),
    }));
    return { found, more: kept === count };
  };
}

/** Asks the index; all rows where it would have to give too many candidates. */
function indexedSearch(vectors: Float32Array, size: number, index: Approximate, exact: Search): Search {
  return (query, count, allowed) => {
    if (count > MOST_CANDIDATES) return exact(query, count, allowed);
    const wide = Float64Array.from(query);
    const found = [...index(query, count)].filter(allowed).map((row) => {
      let square = 0;
      for (let k = 0; k < size; k++) {
        const difference = (vectors[row * size + k] as number) - (wide[k] as number);
        square += difference * difference;
      }
      return { row, distance: Math.sqrt(square) };
    });
    return { found: found.sort((a, b) => a.distance - b.distance || a.row - b.row), more: true };
  };
}

interface Asked {
  from: Float32Array;
  /** The row that is asked about, if it is one. */
  self: readonly number[];
  rows: number;
  places: Places | undefined;
}

/** Looks at more and more candidates, until there are enough that are neither left out nor skipped. */
function nearestOf(
  search: Search,
  { from, self, rows, places }: Asked,
  count: number,
  { exclude = [], allowed, minDistanceM = 0 }: NearestOptions,
): Neighbour[] {
  const out = new Set([...self, ...exclude]);
  const isAllowed = (row: number): boolean => !out.has(row) && (allowed === undefined || allowed(row));
  for (let candidates = count + out.size; ; candidates *= MORE) {
    const { found, more } = search(from, Math.min(rows, candidates), isAllowed);
    const chosen =
      minDistanceM > 0 ? apartOf(found, count, [...out], minDistanceM, places) : found.slice(0, count);
    if (chosen.length === count || !more || candidates >= rows) return chosen;
  }
}

/** The first of some candidates that lie farther than so many metres from given rows, and from one another. */
function apartOf(
  candidates: readonly Neighbour[],
  count: number,
  rows: readonly number[],
  metres: number,
  places: Places | undefined,
): Neighbour[] {
  if (places === undefined)
    throw new FarmError(
      "input",
      "minDistanceM: it is not known where the rows lie",
      "open the neighbours with places",
    );
  const [taken, chosen] = [[...rows], [] as Neighbour[]];
  for (const candidate of candidates) {
    if (chosen.length === count) break;
    if (!taken.every((row) => metresBetween(places, candidate.row, row) > metres)) continue;
    chosen.push(candidate);
    taken.push(candidate.row);
  }
  return chosen;
}

/** Metres on the ground between two rows. */
export function metresBetween({ lon, lat }: Places, a: number, b: number): number {
  const place = (row: number) => ({ lon: lon[row] as number, lat: lat[row] as number });
  return distanceM(place(a), place(b));
}
