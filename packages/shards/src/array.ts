import { FarmError } from "@loc2vec/core";
import { DamagedChunk, DEFAULT_ZSTD_LEVEL, packChunk, unpackChunk } from "./compression.ts";
import { type ArraySpec, arrayMetadata, type DataType, readArraySpec, writeMetadata } from "./metadata.ts";
import type { ObjectStore } from "./store.ts";

/** Small arrays (coordinates, transforms, embeddings) as Zarr v3: plain chunks along the first axis, zstd, crc32c. */

const ARRAYS = { uint8: Uint8Array, float32: Float32Array, float64: Float64Array } as const;

/** Values of an array in C order, in the machine's byte order (which is little-endian wherever Node runs today). */
export type Values<T extends DataType = DataType> = {
  uint8: Uint8Array;
  float32: Float32Array;
  float64: Float64Array;
}[T];

/** Rows per chunk unless said otherwise. */
export const CHUNK_ROWS = 16384;

export interface NewArray<T extends DataType = DataType> {
  /** At least one axis. */
  shape: readonly number[];
  dtype: T;
  /** Rows of the first axis per chunk. Default: 16384, or all when fewer. */
  chunkRows?: number;
  /** One name per axis. */
  dimensionNames: readonly string[];
  attributes?: Readonly<Record<string, unknown>>;
}

export interface StoredArray<T extends DataType = DataType> {
  readonly shape: readonly number[];
  readonly dtype: T;
  readonly chunkRows: number;
  readonly dimensionNames: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
  /**
   * The rows [first, end) of the first axis, in C order.
   *
   * @throws FarmError `data` naming the chunk that is missing or damaged
   */
  rows(first: number, end: number): Promise<Values<T>>;
}

/** Writes chunks one at a time, and the array's metadata, which make the array exist. */
export interface ArrayWriter<T extends DataType> {
  readonly chunkRows: number;
  /** @param values the rows of the chunk in C order: `chunkRows` of them, or what is left at the end */
  chunk(index: number, values: Values<T>): Promise<void>;
  /** Writes the metadata: after the chunks, unless readers are told by something else when all are there. */
  finish(): Promise<void>;
}

export function createArray<T extends DataType>(
  store: ObjectStore,
  prefix: string,
  array: NewArray<T>,
): ArrayWriter<T> {
  const { shape, dtype, dimensionNames, attributes = {} } = array;
  const rows = shape[0] ?? 0;
  const chunkRows = Math.max(1, Math.min(array.chunkRows ?? CHUNK_ROWS, rows));
  const spec: ArraySpec = { shape, dtype, chunkRows, dimensionNames, attributes, level: DEFAULT_ZSTD_LEVEL };
  if (dimensionNames.length !== shape.length) {
    throw new FarmError(
      "internal",
      `array ${prefix}: ${dimensionNames.length} names for ${shape.length} axes`,
    );
  }
  const width = rowWidth(shape);
  return {
    chunkRows,
    async chunk(index, values) {
      const expected = width * Math.min(chunkRows, rows - index * chunkRows);
      if (values.length !== expected) {
        throw new FarmError(
          "internal",
          `array ${prefix}, chunk ${index}: ${values.length} values, not ${expected}`,
        );
      }
      const whole = new ARRAYS[dtype](width * chunkRows); // the last chunk is padded with the fill value
      whole.set(values);
      await store.put(
        chunkKey(prefix, spec, index),
        await packChunk(new Uint8Array(whole.buffer), spec.level),
      );
    },
    async finish() {
      await writeMetadata(store, prefix, arrayMetadata(spec));
    },
  };
}

