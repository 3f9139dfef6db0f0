import type { Dataset } from "@loc2vec/core";
import { FarmError } from "@loc2vec/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeShard, openShard, shardKey, tileBytes } from "../src/index.ts";
import { checkShardObject } from "../src/shard.ts";
import type { ObjectStore } from "../src/store.ts";

/** The same cases in each run. */
fc.configureGlobal({ seed: 13, numRuns: 60 });

type Layout = Pick<Dataset, "name" | "locations" | "shardLocations" | "samples" | "pixels" | "channels">;

const layout: fc.Arbitrary<Layout> = fc.record({
  name: fc.constant("city"),
  locations: fc.integer({ min: 1, max: 7 }),
  shardLocations: fc.integer({ min: 1, max: 4 }),
  samples: fc.integer({ min: 1, max: 4 }),
  pixels: fc.integer({ min: 1, max: 12 }),
  channels: fc.integer({ min: 1, max: 3 }).map((count) => Array.from({ length: count }, (_, i) => `c${i}`)),
});

/** A shard's layout, and its tiles: absent, all zeros, of one value, or noise. */
const content = layout.chain((dataset) => {
  const shards = Math.ceil(dataset.locations / dataset.shardLocations);
  const size = tileBytes(dataset as Dataset);
  const tile = fc.oneof(
    fc.constant(undefined),
    fc.constant(new Uint8Array(size)),
    fc.integer({ min: 1, max: 255 }).map((value) => new Uint8Array(size).fill(value)),
    fc.uint8Array({ minLength: size, maxLength: size }),
  );
  return fc.integer({ min: 0, max: shards - 1 }).chain((shard) => {
    const first = shard * dataset.shardLocations;
    const count = (Math.min(first + dataset.shardLocations, dataset.locations) - first) * dataset.samples;
    return fc.record({
      dataset: fc.constant(dataset),
      shard: fc.constant(shard),
      first: fc.constant(first),
      tiles: fc.array(tile, { minLength: count, maxLength: count }),
    });
  });
});

/** A store that has one object, and is only read. */
function storeOf(key: string, bytes: Uint8Array): ObjectStore {
  const read = async (wanted: string) => (wanted === key ? bytes : undefined);
  return {
    url: "memory:",
    get: read,
    getRange: async (wanted: string, range: { suffix: number } | { offset: number; length: number }) => {
      const whole = await read(wanted);
      if ("suffix" in range) return whole?.subarray(Math.max(0, whole.length - range.suffix));
      return whole?.subarray(range.offset, range.offset + range.length);
    },
  } as unknown as ObjectStore;
}

test("any tiles come back as they were, of any layout, at any level, whole or one by one", async () => {
  await fc.assert(
    fc.asyncProperty(
      content,
      fc.integer({ min: 1, max: 12 }),
      async ({ dataset, shard, first, tiles }, level) => {
        const size = tileBytes(dataset as Dataset);
        const encoded = await encodeShard(dataset as Dataset, shard, tiles, level);
        const expected = tiles.map((tile) => tile ?? new Uint8Array(size));
        const empty = expected.filter((tile) => tile.every((value) => value === 0)).length;
        expect(encoded).toMatchObject({ tiles: tiles.length, empty });
        expect(checkShardObject(dataset as Dataset, shard, encoded.bytes, "x")).toEqual({
          tiles: tiles.length,
          empty,
        });
        expect((await encodeShard(dataset as Dataset, shard, tiles, level)).bytes).toEqual(encoded.bytes);
        const store = storeOf(shardKey("city", shard), encoded.bytes);
        for (const whole of [true, false]) {
          const reader = await openShard(store, dataset as Dataset, shard, { whole });
          for (const [i, tile] of expected.entries()) {
            const [location, sample] = [first + Math.floor(i / dataset.samples), i % dataset.samples];
            expect(await reader?.tile(location, sample)).toEqual(tile);
            expect(reader?.isEmpty(location, sample)).toBe(tile.every((value) => value === 0));
          }
          const all: Uint8Array[] = [];
          for await (const { tile } of reader?.tiles() ?? []) all.push(tile);
          expect(all).toEqual(expected);
        }
      },
    ),
  );
});

test("a byte that is changed anywhere, one that is lost and one too many are found", async () => {
  await fc.assert(
    fc.asyncProperty(
      content,
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async ({ dataset, shard, tiles }, at, change) => {
        const { bytes } = await encodeShard(dataset as Dataset, shard, tiles);
        const place = at % bytes.length;
        const check = (object: Uint8Array) => () =>
          checkShardObject(dataset as Dataset, shard, object, "the shard");
        const changed = bytes.with(place, (bytes[place] as number) ^ change);
        const damaged = [
          changed,
          bytes.filter((_, i) => i !== place),
          Uint8Array.of(...bytes.slice(0, place), 7, ...bytes.slice(place)),
        ];
        for (const object of damaged) {
          expect(check(object)).toThrow(FarmError);
          expect(check(object)).toThrow(/^the shard: /);
        }
        // Who reads all tiles meets it, too, in whichever of them it is.
        const reading = async () => {
          const reader = await openShard(
            storeOf(shardKey("city", shard), changed),
            dataset as Dataset,
            shard,
          );
          for await (const _ of reader?.tiles() ?? []);
        };
        await expect(reading()).rejects.toMatchObject({ code: "damaged" });
      },
    ),
  );
});
