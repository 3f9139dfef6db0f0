import { FarmError } from "@loc2vec/core";
import type { Architecture } from "./architecture.ts";

/**
 * Tiles as one array, uint8 [tile, channel, y, x].
 *
 * @throws FarmError `data` for a tile of another size
 */
export function concatTiles({ channels, pixels }: Architecture, tiles: readonly Uint8Array[]): Uint8Array {
  const bytes = channels * pixels * pixels;
  const all = new Uint8Array(tiles.length * bytes);
  for (const [at, tile] of tiles.entries()) {
    if (tile.length !== bytes) {
      throw new FarmError("data", `tile ${at} of the mini-batch has ${tile.length} bytes, not ${bytes}`);
    }
    all.set(tile, at * bytes);
  }
  return all;
}
