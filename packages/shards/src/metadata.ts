import { type Dataset, FarmError } from "@loc2vec/core";
import { z } from "zod";
import type { ObjectStore } from "./store.ts";

/** Zarr v3 metadata documents (zarr-specs.readthedocs.io, core v3 and the codecs registered there), as far as we write them. */

export interface Codec {
  name: string;
  configuration?: Readonly<Record<string, unknown>>;
}

const LITTLE_ENDIAN: Codec = { name: "bytes", configuration: { endian: "little" } };
const CRC32C: Codec = { name: "crc32c" };
const zstd = (level: number): Codec => ({ name: "zstd", configuration: { level, checksum: false } });

const DATA_TYPES = ["uint8", "float32", "float64"] as const;
export type DataType = (typeof DATA_TYPES)[number];

/** An array that is chunked along its first axis only. */
export interface ArraySpec {
  shape: readonly number[];
  dtype: DataType;
  /** Rows (of the first axis) per chunk. */
  chunkRows: number;
  /** One name per axis. */
  dimensionNames: readonly string[];
  attributes: Readonly<Record<string, unknown>>;
  /** Level of zstd. */
  level: number;
}

/** The `zarr.json` of a plain array: chunks of little-endian values, zstd, crc32c; fill value 0. */
export function arrayMetadata(spec: ArraySpec): unknown {
  return {
    zarr_format: 3,
    node_type: "array",
    shape: spec.shape,
    data_type: spec.dtype,
    chunk_grid: { name: "regular", configuration: { chunk_shape: [spec.chunkRows, ...spec.shape.slice(1)] } },
    chunk_key_encoding: { name: "default", configuration: { separator: "/" } },
    fill_value: 0,
    codecs: [LITTLE_ENDIAN, zstd(spec.level), CRC32C],
    dimension_names: spec.dimensionNames,
    attributes: spec.attributes,
  };
}

/**
 * The `zarr.json` of a data set's tiles: logically uint8 [location, sample, y, x, channel]; stored channel by channel,
 * one inner chunk per tile, one shard object per `shardLocations` locations, its index at the end.
 */
export function tilesMetadata(dataset: Dataset, level: number): unknown {
  const { locations, samples, shardLocations, pixels, channels } = dataset;
  const tile = [pixels, pixels, channels.length];
  const sharding: Codec = {
    name: "sharding_indexed",
    configuration: {
      chunk_shape: [1, 1, ...tile],
      codecs: [
        { name: "transpose", configuration: { order: [0, 1, 4, 2, 3] } },
        { name: "bytes" },
        zstd(level),
        CRC32C,
      ],
      index_codecs: [LITTLE_ENDIAN, CRC32C],
      index_location: "end",
    },
  };
  return {
    zarr_format: 3,
    node_type: "array",
    shape: [locations, samples, ...tile],
    data_type: "uint8",
    chunk_grid: { name: "regular", configuration: { chunk_shape: [shardLocations, samples, ...tile] } },
    chunk_key_encoding: { name: "default", configuration: { separator: "/" } },
    fill_value: 0,
    codecs: [sharding],
    dimension_names: ["location", "sample", "y", "x", "channel"],
    attributes: { channels },
  };
}

export function groupMetadata(attributes: Readonly<Record<string, unknown>>): object {
  return { zarr_format: 3, node_type: "group", attributes };
}

/**
 * A group's metadata with those of its arrays inside, as zarr-python writes and reads them (`consolidated_metadata`, kind
 * `inline`; zarr-python 3, not yet part of the specification, and marked as of no matter to other readers).
 *
 * @param names names of arrays; those that are not there are left out
 */
export async function consolidate(
  store: ObjectStore,
  prefix: string,
  group: object,
  names: readonly string[],
): Promise<unknown> {
  const metadata: Record<string, unknown> = {};
  for (const name of names) {
    const arrayMetadata = await readMetadata(store, `${prefix}/${name}`, (json) => json);
    if (arrayMetadata !== undefined) metadata[name] = arrayMetadata;
  }
  return { ...group, consolidated_metadata: { kind: "inline", must_understand: false, metadata } };
}

const arraySchema = z
  .object({
    zarr_format: z.literal(3),
    node_type: z.literal("array"),
    shape: z.array(z.int().min(0)).min(1),
    data_type: z.enum(DATA_TYPES),
    chunk_grid: z.object({
      name: z.literal("regular"),
      configuration: z.object({ chunk_shape: z.array(z.int().min(1)).min(1) }),
    }),
    chunk_key_encoding: z.object({
      name: z.literal("default"),
      configuration: z.object({ separator: z.literal("/") }),
    }),
    codecs: z.tuple([
      z.object({ name: z.literal("bytes"), configuration: z.object({ endian: z.literal("little") }) }),
      z.object({ name: z.literal("zstd"), configuration: z.object({ level: z.int() }) }),
      z.object({ name: z.literal("crc32c") }),
    ]),
    dimension_names: z.array(z.string()),
    attributes: z.record(z.string(), z.unknown()).default({}),
  })
  .refine(
    ({ shape, chunk_grid: { configuration } }) =>
      configuration.chunk_shape.slice(1).join() === shape.slice(1).join(),
    "chunks along other axes than the first",
  );

const groupSchema = z.object({
  zarr_format: z.literal(3),
  node_type: z.literal("group"),
  attributes: z.record(z.string(), z.unknown()).default({}),
});

/** Undoes {@link arrayMetadata}. Throws ZodError for an array of any other make. */
function parseArray(json: unknown): ArraySpec {
  const array = arraySchema.parse(json);
  return {
    shape: array.shape,
    dtype: array.data_type,
    chunkRows: array.chunk_grid.configuration.chunk_shape[0] as number,
    dimensionNames: array.dimension_names,
    attributes: array.attributes,
    level: array.codecs[1].configuration.level,
  };
}

export async function writeMetadata(
  store: ObjectStore,
  prefix: string,
  metadata: unknown,
  ifAbsent = false,
): Promise<boolean> {
  return store.put(`${prefix}/zarr.json`, new TextEncoder().encode(JSON.stringify(metadata, null, 1)), {
    ifAbsent,
  });
}

/** The attributes of a group; undefined when there is none. @throws FarmError `data` for anything else under that key */
export function readGroup(store: ObjectStore, prefix: string): Promise<Record<string, unknown> | undefined> {
  return readMetadata(store, prefix, (json) => groupSchema.parse(json).attributes);
}

/** Undefined when there is none. @throws FarmError `data` for anything but an array as {@link arrayMetadata} describes it */
export function readArraySpec(store: ObjectStore, prefix: string): Promise<ArraySpec | undefined> {
  return readMetadata(store, prefix, parseArray);
}

async function readMetadata<T>(
  store: ObjectStore,
  prefix: string,
  parse: (json: unknown) => T,
): Promise<T | undefined> {
  const key = `${prefix}/zarr.json`;
  const bytes = await store.get(key);
  if (bytes === undefined) return undefined;
  try {
    return parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new FarmError(
      "damaged",
      `${key}: ${describe(error)}`,
      "it is damaged, or another program wrote it",
      {
        cause: error,
      },
    );
  }
}

/** One line about why a document did not parse. */
export function describe(error: unknown): string {
  if (error instanceof z.ZodError) {
    const issue = error.issues[0];
    const path = issue?.path.join(".") ?? "";
    return path === "" ? `${issue?.message}` : `${path}: ${issue?.message}`;
  }
  return error instanceof Error ? error.message : String(error);
}
