import { type Dataset, FarmError, shardRange } from "@loc2vec/core";
import { appendCrc32c, checkCrc32c } from "./checksum.ts";
import { DamagedChunk, DEFAULT_ZSTD_LEVEL, packChunk, unpackChunk } from "./compression.ts";
import { type Decoder, UndecodedTile } from "./decoder.ts";
import type { ObjectStore } from "./store.ts";

/**
 * One shard object of Zarr's `sharding_indexed` codec: the packed tiles one after the other, then the index, which has
 * for each tile of the shard (location by location) its offset and length as little-endian uint64, and a crc32c.
 */

/** What both of an index entry's numbers are when there is no such chunk: the tile is all zeros. */
const MISSING = 0xffff_ffff_ffff_ffffn;

/** Tiles that are decoded ahead: enough for libuv's four threads. */
const IN_FLIGHT = 4;
/** Tiles that wait for their compression: two locations' worth, so that one is compressed while the next is rendered. */
const COMPRESSING = 42;

type Layout = Pick<Dataset, "locations" | "shardLocations" | "samples" | "pixels" | "channels">;

/** Tiles come from a renderer or any other source: in order of location, then sample; undefined for an empty one. */
export type Tiles = Iterable<Uint8Array | undefined> | AsyncIterable<Uint8Array | undefined>;

export interface EncodedShard {
  bytes: Uint8Array;
  /** Tiles in it, the empty ones included. */
  tiles: number;
  /** Tiles of zeros only. */
  empty: number;
  /** Wall time spent here rather than in waiting for the next tile, ms. */
  encodeMs: number;
}

/** Bytes of a tile in memory: uint8 [channel, y, x]. */
export function tileBytes(dataset: Layout): number {
  return dataset.channels.length * dataset.pixels ** 2;
}

/** The key of a shard object. */
export function shardKey(name: string, shard: number): string {
  return `datasets/${name}/tiles/c/${shard}/0/0/0/0`;
}

function indexBytes(dataset: Layout): number {
  return 16 * dataset.shardLocations * dataset.samples + 4;
}

/**
 * Encodes a shard. Tiles are compressed as they arrive, so that only a few are held raw; each must be a buffer of its
 * own, which nobody writes to afterwards. The same tiles give the same bytes.
 *
 * @param tiles planar uint8 [channel, y, x], row 0 = top; as many as the shard has locations × samples
 * @throws FarmError `internal` for a wrong number of tiles, or one of the wrong size
 */
export async function encodeShard(
  dataset: Layout,
  shard: number,
  tiles: Tiles,
  level: number = DEFAULT_ZSTD_LEVEL,
): Promise<EncodedShard> {
  const { first, end } = shardRange(dataset, shard);
  const expected = Math.max(0, end - first) * dataset.samples;
  const zeros = Buffer.alloc(tileBytes(dataset));
  const wrong = (what: string): never => {
    throw new FarmError("internal", `shard ${shard}: ${what}`);
  };
  const packed: (Uint8Array | undefined)[] = [];
  const pending: Promise<Uint8Array | undefined>[] = [];
  const started = performance.now();
  let waited = 0;
  let asked = started;
  for await (const tile of tiles) {
    waited += performance.now() - asked;
    if (packed.length + pending.length === expected) wrong(`more than ${expected} tiles`);
    if (tile !== undefined && tile.length !== zeros.length) {
      wrong(`a tile of ${tile.length} bytes, not ${zeros.length}`);
    }
    const empty = tile === undefined || zeros.equals(tile);
    const packing = empty ? Promise.resolve(undefined) : packChunk(tile, level);
    packing.catch(() => {}); // it is awaited below, but the source of the tiles may throw before
    pending.push(packing);
    if (pending.length > COMPRESSING) packed.push(await pending.shift());
    asked = performance.now();
  }
  packed.push(...(await Promise.all(pending)));
  if (packed.length !== expected) wrong(`${packed.length} tiles, not ${expected}`);

  const index = new DataView(new ArrayBuffer(indexBytes(dataset) - 4));
  new BigUint64Array(index.buffer).fill(MISSING);
  let offset = 0;
  for (const [i, chunk] of packed.entries()) {
    if (chunk === undefined) continue;
    index.setBigUint64(16 * i, BigInt(offset), true);
    index.setBigUint64(16 * i + 8, BigInt(chunk.length), true);
    offset += chunk.length;
  }
  const chunks = packed.filter((chunk) => chunk !== undefined);
  const bytes = new Uint8Array(Buffer.concat([...chunks, appendCrc32c(new Uint8Array(index.buffer))]));
  return {
    bytes,
    tiles: expected,
    empty: expected - chunks.length,
    encodeMs: performance.now() - started - waited,
  };
}

