import { checkName, FarmError, shardCount } from "@loc2vec/core";
import { createEmbedder } from "@loc2vec/encoder";
import { createArray, listShards, type ObjectStore, openDataset, writeGroup } from "@loc2vec/shards";
import { lastCheckpoint, modelPrefix } from "./model.ts";
import { openTiles } from "./tiles.ts";

/** Tiles that are read, and embedded, at a time. */
const BATCH = 128;
/** Such batches that are read while others are embedded. */
const AHEAD = 2;

export interface EmbedOptions {
  store: ObjectStore;
  dataset: string;
  model: string;
  signal?: AbortSignal | undefined;
  progress?: (done: number, total: number) => void;
}

export interface EmbedResult {
  locations: number;
  /** Length of a vector. */
  size: number;
  /** Of the checkpoint used. */
  step: number;
  /** Where the vectors are: a Zarr v3 group with the array `embedding`, float32 [location, size]. */
  prefix: string;
}

export function embeddingsPrefix(model: string, dataset: string): string {
  return `${modelPrefix(model)}/embeddings/${dataset}`;
}

/**
 * Embeds the anchor of every location of a data set with a model's last checkpoint.
 *
 * @throws FarmError `data` when a shard is missing, or data set and model are of different cartography
 */
export async function embedDataset({
  store,
  dataset: name,
  model,
  signal,
  progress,
}: EmbedOptions): Promise<EmbedResult> {
  checkName("model", model);
  const reader = await openDataset(store, name);
  const { dataset } = reader;
  const { step, settings, weights } = await lastCheckpoint(store, model);
  if (settings.dataset.source.styleHash !== dataset.source.styleHash) {
    throw new FarmError(
      "data",
      `model ${model} was trained on tiles of another cartography than data set ${name} has`,
      "embed a data set that was rendered with the same profile",
    );
  }
  const shards = await listShards(store, dataset);
  const missing = Array.from({ length: shardCount(dataset) }, (_, shard) => shard).filter(
    (shard) => !shards.has(shard),
  );
  if (missing.length > 0) {
    throw new FarmError(
      "data",
      `data set ${name}: ${missing.length} of ${shardCount(dataset)} shards are not rendered, e.g. shard ${missing[0]}`,
      "pnpm farm:enqueue and farm:work render them",
    );
  }
  const embedder = await createEmbedder(settings.architecture, weights);
  const { locations } = dataset;
  const tiles = openTiles(reader);
  const read = (first: number): Promise<Uint8Array[]> => {
    const rows = Array.from({ length: Math.min(BATCH, locations - first) }, (_, i) => ({
      location: first + i,
      sample: 0,
    }));
    const batch = tiles.read(rows);
    batch.catch(() => {}); // awaited at its turn
    return batch;
  };
  const prefix = embeddingsPrefix(model, name);
  const size = settings.architecture.embedding;
  const array = createArray(store, `${prefix}/embedding`, {
    shape: [locations, size],
    dtype: "float32",
    dimensionNames: ["location", "feature"],
  });
  const ahead: Promise<Uint8Array[]>[] = [];
  try {
    for (let asked = 0; asked < AHEAD * BATCH && asked < locations; asked += BATCH) ahead.push(read(asked));
    let values = new Float32Array(0);
    for (let first = 0; first < locations; first += BATCH) {
      signal?.throwIfAborted();
      const next = first + AHEAD * BATCH;
      if (next < locations) ahead.push(read(next));
      const row = first % array.chunkRows;
      if (row === 0) values = new Float32Array(size * Math.min(array.chunkRows, locations - first));
      values.set(await embedder.embed((await ahead.shift()) ?? []), row * size);
      const end = Math.min(first + BATCH, locations);
      if (size * (end - first + row) === values.length) {
        await array.chunk(Math.floor(first / array.chunkRows), values);
      }
      progress?.(end, locations);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await array.finish();
    await writeGroup(store, prefix, { dataset: name, model, step, attribution: dataset.attribution });
  } catch (error) {
    if (signal?.aborted)
      throw new FarmError("interrupted", `embedding of ${name} was interrupted`, "run it again");
    throw error;
  } finally {
    await embedder.dispose();
  }
  return { locations, size, step, prefix };
}
