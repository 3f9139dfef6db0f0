import { type CheckpointChoice, checkName, FarmError, shardCount } from "@loc2vec/core";
import { createEmbedder, embeddingSize } from "@loc2vec/encoder";
import {
  createArray,
  type DatasetReader,
  listShards,
  type ObjectStore,
  openArray,
  openDataset,
  type StoredArray,
  writeGroup,
} from "@loc2vec/shards";
import { openCheckpoint } from "./best.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { acquireLease } from "./lease.ts";
import { modelPrefix } from "./model.ts";
import { checkCartography } from "./settings.ts";
import { openTiles } from "./tiles.ts";

/** Tiles that are read, and embedded, at a time. */
const BATCH = 128;
/** Such batches that are read while others are embedded. */
const AHEAD = 2;
/** Locations of a chunk of the result: what is lost, at most, when it is stopped. */
const CHUNK_LOCATIONS = 4096;
/** Data sets of up to so many samples per location are read by whole shards: a request less for each anchor, for at most four times the bytes. */
const WHOLE_SAMPLES = 4;
/** Chunks that are looked through at a time. */
const CHECKED = 8;

export interface EmbedOptions {
  store: ObjectStore;
  dataset: string;
  model: string;
  /** Which of the model's checkpoints. Default `best`. */
  checkpoint?: CheckpointChoice | undefined;
  /** How long to wait for another embedding of the same to end, or to be found dead, milliseconds. Default 0. */
  busyMs?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: (done: number, total: number) => void;
  /** Something that it goes on with: it waits for another embedding. */
  onWarning?: ((line: string) => void) | undefined;
}

export interface EmbedResult {
  locations: number;
  /** How many of these an earlier call had embedded. */
  kept: number;
  /** Length of a vector. */
  size: number;
  /** Step of the checkpoint used. */
  step: number;
  /** Where the vectors are: a Zarr v3 group with the array `embedding`, float32 [location, size]. */
  prefix: string;
}

function embeddingsPrefix(model: string, dataset: string): string {
  return `${modelPrefix(model)}/embeddings/${dataset}`;
}

/**
 * Embeds the anchor of every location of a data set with a model's best checkpoint, or another one. Of each shard it reads
 * the index and the anchors alone. What an earlier call had embedded with the same checkpoint and data set is kept.
 *
 * @throws FarmError `shards-missing`; `cartography-mismatch` between data set and model; `lease-held` when another process
 *   embeds the same
 */
export async function embedDataset(options: EmbedOptions): Promise<EmbedResult> {
  const { store, dataset: name, model, checkpoint: which, busyMs, signal } = options;
  checkName("model", model);
  const reader = await openDataset(store, name);
  const { dataset } = reader;
  const checkpoint = await openCheckpoint(store, model, which);
  checkCartography(model, checkpoint.settings, dataset);
  const shards = await listShards(store, dataset);
  const missing = Array.from({ length: shardCount(dataset) }, (_, shard) => shard).filter(
    (shard) => !shards.has(shard),
  );
  if (missing.length > 0) {
    throw new FarmError(
      "shards-missing",
      `data set ${name}: ${missing.length} of ${shardCount(dataset)} shards are not rendered, e.g. shard ${missing[0]}`,
      "pnpm farm:enqueue and farm:work render them",
    );
  }
  const lease = await acquireLease(store, `${modelPrefix(model)}/embeddings-lease/${name}`, {
    ...{ what: `embeddings of data set ${name} by model ${model}`, purpose: "embedding" },
    ...{ waitMs: busyMs, signal, onWait: options.onWarning },
  });
  try {
    return await embedAnchors(options, reader, checkpoint, lease.confirm);
  } catch (error) {
    if (signal?.aborted)
      throw new FarmError(
        "interrupted",
        `embedding of ${name} was interrupted`,
        "run it again: what was embedded is kept",
      );
    throw error;
  } finally {
    await lease.release();
  }
}