export interface ShardTile {
  /** Index in the data set. */
  location: number;
  sample: number;
  /** Planar uint8 [channel, y, x]. */
  tile: Uint8Array;
}

/** A tile as it is stored. */
export interface StoredTile {
  /** A packed chunk. */
  bytes: Uint8Array;
  /** The error for a tile that cannot be decoded, which names it. @param cause with the reason */
  damaged(cause: Error): FarmError;
}

/** Reads the tiles of one shard. Every method throws FarmError `data` naming the object and the tile that is damaged. */
export interface ShardReader {
  readonly shard: number;
  /** Locations [first, end) of the data set. */
  readonly first: number;
  readonly end: number;
  /**
   * One tile: planar uint8 [channel, y, x], row 0 = top, in a buffer of its own; zeros where the map is empty.
   * One range request, or none when the shard was opened whole or the tile is empty.
   *
   * @param location index in the data set, within [first, end)
   */
  tile(location: number, sample: number): Promise<Uint8Array>;
  /** What {@link tile} is decoded from, for a {@link Decoder}; undefined where the map is empty. */
  stored(location: number, sample: number): Promise<StoredTile | undefined>;
  /** Whether the tile is all zeros, told by the index alone. */
  isEmpty(location: number, sample: number): boolean;
  /** All tiles, location by location; a few are decoded ahead. */
  tiles(): AsyncGenerator<ShardTile, void>;
}

/**
 * Opens a shard object: one range request for its index, or with `whole` one request for all of it (some megabytes,
 * compressed), after which tiles are decoded from memory. Undefined when there is no such object.
 *
 * @throws FarmError `data` when the index is damaged, `usage` for a shard that the data set does not have
 */
export async function openShard(
  store: ObjectStore,
  dataset: Layout & Pick<Dataset, "name">,
  shard: number,
  { whole = false }: { whole?: boolean } = {},
): Promise<ShardReader | undefined> {
  checkShard(dataset, shard);
  const key = shardKey(dataset.name, shard);
  const suffix = indexBytes(dataset);
  const tail = whole ? await store.get(key) : await store.getRange(key, { suffix });
  if (tail === undefined) return undefined;
  return readShard(dataset, shard, tail, {
    name: `${key} in ${store.url}`,
    fetch: async (offset, length) =>
      whole ? tail.subarray(offset, offset + length) : store.getRange(key, { offset, length }),
  });
}

/**
 * Decodes tiles of any shards of a data set.
 *
 * @param target of {@link sharedMemory}, that they go into; else it is made
 * @returns planar uint8 [channel, y, x] each, one after another in one piece of memory
 * @throws FarmError `damaged` naming the object and the tile
 */
export async function decodeTiles(
  dataset: Layout,
  decoder: Decoder,
  tiles: readonly (StoredTile | undefined)[],
  target?: Uint8Array,
): Promise<Uint8Array[]> {
  try {
    return await decoder.decode(
      tiles.map((tile) => tile?.bytes),
      tileBytes(dataset),
      target,
    );
  } catch (error) {
    throw error instanceof UndecodedTile ? (tiles[error.tile]?.damaged(error) ?? error) : error;
  }
}

export function checkShard(dataset: Layout & Pick<Dataset, "name">, shard: number): void {
  const { first, end } = shardRange(dataset, shard);
  if (!Number.isInteger(shard) || shard < 0 || first >= end) {
    throw new FarmError("usage", `data set ${dataset.name} has no shard ${shard}`);
  }
}

/**
 * Compares every checksum of a shard object, and sees that every byte of it is under one.
 *
 * @param name the object's name, for messages
 * @throws FarmError `data` naming the object and the tile that is damaged
 */
export function checkShardObject(
  dataset: Layout,
  shard: number,
  object: Uint8Array,
  name: string,
): { tiles: number; empty: number } {
  const reader = readShard(dataset, shard, object, {
    name,
    fetch: async (offset, length) => object.subarray(offset, offset + length),
  });
  return reader.check(object);
}

interface Source {
  /** Names the object in messages. */
  name: string;
  fetch(offset: number, length: number): Promise<Uint8Array | undefined>;
}

