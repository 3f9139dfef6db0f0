import {
  type Completion,
  type Dataset,
  errorMessage,
  FarmError,
  type ShardResult,
  shardCount,
} from "@loc2vec/core";
import { CHUNK_ROWS, openArray, readArray, writeArray } from "./array.ts";
import { datasetPrefix, inspectShard, type ShardFacts } from "./dataset.ts";
import { writeLines } from "./lines.ts";
import { consolidate, type DataType, groupMetadata, readGroup, writeMetadata } from "./metadata.ts";
import { listQuarantine, readQuarantine } from "./quarantine.ts";
import type { ObjectStore } from "./store.ts";

/** Shards that are read at a time: enough to hide the way to S3, little enough for memory. */
const READING = 8;

/** The arrays of a data set beside its tiles; the last ones of a complete one, and where there are any. */
const ARRAYS: Readonly<Record<string, DataType>> = {
  lon: "float64",
  lat: "float64",
  kind: "uint8",
  rotation: "float32",
  offset: "float32",
  labels: "uint8",
  shard_bytes: "float64",
  shard_sha256: "uint8",
  quarantine: "uint8",
};
const REQUIRED = ["lon", "lat", "kind", "rotation", "offset"];

/** What is expected of a shard: as it was written, or as the complete data set says. */
export type ShardDigest = Pick<ShardResult, "bytes" | "sha256">;

export type ShardFinding =
  | ({ shard: number; state: "whole" } & ShardFacts)
  | { shard: number; state: "missing" }
  | { shard: number; state: "damaged"; reason: string };

export interface CheckOptions {
  /** By shard; of others the checksums within the object alone decide. */
  expected?: ReadonlyMap<number, ShardDigest>;
  signal?: AbortSignal | undefined;
  onShard?: (done: number, total: number) => void;
}

/** Reads every shard of a data set and compares all checksums. In order of the shards. */
export async function* checkShards(
  store: ObjectStore,
  dataset: Dataset,
  { expected, signal, onShard }: CheckOptions = {},
): AsyncGenerator<ShardFinding> {
  const total = shardCount(dataset);
  const ahead: Promise<ShardFinding>[] = [];
  let done = 0;
  for (let shard = 0; shard < total || ahead.length > 0; shard++) {
    signal?.throwIfAborted();
    if (shard < total) {
      const next = checkOne(store, dataset, shard, expected?.get(shard));
      next.catch(() => {}); // awaited below, unless another one throws before
      ahead.push(next);
      if (ahead.length < READING && shard + 1 < total) continue;
    }
    const finding = (await ahead.shift()) as ShardFinding;
    onShard?.(++done, total);
    yield finding;
  }
}

async function checkOne(
  store: ObjectStore,
  dataset: Dataset,
  shard: number,
  expected: ShardDigest | undefined,
): Promise<ShardFinding> {
  try {
    const facts = await inspectShard(store, dataset, shard);
    if (facts === undefined) return { shard, state: "missing" };
    if (expected !== undefined && facts.sha256 !== expected.sha256) {
      const reason = `sha256 ${facts.sha256} (${facts.bytes} bytes), not ${expected.sha256} (${expected.bytes} bytes)`;
      return { shard, state: "damaged", reason };
    }
    return { shard, state: "whole", ...facts };
  } catch (error) {
    if (error instanceof FarmError && error.kind === "data") {
      return { shard, state: "damaged", reason: errorMessage(error) };
    }
    throw error;
  }
}

/**
 * Marks a data set complete: writes the size and checksum of each shard as arrays `shard_bytes` and `shard_sha256`, what
 * is in quarantine as `quarantine`, and into the group's metadata the sums, and the metadata of all its arrays
 * (zarr-python's inline consolidated metadata: one request opens it). Every byte follows from the data set, so doing it again changes nothing.
 *
 * @param shards size and SHA-256 of all shards, in order
 */