/** @param confirm throws unless nobody else embeds the same */
async function embedAnchors(
  { store, model, signal, progress }: EmbedOptions,
  reader: DatasetReader,
  { step, settings, weights, weightsSha256 }: Checkpoint,
  confirm: () => Promise<void>,
): Promise<EmbedResult> {
  const { dataset } = reader;
  const { locations, attribution } = dataset;
  const size = embeddingSize(settings.architecture);
  const prefix = embeddingsPrefix(model, dataset.name);
  const from = {
    dataset: dataset.name,
    dataset_identity: reader.identity,
    model,
    step,
    weights_sha256: weightsSha256,
  };
  const made = { ...from, attribution };
  const array = createArray(store, `${prefix}/embedding`, {
    shape: [locations, size],
    dtype: "float32",
    chunkRows: CHUNK_LOCATIONS,
    dimensionNames: ["location", "feature"],
    attributes: made,
  });
  const chunks = rangesOf(0, locations, array.chunkRows);
  await confirm();
  const before = await openBefore(store, prefix, made, [locations, size], array.chunkRows);
  const todo = before === undefined ? chunks : await findMissing(before, chunks);
  if (before === undefined) {
    await clear(store, prefix);
    // The array's attributes say what its chunks are of; the group, written last, that all are there.
    await array.finish();
  }
  const kept = locations - todo.reduce((sum, { first, end }) => sum + end - first, 0);
  const result = { locations, kept, size, step, prefix };
  let done = kept;
  progress?.(done, locations);
  if (todo.length > 0) {
    const tiles = openTiles(reader, { whole: dataset.samples <= WHOLE_SAMPLES });
    const read = ({ first, end }: Range): Promise<Uint8Array[]> => {
      const rows = Array.from({ length: end - first }, (_, i) => ({ location: first + i, sample: 0 }));
      const batch = tiles.read(rows);
      batch.catch(() => {}); // awaited at its turn
      return batch;
    };
    const batches = todo.flatMap((chunk) =>
      rangesOf(chunk.first, chunk.end, BATCH).map((range) => ({ ...range, chunk })),
    );
    const embedder = await createEmbedder(settings.architecture, weights);
    try {
      const ahead = batches.slice(0, AHEAD).map(read);
      let values = new Float32Array(0);
      for (const [at, { first, end, chunk }] of batches.entries()) {
        signal?.throwIfAborted();
        const next = batches[at + AHEAD];
        if (next !== undefined) ahead.push(read(next));
        if (first === chunk.first) values = new Float32Array(size * (chunk.end - chunk.first));
        values.set(await embedder.embed((await ahead.shift()) ?? []), size * (first - chunk.first));
        if (end === chunk.end) {
          await confirm();
          await array.chunk(chunk.first / array.chunkRows, values);
        }
        done += end - first;
        progress?.(done, locations);
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      await embedder.dispose();
    }
  }
  await confirm();
  await writeGroup(store, prefix, made);
  return result;
}

/** Locations [first, end). */
interface Range {
  first: number;
  end: number;
}

/** Cuts [first, end) into pieces. */
function rangesOf(first: number, end: number, length: number): Range[] {
  return Array.from({ length: Math.ceil((end - first) / length) }, (_, i) => ({
    first: first + i * length,
    end: Math.min(end, first + (i + 1) * length),
  }));
}

/** The array that an earlier call began, if it is of the same making; undefined for any other, and for a damaged one. */
async function openBefore(
  store: ObjectStore,
  prefix: string,
  made: object,
  shape: readonly number[],
  chunkRows: number,
): Promise<StoredArray<"float32"> | undefined> {
  const array = await openArray(store, `${prefix}/embedding`, "float32").catch(undefinedIfDamaged);
  if (array === undefined) return undefined;
  const same =
    JSON.stringify(array.attributes) === JSON.stringify(made) &&
    array.shape.join() === shape.join() &&
    array.chunkRows === chunkRows;
  return same ? array : undefined;
}

/** The chunks that are not there, or damaged. */
async function findMissing(array: StoredArray<"float32">, chunks: readonly Range[]): Promise<Range[]> {
  const missing: Range[] = [];
  for (let at = 0; at < chunks.length; at += CHECKED) {
    const block = chunks.slice(at, at + CHECKED);
    const rows = await Promise.all(
      block.map(({ first, end }) => array.rows(first, end).catch(undefinedIfDamaged)),
    );
    missing.push(...block.filter((_, i) => rows[i] === undefined));
  }
  return missing;
}

/** Removes embeddings of another making: first what says that they are there. */
async function clear(store: ObjectStore, prefix: string): Promise<void> {
  await store.remove(`${prefix}/zarr.json`);
  await store.remove(`${prefix}/embedding/zarr.json`);
  for await (const key of store.list(`${prefix}/embedding/`)) await store.remove(key);
}

function undefinedIfDamaged(error: unknown): undefined {
  if (!(error instanceof FarmError && error.kind === "data")) throw error;
  return undefined;
}