const RENDER_AGAIN = "pnpm farm:verify --repair renders it again";

interface CheckingReader extends ShardReader {
  check(object: Uint8Array): { tiles: number; empty: number };
}

/** @param tail the object, or at least its last bytes: the index */
function readShard(dataset: Layout, shard: number, tail: Uint8Array, source: Source): CheckingReader {
  const { first, end } = shardRange(dataset, shard);
  const damaged = (what: string, cause?: unknown): FarmError =>
    new FarmError("damaged", `${source.name}: ${what}`, RENDER_AGAIN, { cause });
  const size = indexBytes(dataset);
  if (tail.length < size)
    throw damaged(`the shard is cut off: ${tail.length} bytes, its index alone has ${size}`);
  const checked = checkCrc32c(tail.subarray(tail.length - size));
  if (checked === undefined) {
    throw damaged("the index of the shard is damaged: its checksum (crc32c) does not fit its bytes");
  }
  const index = new DataView(checked.buffer, checked.byteOffset, checked.byteLength);
  const rawLength = tileBytes(dataset);
  const longest = 2 * rawLength + 1024; // no compressor makes a tile longer than this

  /** Undefined for an empty tile. */
  const entry = (location: number, sample: number): { offset: number; length: number } | undefined => {
    if (!(location >= first && location < end && sample >= 0 && sample < dataset.samples)) {
      throw new FarmError("internal", `shard ${shard} has no tile of location ${location}, sample ${sample}`);
    }
    const at = 16 * ((location - first) * dataset.samples + sample);
    const offset = index.getBigUint64(at, true);
    const length = index.getBigUint64(at + 8, true);
    if (offset === MISSING && length === MISSING) return undefined;
    if (offset > BigInt(Number.MAX_SAFE_INTEGER) || length > BigInt(longest)) {
      throw damaged(`tile of location ${location}, sample ${sample}: the index gives it an impossible place`);
    }
    return { offset: Number(offset), length: Number(length) };
  };

  const stored = async (location: number, sample: number): Promise<StoredTile | undefined> => {
    const place = entry(location, sample);
    if (place === undefined) return undefined;
    const label = `tile of location ${location}, sample ${sample}`;
    const bytes = await source.fetch(place.offset, place.length);
    if (bytes === undefined) throw damaged(`${label}: the object has gone since its index was read`);
    if (bytes.length < place.length) {
      throw damaged(`${label}: the shard is cut off: ${bytes.length} of its ${place.length} bytes are there`);
    }
    return { bytes, damaged: (cause) => damaged(`${label}: ${cause.message}`, cause) };
  };

  const tile = async (location: number, sample: number): Promise<Uint8Array> => {
    const found = await stored(location, sample);
    if (found === undefined) return new Uint8Array(rawLength);
    try {
      return await unpackChunk(found.bytes, rawLength);
    } catch (error) {
      throw error instanceof DamagedChunk ? found.damaged(error) : error;
    }
  };

  return {
    shard,
    first,
    end,
    tile,
    stored,
    isEmpty: (location, sample) => entry(location, sample) === undefined,
    check(object) {
      let next = 0;
      let empty = 0;
      for (let location = first; location < end; location++) {
        for (let sample = 0; sample < dataset.samples; sample++) {
          const place = entry(location, sample);
          if (place === undefined) {
            empty++;
            continue;
          }
          const label = `tile of location ${location}, sample ${sample}`;
          if (place.offset !== next) throw damaged(`${label}: is not where the tile before it ends`);
          next += place.length;
          if (next > object.length - size) throw damaged(`${label}: the shard is cut off`);
          if (checkCrc32c(object.subarray(place.offset, next)) === undefined) {
            throw damaged(`${label}: its checksum (crc32c) does not fit its bytes`);
          }
        }
      }
      if (next !== object.length - size)
        throw damaged(`${object.length - size - next} bytes belong to no tile`);
      return { tiles: (end - first) * dataset.samples, empty };
    },
    async *tiles() {
      const ahead: Promise<ShardTile>[] = [];
      for (let location = first; location < end; location++) {
        for (let sample = 0; sample < dataset.samples; sample++) {
          const next = tile(location, sample).then((decoded) => ({ location, sample, tile: decoded }));
          next.catch(() => {}); // awaited below, unless the reader stops before
          ahead.push(next);
          if (ahead.length > IN_FLIGHT) yield (await ahead.shift()) as ShardTile;
        }
      }
      for (const next of ahead) yield await next;
    },
  };
}
