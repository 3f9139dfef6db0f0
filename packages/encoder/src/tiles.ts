import { FarmError } from "@loc2vec/core";
import type { Architecture } from "./layout.ts";

/**
 * Tiles as one array, uint8 [tile, channel, y, x].
 *
 * @param on per tile and channel, [tiles, channels]: 0 for those to leave black
 * @param allocate gives memory for the bytes, whatever is in it
 * @throws FarmError `data` for a tile of another size
 */
export function concatTiles(
  { channels, pixels }: Architecture,
  tiles: readonly Uint8Array[],
  on?: ArrayLike<number>,
  allocate = (length: number): Uint8Array => new Uint8Array(Buffer.allocUnsafeSlow(length).buffer),
): Uint8Array {
  const channel = pixels * pixels;
  const bytes = channels * channel;
  // Every byte is set below.
  const all = allocate(tiles.length * bytes);
  for (const [at, tile] of tiles.entries()) {
    if (tile.length !== bytes) {
      throw new FarmError("data", `tile ${at} of the mini-batch has ${tile.length} bytes, not ${bytes}`);
    }
    all.set(tile, at * bytes);
    for (let i = 0; on !== undefined && i < channels; i++) {
      const begin = at * bytes + i * channel;
      if (on[at * channels + i] === 0) all.fill(0, begin, begin + channel);
    }
  }
  return all;
}

/**
 * TensorFlow takes memory that is aligned at 64 bytes as it is, and copies other. Large buffers of Node's begin 16 bytes into
 * a page.
 */
const ALIGNED = 48;

/** Memory that serves one mini-batch after another: the system would clear 24 MB of fresh memory for each, page by page. */
export function reusedMemory(): (length: number) => Uint8Array {
  let buffer = new ArrayBuffer(0);
  return (length) => {
    if (buffer.byteLength < ALIGNED + length) buffer = new ArrayBuffer(ALIGNED + length);
    return new Uint8Array(buffer, ALIGNED, length);
  };
}
