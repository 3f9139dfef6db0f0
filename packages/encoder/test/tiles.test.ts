import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { concatTiles } from "../src/index.ts";

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
