import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from "node:zlib";
import {
  type Dataset,
  FarmError,
  type Levels,
  randomOf,
  shardCount,
  shardOf,
  shardRange,
} from "@loc2vec/core";
import { describeDataset, machine } from "@loc2vec/farm";
import { sampleLocations } from "@loc2vec/gis";
import { crc32c } from "@loc2vec/numeric";
import {
  appendCrc32c,
  createDataset,
  DEFAULT_ZSTD_LEVEL,
  openDataset,
  openStore,
  shardKey,
  writeShard,
} from "@loc2vec/shards";
import { defineBench, locationsOption, type MapOptions, mapOption } from "../bench.ts";
import { JOB_TILES } from "../harness.ts";
import { withMap } from "../map.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
const SHARD_LOCATIONS = 16;
const RANDOM_READS = 100;
/** Tiles that a variant of the coding is tried on. */
const TRIED = 126;
/** Other tiles that serve as a dictionary. */
const DICTIONARY_TILES = 4;

interface Format {
  bytes_per_tile: number;
  write_tiles_per_s: number;
  read_tiles_per_s: number;
  random_read_ms: number;
}

/** Locations whose tiles are kept in memory, at most. */
const MAX_LOCATIONS = 48;

export const shards = defineBench({
  name: "shards",
  description: "size and speed of shards, beside other formats and codings",
  options: (command) =>
    command.addOption(mapOption()).addOption(locationsOption(MAX_LOCATIONS, MAX_LOCATIONS)),
  measure: (context, { pbf, locations }: MapOptions & { locations: number }) =>
    withMap(context, pbf, async ({ map, databaseUrl, rasterizer, render }) => {
      const sampled = await sampleLocations({ databaseUrl, count: locations, seed: 1 });
      const chosen = { name: "bench", seed: 1, positives: 20, shardLocations: 24 };
      const figures = await measureShards({
        dataset: describeDataset(await context.profile(), rasterizer.source, sampled.length, chosen),
        locations: sampled,
        render: async (levels) => (await render(sampled, levels)).flat(),
        log: context.log,
      });
      return { map: basename(map), ...figures };
    }),
});

/** Tiles of every level of detail, location by location, in memory. */
interface ShardsSubject {
  dataset: Dataset;
  locations: readonly { lon: number; lat: number; kind: "visit" | "transport" }[];
  render: (levels: Levels) => Promise<Uint8Array[]>;
  log: (line: string) => void;
}

/**
 * Sizes and speeds of our shards; of the same tiles as WebDataset tar, TFRecord (GZIP) and one npy.zst file per tile; and what
 * levels, zstd's level, the order of channels and a dictionary give. All on the same disk, its cache warm.
 */
