import { checkName, FarmError, shardCount } from "@loc2vec/core";
import { createEncoder } from "@loc2vec/encoder";
import {
  CHUNK_ROWS,
  createArray,
  listShards,
  type ObjectStore,
  openDataset,
  writeGroup,
} from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { lastCheckpoint, modelPrefix } from "./model.ts";
import { openTiles } from "./tiles.ts";

/** Tiles that pass the network at a time. */
const BATCH = 128;

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
  if (settings.styleHash !== dataset.styleHash) {
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
  const tensorflow = await loadTensorflow();
  const encoder = createEncoder(tensorflow, settings.architecture, weights);
  const tiles = openTiles(reader);
  const prefix = embeddingsPrefix(model, name);
  const size = settings.architecture.embedding;
  const array = createArray(store, `${prefix}/embedding`, {
    shape: [dataset.locations, size],
    dtype: "float32",
    dimensionNames: ["location", "feature"],
  });
  try {
    for (let chunk = 0; chunk * CHUNK_ROWS < dataset.locations; chunk++) {
      const begin = chunk * array.chunkRows;
      const values = new Float32Array(size * Math.min(array.chunkRows, dataset.locations - begin));
      for (let first = begin; first < begin + values.length / size; first += BATCH) {
        signal?.throwIfAborted();
        const end = Math.min(first + BATCH, begin + values.length / size);
        const rows = Array.from({ length: end - first }, (_, i) => {
          const location = first + i;
          return { shard: Math.floor(location / dataset.shardLocations), location, sample: 0 };
        });
        values.set(encoder.embed(await tiles.read(rows)), (first - begin) * size);
        progress?.(end, dataset.locations);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await array.chunk(chunk, values);
    }
    await array.finish();
    await writeGroup(store, prefix, { dataset: name, model, step, attribution: dataset.attribution });
  } catch (error) {
    if (signal?.aborted)
      throw new FarmError("interrupted", `embedding of ${name} was interrupted`, "run it again");
    throw error;
  } finally {
    encoder.dispose();
  }
  return { locations: dataset.locations, size, step, prefix };
}
