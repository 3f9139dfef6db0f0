import { randomOf } from "@loc2vec/core";
import { expect, onTestFinished, test } from "vitest";
import { packChunk } from "../src/compression.ts";
import { openDecoder, sharedMemory, UndecodedTile } from "../src/decoder.ts";

const RAW = 3000;
const tileOf = (i: number): Uint8Array => {
  const random = randomOf(5, i);
  return new Uint8Array(RAW).map((_, at) => (at % 7 === 0 ? random.int(256) : i));
};
const packedOf = (count: number): Promise<(Uint8Array | undefined)[]> =>
  Promise.all(
    Array.from({ length: count }, async (_, i) => (i % 10 === 3 ? undefined : packChunk(tileOf(i), 3))),
  );
const expected = (i: number): Uint8Array => (i % 10 === 3 ? new Uint8Array(RAW) : tileOf(i));
const decoderOf = (threads?: number) => {
  const decoder = openDecoder(threads);
  onTestFinished(() => decoder.close());
  return decoder;
};

test.each([1, 2, 3, undefined])(
  "tiles come in their order, in one piece of memory, from %s threads",
  async (threads) => {
    const decoder = decoderOf(threads);
    const chunks = await packedOf(77);
    const many = await Promise.all([decoder.decode(chunks, RAW), decoder.decode(chunks.slice(0, 5), RAW)]);
    expect(many.map(({ length }) => length)).toEqual([77, 5]);
    for (const tiles of many) {
      for (const [i, tile] of tiles.entries()) {
        expect(tile).toEqual(expected(i));
        expect(tile.buffer).toBe(tiles[0]?.buffer);
        expect(tile.byteOffset).toBe(48 + i * RAW);
      }
    }
    expect(await decoder.decode([], RAW)).toEqual([]);
  },
);

test("memory that was used before is filled anew, zeros included, and what lies behind stays", async () => {
  const decoder = decoderOf();
  const target = sharedMemory(8 * RAW).fill(7);
  const tiles = await decoder.decode(await packedOf(6), RAW, target);
  expect(tiles).toEqual([0, 1, 2, 3, 4, 5].map(expected));
  expect(tiles[0]?.buffer).toBe(target.buffer);
  expect(target.subarray(6 * RAW)).toEqual(new Uint8Array(2 * RAW).fill(7));
});

test("a damaged tile is named, and the decoder goes on", async () => {
  const decoder = decoderOf(2);
  const chunks = await packedOf(30);
  const damaged = Uint8Array.from(chunks[17] as Uint8Array);
  damaged[9] = (damaged[9] as number) ^ 1;
  const error = await decoder.decode(chunks.with(17, damaged), RAW).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UndecodedTile);
  expect(error).toMatchObject({ tile: 17, message: "its checksum (crc32c) does not fit its bytes" });
  await expect(decoder.decode(chunks, RAW + 1)).rejects.toThrowError(`it holds ${RAW} bytes, not ${RAW + 1}`);
  await expect(decoder.decode(chunks, RAW - 1)).rejects.toThrowError(`not zstd data of ${RAW - 1} bytes`);
  expect((await decoder.decode(chunks, RAW))[29]).toEqual(tileOf(29));
});

test("threads that end fail what they had, and others take their place", async () => {
  const decoder = openDecoder(2);
  onTestFinished(() => decoder.close());
  const chunks = await packedOf(30);
  const decoding = decoder.decode(chunks, RAW);
  const failed = expect(decoding).rejects.toThrowError(/a thread that decodes tiles ended: exit code \d/);
  await decoder.close();
  await failed;
  expect((await decoder.decode(chunks, RAW))[29]).toEqual(tileOf(29));
});