export async function completeDataset(
  store: ObjectStore,
  dataset: Dataset,
  shards: readonly ShardFacts[],
): Promise<Completion> {
  const prefix = datasetPrefix(dataset.name);
  const total = shardCount(dataset);
  if (shards.length !== total) {
    throw new FarmError("internal", `data set ${dataset.name}: ${shards.length} shards, not ${total}`);
  }
  const lines: [number, string][] = [];
  for (const shard of await listQuarantine(store, dataset.name)) {
    for (const { location, reason } of await readQuarantine(store, dataset, shard))
      lines.push([location, reason]);
  }
  const completion: Completion = { shards: total, tiles: 0, empty: 0, bytes: 0, quarantined: lines.length };
  const sizes = new Float64Array(total);
  const digests = new Uint8Array(32 * total);
  for (const [shard, { tiles, empty, bytes, sha256 }] of shards.entries()) {
    completion.tiles += tiles;
    completion.empty += empty;
    completion.bytes += bytes;
    sizes[shard] = bytes;
    digests.set(Buffer.from(sha256, "hex"), 32 * shard);
  }
  await writeArray(store, `${prefix}/shard_bytes`, {
    shape: [total],
    dtype: "float64",
    dimensionNames: ["shard"],
    attributes: { units: "B" },
    data: sizes,
  });
  await writeArray(store, `${prefix}/shard_sha256`, {
    shape: [total, 32],
    dtype: "uint8",
    dimensionNames: ["shard", "digest_byte"],
    data: digests,
  });
  if (lines.length > 0) await writeLines(store, `${prefix}/quarantine`, "quarantine_byte", lines);
  const attributes = await readGroup(store, prefix);
  if (attributes === undefined) {
    throw new FarmError(
      "dataset-missing",
      `data set ${dataset.name} has gone from ${store.url}`,
      "pnpm farm:enqueue",
    );
  }
  const group = groupMetadata({ ...attributes, complete: completion });
  const arrays = Object.keys(ARRAYS).sort();
  await writeMetadata(store, prefix, await consolidate(store, prefix, group, [...arrays, "tiles"]));
  return completion;
}

/** Reads all arrays of a data set but its tiles. @returns of each that is damaged, why */
export async function checkArrays(
  store: ObjectStore,
  dataset: Dataset,
): Promise<{ array: string; reason: string }[]> {
  const findings: { array: string; reason: string }[] = [];
  for (const [array, dtype] of Object.entries(ARRAYS)) {
    try {
      const opened = await openArray(store, `${datasetPrefix(dataset.name)}/${array}`, dtype);
      const rows = opened?.shape[0] ?? 0;
      for (let first = 0; first < rows; first += CHUNK_ROWS)
        await opened?.rows(first, Math.min(first + CHUNK_ROWS, rows));
      if (opened === undefined && REQUIRED.includes(array)) findings.push({ array, reason: "missing" });
    } catch (error) {
      if (!(error instanceof FarmError && error.kind === "data")) throw error;
      findings.push({ array, reason: error.message });
    }
  }
  return findings;
}

/** What a complete data set says of its shards; undefined of one that is not complete. @throws FarmError `data` when that is damaged */
export async function readDigests(
  store: ObjectStore,
  { name }: Pick<Dataset, "name">,
): Promise<Map<number, ShardDigest> | undefined> {
  const prefix = datasetPrefix(name);
  const [sizes, digests] = await Promise.all([
    readArray(store, `${prefix}/shard_bytes`, "float64"),
    readArray(store, `${prefix}/shard_sha256`, "uint8"),
  ]);
  if (sizes === undefined || digests === undefined) return undefined;
  return new Map(
    Array.from(sizes.data, (bytes, shard) => [
      shard,
      { bytes, sha256: Buffer.from(digests.data.subarray(32 * shard, 32 * shard + 32)).toString("hex") },
    ]),
  );
}
