import { setImmediate } from "node:timers/promises";
import { FarmError } from "@loc2vec/core";
import { UMAP } from "umap-js";
import {
  type Arrangement,
  type ArrangeOptions,
  arrangeSome,
  checkEnough,
  firstPositions,
} from "./arrangement.ts";
import { openNeighbours } from "./neighbours.ts";

/** Deviation of the first axis at the beginning: most rows lie within ±10 then, as with umap-learn. */
const FIRST_DEVIATION = 4;
/** Rows whose neighbours are looked for before others get a turn. */
const PIECE = 200;

export interface UmapOptions extends ArrangeOptions {
  /** Rows that count as near to one, itself among them. */
  neighbours?: number;
  /** How near rows may come to each other: 0 to `spread`, which is 1. */
  minDistance?: number;
  /** Rounds; by the number of rows unless told (500 down to 200). */
  epochs?: number;
}

/**
 * UMAP (McInnes, Healy & Melville 2018) by umap-js, from exact neighbours, and from PCA instead of chance. It runs in the thread
 * that calls it, and gives way between two rounds.
 *
 * @param vectors float32 [n, size], C order
 */
export async function umap(
  vectors: Float32Array,
  size: number,
  { neighbours = 15, minDistance = 0.1, epochs, ...options }: UmapOptions,
): Promise<Arrangement> {
  const { dimensions = 2, random, onProgress, signal } = options;
  if (!(Number.isInteger(neighbours) && neighbours >= 2))
    throw new FarmError(
      "input",
      `UMAP with ${neighbours} neighbours`,
      "take a whole number from 2 on, such as 15",
    );
  return arrangeSome(vectors, size, options, async (drawn) => {
    const rows = drawn.length / size;
    checkEnough(rows, neighbours + 1, `UMAP with ${neighbours} neighbours`);
    const layout = new UMAP({
      ...{ nComponents: dimensions, nNeighbors: neighbours, minDist: minDistance, random: random.uniform },
      ...(epochs === undefined ? {} : { nEpochs: epochs }),
    });
    const near = await nearestOfAll(drawn, size, neighbours, signal);
    layout.setPrecomputedKNN(near.rows, near.distances);
    const all = layout.initializeFit(toLines(drawn, size));
    const first = firstPositions(drawn, size, dimensions, FIRST_DEVIATION, random);
    // The embedding that it moves is the one that it hands out.
    for (const [row, line] of layout.getEmbedding().entries())
      for (let axis = 0; axis < dimensions; axis++) line[axis] = first[row * dimensions + axis] as number;
    for (let done = 1; done <= all; done++) {
      layout.step();
      onProgress?.("arranging", done, all);
      await setImmediate();
      signal?.throwIfAborted();
    }
    return Float64Array.from(layout.getEmbedding().flat());
  });
}

/** Each row itself, and then those nearest to it. */
async function nearestOfAll(
  vectors: Float32Array,
  size: number,
  count: number,
  signal: AbortSignal | undefined,
): Promise<{ rows: number[][]; distances: number[][] }> {
  const index = await openNeighbours(vectors, size, { method: "exact" });
  const [rows, distances]: [number[][], number[][]] = [[], []];
  for (let row = 0; row < index.rows; row++) {
    const near = index.nearest(row, count - 1);
    rows.push([row, ...near.map((neighbour) => neighbour.row)]);
    distances.push([0, ...near.map(({ distance }) => distance)]);
    if (row % PIECE !== 0) continue;
    await setImmediate();
    signal?.throwIfAborted();
  }
  return { rows, distances };
}

function toLines(vectors: Float32Array, size: number): number[][] {
  return Array.from({ length: vectors.length / size }, (_, row) => [
    ...vectors.subarray(row * size, (row + 1) * size),
  ]);
}