/** Writes a whole array, its metadata last. `data` in C order. */
export async function writeArray<T extends DataType>(
  store: ObjectStore,
  prefix: string,
  array: NewArray<T> & { data: Values<T> },
): Promise<void> {
  const writer = createArray(store, prefix, array);
  const width = rowWidth(array.shape);
  const rows = array.shape[0] ?? 0;
  if (array.data.length !== rows * width) {
    throw new FarmError("internal", `array ${prefix}: ${array.data.length} values for shape ${array.shape}`);
  }
  for (let first = 0, index = 0; first < rows; first += writer.chunkRows, index++) {
    const values = array.data.subarray(first * width, Math.min(first + writer.chunkRows, rows) * width);
    await writer.chunk(index, values as Values<T>);
  }
  await writer.finish();
}

/**
 * Opens an array that was written as above. Undefined when there is none.
 *
 * @throws FarmError `data` when its metadata is damaged or its type is not `dtype`
 */
export async function openArray<T extends DataType>(
  store: ObjectStore,
  prefix: string,
  dtype: T,
): Promise<StoredArray<T> | undefined> {
  const spec = await readArraySpec(store, prefix);
  if (spec === undefined) return undefined;
  if (spec.dtype !== dtype) {
    throw new FarmError("data", `array ${prefix} in ${store.url}: holds ${spec.dtype}, not ${dtype}`);
  }
  const { shape, chunkRows, dimensionNames, attributes } = spec;
  const total = shape[0] ?? 0;
  const width = rowWidth(shape);
  return {
    shape,
    dtype,
    chunkRows,
    dimensionNames,
    attributes,
    async rows(first, end) {
      if (!(first >= 0 && first <= end && end <= total)) {
        throw new FarmError("internal", `array ${prefix}: rows ${first} to ${end} of ${total}`);
      }
      const result = new ARRAYS[dtype]((end - first) * width) as Values<T>;
      for (let index = Math.floor(first / chunkRows); index * chunkRows < end; index++) {
        const start = index * chunkRows;
        const values = await readChunk(store, prefix, spec, index);
        const from = Math.max(first, start);
        const to = Math.min(end, start + chunkRows);
        result.set(values.subarray((from - start) * width, (to - start) * width), (from - first) * width);
      }
      return result;
    },
  };
}

/**
 * Reads a whole array; undefined when there is none.
 *
 * @throws FarmError `data` naming what is missing or damaged
 */
export async function readArray<T extends DataType>(
  store: ObjectStore,
  prefix: string,
  dtype: T,
): Promise<
  { shape: readonly number[]; data: Values<T>; attributes: Readonly<Record<string, unknown>> } | undefined
> {
  const array = await openArray(store, prefix, dtype);
  if (array === undefined) return undefined;
  return { shape: array.shape, data: await array.rows(0, array.shape[0] ?? 0), attributes: array.attributes };
}

async function readChunk(
  store: ObjectStore,
  prefix: string,
  spec: ArraySpec,
  index: number,
): Promise<Values<DataType>> {
  const key = chunkKey(prefix, spec, index);
  const stored = await store.get(key);
  if (stored === undefined)
    throw new FarmError("damaged", `${key} in ${store.url}: the chunk is missing`, REWRITE);
  const Values = ARRAYS[spec.dtype];
  const length = rowWidth(spec.shape) * spec.chunkRows;
  try {
    const raw = await unpackChunk(stored, length * Values.BYTES_PER_ELEMENT);
    // a copy: the bytes may begin anywhere in a pooled buffer, and values must be aligned
    return new Values(raw.slice().buffer);
  } catch (error) {
    if (!(error instanceof DamagedChunk)) throw error;
    throw new FarmError(
      "damaged",
      `${key} in ${store.url}: the chunk is damaged: ${error.message}`,
      REWRITE,
      {
        cause: error,
      },
    );
  }
}

const REWRITE = "remove the array's folder and write it again";

function chunkKey(prefix: string, spec: ArraySpec, index: number): string {
  return [prefix, "c", index, ...spec.shape.slice(1).map(() => 0)].join("/");
}

/** Values per row of the first axis. */
function rowWidth(shape: readonly number[]): number {
  return shape.slice(1).reduce((product, length) => product * length, 1);
}
