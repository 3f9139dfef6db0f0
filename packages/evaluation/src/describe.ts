import type { TileReader } from "@loc2vec/trainer";
import type { ImageRow } from "./images.ts";
import type { Representation } from "./representation.ts";

/** Images that are described at a time. */
const BLOCK = 64;

/** Who follows a long calculation. */
export interface Watch {
  signal?: AbortSignal | undefined;
  progress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Reads each image once, and has all representations describe it.
 *
 * @returns per representation float32 [rows, size]
 * @throws the signal's reason when it is aborted
 */
export async function describeAll(
  representations: readonly Representation[],
  tiles: Pick<TileReader, "read">,
  rows: readonly ImageRow[],
  { signal, progress }: Watch,
): Promise<Float32Array[]> {
  const vectors = representations.map(({ size }) => new Float32Array(rows.length * size));
  const read = (first: number) => tiles.read(rows.slice(first, first + BLOCK));
  let next = read(0);
  for (let first = 0; first < rows.length; first += BLOCK) {
    signal?.throwIfAborted();
    const block = await next;
    next = read(first + BLOCK);
    next.catch(() => {}); // awaited in the next round
    for (const [at, representation] of representations.entries())
      (vectors[at] as Float32Array).set(await representation.describe(block), first * representation.size);
    progress?.(first + block.length, rows.length);
    // Describing blocks the event loop: signals have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return vectors;
}
