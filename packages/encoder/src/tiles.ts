import { FarmError } from "@loc2vec/core";
import type { Architecture } from "./layout.ts";

/**
 * Tiles as one array, uint8 [tile, channel, y, x].
 *
 * @param on per tile and channel, [tiles, channels]: 0 for those to leave black
 * @throws FarmError `data` for a tile of another size
 */
export function concatTiles(
  { channels, pixels }: Architecture,
  tiles: readonly Uint8Array[],
  on?: ArrayLike<number>,
): Uint8Array {
  const channel = pixels * pixels;
  const bytes = channels * channel;
  // Every byte is set below.
  const all = new Uint8Array(Buffer.allocUnsafeSlow(tiles.length * bytes).buffer);
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
