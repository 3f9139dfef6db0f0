import { setImmediate } from "node:timers/promises";
import { FarmError, type Random } from "@loc2vec/core";
import { openNeighbours } from "./neighbours.ts";
import { applyProjection, fitPca } from "./projection.ts";
import { countRows, gather } from "./vectors.ts";

/** Rows that are arranged by themselves unless told; more are placed by their neighbours. */
export const MOST_ARRANGED = 20_000;
/** Arranged neighbours that another row is placed by. */
const PLACED_BY = 5;
/** Distances, of those that placing all rows would compute, from which on an index is built for it. */
const INDEX_FROM = 2e9;
/** Rows that are placed before others get a turn. */
const PIECE = 1000;
/** Added to distances: a row that is as good as another lies where that one lies. */
const NEAR = 1e-12;
/** Deviation along an axis, beside that of the first one, below which it is filled with noise. */
const FLAT = 1e-9;

export type Dimensions = 2 | 3;

/** What is said while rows are arranged: rounds, then rows placed, of how many. */
export type ArrangeProgress = (stage: "arranging" | "placing", done: number, all: number) => void;

export interface ArrangeOptions {
  dimensions?: Dimensions;
  /** Draws what is to be drawn: which rows are arranged, where there are too many, and noise. */
  random: Random;
  /** Rows that are arranged by themselves, at most. */
  most?: number;
  onProgress?: ArrangeProgress;
  /** Looked at between two rounds. */
  signal?: AbortSignal;
}

/** Rows in few dimensions, near to each other where their vectors are. */
export interface Arrangement {
  dimensions: Dimensions;
  /** Float32 [n, dimensions], C order. */
  positions: Float32Array;
  /** The rows that were arranged by themselves, in ascending order. All others are placed by the nearest of these. */
  arranged: Int32Array;
}

/**
 * Arranges vectors, or as many of them as `most` says, drawn at random; others come to lie in the middle of the nearest five of
 * these, the nearer the more they weigh.
 *
 * @param arrange gets the drawn vectors, float32 [n, size], and returns float64 [n, dimensions]
 */
export async function arrangeSome(
  vectors: Float32Array,
  size: number,
  { dimensions = 2, random, most = MOST_ARRANGED, onProgress, signal }: ArrangeOptions,
  arrange: (drawn: Float32Array) => Promise<Float64Array>,
): Promise<Arrangement> {
  const rows = countRows(vectors, size);
  const arranged = Int32Array.from({ length: rows }, (_, row) => row);
  const drawn =
    rows <= most ? arranged : Int32Array.from(random.shuffle([...arranged]).slice(0, most)).sort();
  const found = await arrange(rows <= most ? vectors : gather(vectors, size, drawn));
  const positions = new Float32Array(rows * dimensions);
  for (const [i, row] of drawn.entries())
    positions.set(found.subarray(i * dimensions, (i + 1) * dimensions), row * dimensions);
  await placeOthers(vectors, size, drawn, positions, dimensions, { onProgress, signal });
  return { dimensions, positions, arranged: drawn };
}

interface PlaceOptions {
  onProgress: ArrangeProgress | undefined;
  signal: AbortSignal | undefined;
}

/** Places all rows but the arranged ones. @param positions of the arranged rows; receives the others' */
async function placeOthers(
  vectors: Float32Array,
  size: number,
  arranged: Int32Array,
  positions: Float32Array,
  dimensions: number,
  { onProgress, signal }: PlaceOptions,
): Promise<void> {
  const rows = vectors.length / size;
  const all = rows - arranged.length;
  if (all === 0) return;
  const method = all * arranged.length > INDEX_FROM ? "hnsw" : "exact";
  const landmarks = await openNeighbours(gather(vectors, size, arranged), size, { method, signal });
  const count = Math.min(PLACED_BY, arranged.length);
  const known = new Set(arranged);
  let done = 0;
  for (let row = 0; row < rows; row++) {
    if (known.has(row)) continue;
    const near = landmarks.nearest(vectors.subarray(row * size, (row + 1) * size), count);
    const weights = near.map(({ distance }) => 1 / (distance + NEAR));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let axis = 0; axis < dimensions; axis++) {
      const middle = near.reduce((sum, neighbour, i) => {
        const at = (arranged[neighbour.row] as number) * dimensions + axis;
        return sum + ((weights[i] as number) / total) * (positions[at] as number);
      }, 0);
      positions[row * dimensions + axis] = middle;
    }
    if (++done % PIECE !== 0 && done < all) continue;
    onProgress?.("placing", done, all);
    await setImmediate();
    signal?.throwIfAborted();
  }
}

/**
 * Where an arrangement begins: the first principal axes. One along which nothing varies is filled with noise, for forces cannot
 * push out of a plane.
 *
 * @param deviation of the first axis, in the result
 * @returns float64 [n, dimensions]
 */
export function firstPositions(
  vectors: Float32Array,
  size: number,
  dimensions: number,
  deviation: number,
  random: Random,
): Float64Array {
  const axes = Math.min(dimensions, size);
  const scores = applyProjection(fitPca(vectors, size, axes), vectors);
  const rows = scores.length / axes;
  // About the scores' own mean: equal rows have equal scores, though not quite 0.
  const spreadOf = (axis: number): number => {
    const own = Float64Array.from({ length: rows }, (_, row) => scores[row * axes + axis] as number);
    const middle = own.reduce((sum, score) => sum + score / rows, 0);
    const first = own[0] as number;
    if (own.every((score) => score === first)) return 0;
    return Math.sqrt(own.reduce((sum, score) => sum + (score - middle) ** 2, 0) / rows);
  };
  const spreads = Array.from({ length: axes }, (_, axis) => spreadOf(axis));
  const widest = spreads[0] as number;
  const positions = new Float64Array(rows * dimensions);
  for (let axis = 0; axis < dimensions; axis++) {
    const flat = axis >= axes || !((spreads[axis] as number) > FLAT * widest);
    for (let row = 0; row < rows; row++)
      positions[row * dimensions + axis] =
        deviation * (flat ? random.normal() : (scores[row * axes + axis] as number) / widest);
  }
  return positions;
}

/** @throws FarmError where there are too few vectors to tell which are near */
export function checkEnough(rows: number, least: number, subject: string): void {
  if (rows < least)
    throw new FarmError("input", `${subject}: ${rows} vectors are too few`, `give at least ${least}`);
}