async function measureShards({ dataset, locations, render, log }: ShardsSubject): Promise<object> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  try {
    log("bench: rendering");
    const levels = dataset.levels ?? 256;
    const tiles = await render(levels);
    const full = levels === 256 ? tiles : await render(256);
    log("bench: formats");
    const formats = {
      zarr: await zarr(folder, { ...dataset, shardLocations: SHARD_LOCATIONS }, locations, tiles),
      webdataset_tar: await tar(folder, tiles),
      tfrecord_gzip: await tfrecord(folder, tiles),
      npy_zst: await npy(folder, tiles),
    };
    log("bench: codings");
    return {
      machine: machine(),
      tiles: tiles.length,
      empty: tiles.filter((tile) => tile.every((value) => value === 0)).length,
      levels,
      ...formats.zarr,
      job_gb: round((formats.zarr.bytes_per_tile * JOB_TILES) / 1e9),
      formats,
      codings: await codings(full.slice(0, TRIED), tiles.slice(0, TRIED), dataset.channels.length),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const round = (value: number): number => Number(value.toPrecision(4));

async function timed<T>(work: () => Promise<T>): Promise<[seconds: number, result: T]> {
  const begin = performance.now();
  const result = await work();
  return [(performance.now() - begin) / 1000, result];
}

/** Mean time of reading tiles here and there, checked to be the right ones, ms. */
async function randomReads(
  tiles: readonly Uint8Array[],
  read: (tile: number) => Promise<Uint8Array>,
  reads = RANDOM_READS,
): Promise<number> {
  const random = randomOf(1);
  let sum = 0;
  for (let i = 0; i < reads; i++) {
    const at = random.int(tiles.length);
    const [seconds, tile] = await timed(() => read(at));
    sum += seconds;
    if (Buffer.compare(tile, tiles[at] as Uint8Array) !== 0)
      throw new FarmError("internal", `tile ${at} is read as another than was written`);
  }
  return round((1000 * sum) / reads);
}

/** Ours: the shards that workers write and trainers read. A random read opens the shard anew: two range requests. */
async function zarr(
  folder: string,
  dataset: Dataset,
  locations: ShardsSubject["locations"],
  tiles: readonly Uint8Array[],
): Promise<Format> {
  const store = openStore(pathToFileURL(join(folder, "zarr")).href);
  await createDataset(store, dataset, locations);
  const indices = Array.from({ length: shardCount(dataset) }, (_, shard) => shard);
  const [writing] = await timed(async () => {
    for (const shard of indices) {
      const { first, end } = shardRange(dataset, shard);
      await writeShard(store, dataset, shard, tiles.slice(first * dataset.samples, end * dataset.samples));
    }
  });
  const reader = await openDataset(store, dataset.name);
  const [reading] = await timed(async () => {
    for (const shard of indices) {
      const opened = await reader.openShard(shard, { whole: true });
      if (opened === undefined) throw new FarmError("internal", `shard ${shard} is missing`);
      for await (const _ of opened.tiles());
    }
  });
  let bytes = 0;
  for (const shard of indices)
    bytes += (await stat(join(folder, "zarr", shardKey(dataset.name, shard)))).size;
  const random = await randomReads(tiles, async (at) => {
    const location = Math.floor(at / dataset.samples);
    const shard = await reader.openShard(shardOf(dataset, location));
    return shard?.tile(location, at % dataset.samples) ?? new Uint8Array();
  });
  return format(tiles, bytes, writing, reading, random);
}

function format(
  tiles: readonly Uint8Array[],
  bytes: number,
  writing: number,
  reading: number,
  random: number,
): Format {
  return {
    bytes_per_tile: round(bytes / tiles.length),
    write_tiles_per_s: round(tiles.length / writing),
    read_tiles_per_s: round(tiles.length / reading),
    random_read_ms: random,
  };
}

/** NumPy's header (format 1.0, numpy.lib.format) of uint8 [length]. */
function npyHeader(length: number): Buffer {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${length},), }`;
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11);
  const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0]);
  head.writeUInt16LE(padded.length + 1, 8);
  return Buffer.concat([head, Buffer.from(`${padded}\n`, "latin1")]);
}

/** WebDataset: a tar of .npy members (POSIX.1-1988 ustar), as its writer makes it: not compressed. */
async function tar(folder: string, tiles: readonly Uint8Array[]): Promise<Format> {
  const path = join(folder, "tiles.tar");
  const [writing] = await timed(async () => {
    const parts: Uint8Array[] = [];
    for (const [i, tile] of tiles.entries()) {
      const header = npyHeader(tile.length);
      const size = header.length + tile.length;
      const head = Buffer.alloc(512);
      head.write(`${String(i).padStart(8, "0")}.npy`, 0, "latin1");
      head.write("0000644\0", 100, "latin1");
      head.write(`${size.toString(8).padStart(11, "0")}\0`, 124, "latin1");
      head.write("        0", 148, "latin1");
      head.write("ustar\x0000", 257, "latin1");
      const sum = head.reduce((total, byte) => total + byte, 0);
      head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
      parts.push(head, header, tile, Buffer.alloc((512 - (size % 512)) % 512));
    }
    await writeFile(path, Buffer.concat([...parts, Buffer.alloc(1024)]));
  });
  const members = function* (bytes: Buffer): Generator<Buffer> {
    for (let at = 0; bytes[at] !== 0; ) {
      const size = Number.parseInt(bytes.toString("latin1", at + 124, at + 135), 8);
      const body = bytes.subarray(at + 512, at + 512 + size);
      yield body.subarray(10 + body.readUInt16LE(8));
      at += 512 + Math.ceil(size / 512) * 512;
    }
  };
  const [reading] = await timed(async () => {
    for (const member of members(await readFile(path))) Uint8Array.from(member);
  });
  // A tar has no index: it is read from its beginning.
  const random = await randomReads(tiles, async (wanted) => nth(members(await readFile(path)), wanted), 5);
  return format(tiles, (await stat(path)).size, writing, reading, random);
}

function nth(members: Iterable<Buffer>, wanted: number): Buffer {
  let at = 0;
  for (const member of members) if (at++ === wanted) return member;
  return Buffer.alloc(0);
}

/** TFRecord of tf.train.Example with one bytes feature, GZIP as TFRecordOptions has it (tensorflow.org/tutorials/load_data/tfrecord). */
async function tfrecord(folder: string, tiles: readonly Uint8Array[]): Promise<Format> {
  const path = join(folder, "tiles.tfrecord.gz");
  const masked = (bytes: Uint8Array): Buffer => {
    const crc = crc32c(bytes);
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32LE(((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) >>> 0);
    return buffer;
  };
  const field = (number: number, bytes: Uint8Array): Buffer => {
    const head = [(number << 3) | 2];
    let length = bytes.length;
    for (; length > 127; length = Math.floor(length / 128)) head.push((length & 127) | 128);
    return Buffer.concat([Buffer.from([...head, length]), bytes]);
  };
  const [writing] = await timed(async () => {
    const parts: Uint8Array[] = [];
    for (const tile of tiles) {
      const value = field(1, field(1, tile));
      const example = field(1, field(1, Buffer.concat([field(1, Buffer.from("tile")), field(2, value)])));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(example.length));
      parts.push(length, masked(length), example, masked(example));
    }
    await writeFile(path, await promisify(gzip)(Buffer.concat(parts)));
  });
  const size = (tiles[0] as Uint8Array).length;
  const records = function* (bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      const length = Number(bytes.readBigUInt64LE(at));
      const record = bytes.subarray(at + 12, at + 12 + length);
      if (!masked(record).equals(bytes.subarray(at + 12 + length, at + 16 + length)))
        throw new FarmError("internal", "a record's checksum does not fit");
      yield record.subarray(record.length - size);
      at += 16 + length;
    }
  };
  const open = async (): Promise<Buffer> => promisify(gunzip)(await readFile(path));
  const [reading] = await timed(async () => {
    for (const record of records(await open())) Uint8Array.from(record);
  });
  const random = await randomReads(tiles, async (wanted) => nth(records(await open()), wanted), 5);
  return format(tiles, (await stat(path)).size, writing, reading, random);
}

/** One .npy.zst file per tile, at our level of zstd. */
async function npy(folder: string, tiles: readonly Uint8Array[]): Promise<Format> {
  const path = (i: number): string => join(folder, `${i}.npy.zst`);
  const options = { params: { [constants.ZSTD_c_compressionLevel]: DEFAULT_ZSTD_LEVEL } };
  let bytes = 0;
  const [writing] = await timed(async () => {
    for (const [i, tile] of tiles.entries()) {
      const packed = await compress(Buffer.concat([npyHeader(tile.length), tile]), options);
      bytes += packed.length;
      await writeFile(path(i), packed);
    }
  });
  const read = async (i: number): Promise<Uint8Array> => {
    const raw = await decompress(await readFile(path(i)));
    return raw.subarray(10 + raw.readUInt16LE(8));
  };
  const [reading] = await timed(async () => {
    for (let i = 0; i < tiles.length; i++) await read(i);
  });
  return format(tiles, bytes, writing, reading, await randomReads(tiles, read));
}

/** Bytes per tile and ms to compress one, by coding. */
async function codings(
  full: readonly Uint8Array[],
  coarse: readonly Uint8Array[],
  channels: number,
): Promise<Record<string, { bytes_per_tile: number; ms: number }>> {
  const interleave = (tile: Uint8Array): Uint8Array => {
    const area = tile.length / channels;
    return tile.map((_, i) => tile[(i % channels) * area + Math.floor(i / channels)] as number);
  };
  const halve = (tile: Uint8Array): Uint8Array =>
    Uint8Array.from(
      { length: tile.length / 2 },
      (_, i) => ((tile[2 * i] as number) >> 4) | ((tile[2 * i + 1] as number) & 0xf0),
    );
  const fewer = (levels: number) => (tile: Uint8Array) =>
    tile.map((value) => Math.round((value / 255) * (levels - 1)) * (255 / (levels - 1)));
  const dictionary = Buffer.concat(coarse.slice(0, DICTIONARY_TILES));
  const rest = coarse.slice(DICTIONARY_TILES);
  const result: Record<string, { bytes_per_tile: number; ms: number }> = {};
  const attempt = async (
    name: string,
    tiles: readonly Uint8Array[],
    level: number,
    more: object = {},
  ): Promise<void> => {
    let bytes = 0;
    const [seconds] = await timed(async () => {
      for (const tile of tiles) {
        const params = { [constants.ZSTD_c_compressionLevel]: level };
        // Without its size zstd reserves a window of megabytes for each tile.
        bytes += appendCrc32c(await compress(tile, { params, pledgedSrcSize: tile.length, ...more })).length;
      }
    });
    result[name] = {
      bytes_per_tile: round(bytes / tiles.length),
      ms: round((1000 * seconds) / tiles.length),
    };
  };
  for (const level of [3, 9, 19]) {
    await attempt(`256 levels, planar, zstd ${level}`, full, level);
    await attempt(`16 levels, planar, zstd ${level}`, coarse, level);
  }
  await attempt("8 levels, planar, zstd 9", full.map(fewer(8)), 9);
  await attempt("4 levels, planar, zstd 9", full.map(fewer(4)), 9);
  await attempt("16 levels, interleaved, zstd 9", coarse.map(interleave), 9);
  await attempt("16 levels, 4 bits a value, zstd 9", coarse.map(halve), 9);
  await attempt("16 levels, planar, zstd 9, dictionary of 4 tiles", rest, 9, { dictionary });
  return result;
}
