import { FarmError } from "@loc2vec/core";
import { halve } from "./halve.ts";
import { type Architecture, inputSide } from "./layout.ts";

/** How large tiles are, and how often they are halved. */
export type TileShape = Pick<Architecture, "channels" | "pixels" | "halvings">;

/**
 * Tiles as one array, halved as often as the architecture says: uint8 [tile, channel, y, x].
 *
 * @param on per tile and channel, [tiles, channels]: 0 for those to leave black
 * @param allocate gives memory for the bytes, whatever is in it
 * @throws FarmError `data` for a tile of another size
 */
export function concatTiles(
  architecture: TileShape,
  tiles: readonly Uint8Array[],
  on?: ArrayLike<number>,
  allocate = (length: number): Uint8Array => new Uint8Array(Buffer.allocUnsafeSlow(length).buffer),
): Uint8Array {
  const { channels, pixels, halvings = 0 } = architecture;
  const bytes = channels * pixels * pixels;
  const channel = inputSide(architecture) ** 2;
  // Every byte is set below.
  const all = allocate(tiles.length * channels * channel);
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

/**
 * TensorFlow takes memory that is aligned at 64 bytes as it is, and copies other. Large buffers of Node's begin 16 bytes into
 * a page.
 */
const ALIGNED = 48;

/** Brings a mini-batch's tiles together for TensorFlow, with some channels black. */
export interface TileTable {
  /**
   * Tiles that lie one after another in one piece of memory, as the trainer reads them, are used where they are; others,
   * and those to halve, are copied, each mini-batch into the same memory, as the system would clear fresh memory page by
   * page.
   *
   * @param on per tile and channel, [tiles, channels]: 0 for those to leave black
   * @returns uint8 [tile, channel, y, x], which stays until {@link clear}
   * @throws FarmError `data` for a tile of another size
   */
  lay(architecture: TileShape, tiles: readonly Uint8Array[], on: ArrayLike<number>): Uint8Array;
  /** Ends the use of what was laid: tiles that were used where they are get their black channels back. */
  clear(): void;
}

export function openTileTable(): TileTable {
  let buffer = new ArrayBuffer(0);
  /** Channels that were blackened where they are, and what they were, one after another: in memory that serves again and again. */
  let blackened: Uint8Array[] = [];
  let were = new Uint8Array(0);
  const copy = (length: number): Uint8Array => {
    if (buffer.byteLength < ALIGNED + length) buffer = new ArrayBuffer(ALIGNED + length);
    return new Uint8Array(buffer, ALIGNED, length);
  };
  return {
    lay(architecture, tiles, on) {
      const bytes = (architecture.halvings ?? 0) === 0 ? inOnePiece(architecture, tiles) : undefined;
      if (bytes === undefined) return concatTiles(architecture, tiles, on, copy);
      const channel = architecture.pixels ** 2;
      for (let i = 0; i < on.length; i++)
        if (on[i] === 0) blackened.push(bytes.subarray(i * channel, (i + 1) * channel));
      if (were.length < blackened.length * channel) were = new Uint8Array(blackened.length * channel);
      for (const [i, plane] of blackened.entries()) {
        were.set(plane, i * channel);
        plane.fill(0);
      }
      return bytes;
    },
    clear() {
      for (const [i, { length }] of blackened.entries())
        blackened[i]?.set(were.subarray(i * length, (i + 1) * length));
      blackened = [];
    },
  };
}

/** The memory of tiles that lie one after another; undefined for those that do not. */
function inOnePiece({ channels, pixels }: TileShape, tiles: readonly Uint8Array[]): Uint8Array | undefined {
  const size = channels * pixels ** 2;
  const [first] = tiles;
  if (first === undefined) return undefined;
  const { buffer, byteOffset } = first;
  const joined = tiles.every(
    (tile, i) => tile.buffer === buffer && tile.length === size && tile.byteOffset === byteOffset + i * size,
  );
  return joined ? new Uint8Array(buffer, byteOffset, tiles.length * size) : undefined;
}
