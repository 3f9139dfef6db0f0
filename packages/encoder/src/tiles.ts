import { FarmError } from "@loc2vec/core";
import { halve } from "./halve.ts";
import { type Architecture, inputSide } from "./layout.ts";

/**
 * Tiles as one array, halved as often as the architecture says: uint8 [tile, channel, y, x].
 *
 * @param on per tile and channel, [tiles, channels]: 0 for those to leave black
 * @throws FarmError `data` for a tile of another size
 */
export function concatTiles(
  architecture: Pick<Architecture, "channels" | "pixels" | "halvings">,
  tiles: readonly Uint8Array[],
  on?: ArrayLike<number>,
): Uint8Array {
  const { channels, pixels, halvings = 0 } = architecture;
  const bytes = channels * pixels * pixels;
  const channel = inputSide(architecture) ** 2;
  // Every byte is set below.
  const all = new Uint8Array(Buffer.allocUnsafeSlow(tiles.length * channels * channel).buffer);
  for (const [at, tile] of tiles.entries()) {
    if (tile.length !== bytes) {
      throw new FarmError("data", `tile ${at} of the mini-batch has ${tile.length} bytes, not ${bytes}`);
    }
    const begin = at * channels * channel;
    const copy = all.subarray(begin, begin + channels * channel);
    if (halvings === 0) copy.set(tile);
    else halveTimes(tile, copy, pixels, halvings);
    for (let i = 0; on !== undefined && i < channels; i++)
      if (on[at * channels + i] === 0) copy.fill(0, i * channel, (i + 1) * channel);
  }
  return all;
}

/** @param side of `from`, pixels */
function halveTimes(from: Uint8Array, to: Uint8Array, side: number, times: number): void {
  let tile = from;
  for (let time = 1; time < times; time++) {
    const half = new Uint8Array(tile.length / 4);
    halve(tile, half, side / 2 ** (time - 1));
    tile = half;
  }
  halve(tile, to, side / 2 ** (times - 1));
}
