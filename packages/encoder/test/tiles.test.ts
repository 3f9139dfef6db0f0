import { expect, test } from "vitest";
import { type Architecture, LOC2VEC } from "../src/index.ts";
import { openTileTable } from "../src/tiles.ts";

const ARCHITECTURE: Architecture = { ...LOC2VEC, channels: 3, pixels: 4 };
const SIZE = 48;
const fresh = (): Uint8Array => Uint8Array.from({ length: 5 * SIZE }, (_, i) => 1 + (i % 250));
/** Tiles 1 to 3 of five. */
const tilesIn = (memory: Uint8Array): Uint8Array[] =>
  [1, 2, 3].map((i) => memory.subarray(i * SIZE, (i + 1) * SIZE));
const ON = [1, 1, 0, 1, 1, 1, 0, 0, 1];
const blackened = (): Uint8Array =>
  fresh()
    .slice(SIZE, 4 * SIZE)
    .map((value, i) => (ON[Math.floor(i / 16)] === 0 ? 0 : value));

test("tiles that lie one after another are used where they are, and are what they were afterwards", () => {
  const memory = fresh();
  const table = openTileTable();
  const laid = table.lay(ARCHITECTURE, tilesIn(memory), ON);
  expect(laid).toEqual(blackened());
  expect([laid.buffer, laid.byteOffset]).toEqual([memory.buffer, SIZE]);
  table.clear();
  expect(memory).toEqual(fresh());
  table.lay(ARCHITECTURE, tilesIn(memory), Array(9).fill(1));
  expect(memory).toEqual(fresh());
});

test.each([
  [
    "in another order",
    (tiles: Uint8Array[]) => tiles.toReversed(),
    (tiles: Uint8Array[]) => tiles.toReversed(),
  ],
  ["elsewhere", (tiles: Uint8Array[]) => tiles.map((tile) => tile.slice()), (tiles: Uint8Array[]) => tiles],
])("tiles that lie %s are copied", (_, rearrange, inOrder) => {
  const memory = fresh();
  const table = openTileTable();
  const laid = table.lay(ARCHITECTURE, rearrange(tilesIn(memory)), Array(9).fill(1));
  expect(laid).toEqual(Uint8Array.from(inOrder(tilesIn(fresh())).flatMap((tile) => [...tile])));
  expect(laid.buffer).not.toBe(memory.buffer);
  expect(laid.byteOffset % 64).toBe(48);
  expect(table.lay(ARCHITECTURE, rearrange(tilesIn(memory)), ON).buffer).toBe(laid.buffer);
  table.clear();
  expect(memory).toEqual(fresh());
});

test("a tile of another size is refused", () => {
  expect(() => openTileTable().lay(ARCHITECTURE, [fresh()], [1, 1, 1])).toThrowError(
    "tile 0 of the mini-batch has 240 bytes, not 48",
  );
});
