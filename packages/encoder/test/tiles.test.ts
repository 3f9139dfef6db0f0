import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { type Architecture, concatTiles, LOC2VEC } from "../src/index.ts";
import { openTileTable } from "../src/tiles.ts";

const CHANNELS = 3;

function tileOf(pixels: number, key: number): Uint8Array {
  const random = randomOf(7, key);
  return new Uint8Array(CHANNELS * pixels * pixels).map(() => random.int(256));
}

/** Halved as the definition says. */
function halved(tile: Uint8Array, pixels: number): Uint8Array {
  const half = pixels / 2;
  return Uint8Array.from({ length: tile.length / 4 }, (_, at) => {
    const [channel, y, x] = [Math.floor(at / half ** 2), Math.floor(at / half) % half, at % half];
    const of = (dy: number, dx: number): number =>
      tile[(channel * pixels + 2 * y + dy) * pixels + 2 * x + dx] as number;
    return Math.floor((of(0, 0) + of(0, 1) + of(1, 0) + of(1, 1)) / 4 + 0.5);
  });
}

test.each([
  [16, 1],
  [16, 2],
  [16, 3],
  [10, 1],
  [12, 2],
  [128, 1],
])("tiles of %i pixels are halved %i times by the rounded mean of 2 × 2", (pixels, halvings) => {
  const tiles = [tileOf(pixels, 1), tileOf(pixels, 2)];
  let expected = tiles;
  for (let time = 0; time < halvings; time++)
    expected = expected.map((tile) => halved(tile, pixels / 2 ** time));
  const bytes = concatTiles({ channels: CHANNELS, pixels, halvings }, tiles);
  expect(bytes).toEqual(Uint8Array.from(expected.flatMap((tile) => [...tile])));
});

test("where in memory a tile begins makes no difference", () => {
  const tile = tileOf(16, 3);
  const shifted = new Uint8Array(tile.length + 1).subarray(1);
  shifted.set(tile);
  const [one, other] = [tile, shifted].map((each) =>
    concatTiles({ channels: CHANNELS, pixels: 16, halvings: 1 }, [each]),
  );
  expect(one).toEqual(other);
});

test.each([0, 1])("channels that are off are black, the others stay (halved %i times)", (halvings) => {
  const tiles = [tileOf(8, 4), tileOf(8, 5)];
  const architecture = { channels: CHANNELS, pixels: 8, halvings };
  const all = concatTiles(architecture, tiles);
  const on = [1, 0, 1, 0, 1, 1];
  const some = concatTiles(architecture, tiles, on);
  const channel = all.length / on.length;
  for (const [i, value] of on.entries()) {
    const own = [all, some].map((bytes) => bytes.subarray(i * channel, (i + 1) * channel));
    expect(own[1]).toEqual(value === 1 ? own[0] : new Uint8Array(channel));
  }
});

test("tiles of another size, or that cannot be halved so often, are refused", () => {
  const architecture = { channels: CHANNELS, pixels: 8 };
  expect(() => concatTiles(architecture, [tileOf(8, 1), tileOf(4, 1)])).toThrow(
    /tile 1 of the mini-batch has 48 bytes, not 192/,
  );
  expect(() => concatTiles({ ...architecture, pixels: 12, halvings: 3 }, [])).toThrow(
    /tiles of 12 pixels cannot be halved 3 times/,
  );
});

const TABLED: Architecture = { ...LOC2VEC, channels: 3, pixels: 4 };
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
  const laid = table.lay(TABLED, tilesIn(memory), ON);
  expect(laid).toEqual(blackened());
  expect([laid.buffer, laid.byteOffset]).toEqual([memory.buffer, SIZE]);
  table.clear();
  expect(memory).toEqual(fresh());
  table.lay(TABLED, tilesIn(memory), Array(9).fill(1));
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
  const laid = table.lay(TABLED, rearrange(tilesIn(memory)), Array(9).fill(1));
  expect(laid).toEqual(Uint8Array.from(inOrder(tilesIn(fresh())).flatMap((tile) => [...tile])));
  expect(laid.buffer).not.toBe(memory.buffer);
  expect(laid.byteOffset % 64).toBe(48);
  expect(table.lay(TABLED, rearrange(tilesIn(memory)), ON).buffer).toBe(laid.buffer);
  table.clear();
  expect(memory).toEqual(fresh());
});

test("tiles to halve are copied, and stay as they are", () => {
  const memory = fresh();
  const table = openTileTable();
  const halved = { ...TABLED, halvings: 1 };
  const laid = table.lay(halved, tilesIn(memory), ON);
  expect(laid).toEqual(concatTiles(halved, tilesIn(fresh()), ON));
  table.clear();
  expect(memory).toEqual(fresh());
});

test("a tile of another size is refused on the table, too", () => {
  expect(() => openTileTable().lay(TABLED, [fresh()], [1, 1, 1])).toThrowError(
    "tile 0 of the mini-batch has 240 bytes, not 48",
  );
});
