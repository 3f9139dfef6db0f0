import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Dataset, type Location, shardCount, shardRange } from "@loc2vec/core";
import {
  createEmbedder,
  createEncoder,
  encodeOnnx,
  encodeSafetensors,
  initialWeights,
  LOC2VEC,
} from "@loc2vec/encoder";
import { describeDataset, type FarmContext, machine } from "@loc2vec/farm";
import { sampleLocations } from "@loc2vec/gis";
import { createDataset, type ObjectStore, openStore, writeShard } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { embedDataset, train } from "@loc2vec/trainer";
import { defineBench, type MapOptions, mapOption, repeatsOption } from "../bench.ts";
import { measure, withFolder } from "../harness.ts";
import { withMap } from "../map.ts";
import { runPython, tensorflowPackages } from "../python.ts";

interface EmbedReport {
  tensorflow: string;
  onnxruntime: string;
  keras_images_per_s: number;
  onnx_images_per_s: number;
  keras: number[][];
  onnx: number[][];
}

export const embed = defineBench({
  name: "embed",
  description: "images a second that are embedded, beside Keras and ONNX Runtime, and what is read for it",
  options: (command) => command.addOption(mapOption()).addOption(repeatsOption()),
  measure: (context, { pbf, repeats }: MapOptions & { repeats: number }) =>
    withMap(context, pbf, async ({ databaseUrl, rasterizer, render }) => {
      const sampled = await sampleLocations({ databaseUrl, count: 12, seed: 1 });
      const chosen = { name: "bench", seed: 1, positives: 20, shardLocations: sampled.length };
      const dataset = describeDataset(await context.profile(), rasterizer.source, sampled.length, chosen);
      const tiles = (await render(sampled, dataset.levels)).flat();
      return measureEmbedding(context, { dataset, locations: sampled, tiles }, repeats);
    }),
});

/** A data set and all its tiles, location by location. */
interface EmbedSubject {
  dataset: Dataset;
  locations: readonly Location[];
  tiles: readonly Uint8Array[];
}

/**
 * Images a second through the encoder: ours, with the engine that it chose and with TensorFlow; Keras's on the same
 * TensorFlow, and ONNX Runtime's from Python; and how far their vectors differ. And what embedding a data set reads of it.
 */
async function measureEmbedding(
  context: FarmContext,
  subject: EmbedSubject,
  repeats: number,
): Promise<object> {
  const { tiles } = subject;
  const tensorflow = await loadTensorflow();
  const weights = initialWeights(LOC2VEC, 0);
  const unit = { unit: "images", count: tiles.length, repeats };
  const embedder = await createEmbedder(LOC2VEC, weights);
  const vectors = await embedder.embed(tiles);
  const ours = await measure(unit, async () => void (await embedder.embed(tiles)));
  await embedder.dispose();
  const encoder = createEncoder(tensorflow, LOC2VEC, weights);
  const native = await measure(unit, () => void encoder.embed(tiles));
  encoder.dispose();
  const theirs = await withFolder(async (folder) => {
    const [input, onnx, stored] = ["tiles", "encoder.onnx", "weights.safetensors"].map((name) =>
      join(folder, name),
    );
    await writeFile(input as string, Buffer.concat(tiles));
    await writeFile(onnx as string, encodeOnnx(LOC2VEC, weights));
    await writeFile(stored as string, encodeSafetensors(weights));
    return runPython<EmbedReport>(context, tensorflowPackages(tensorflow), "embed.py", {
      tiles: input,
      onnx,
      weights: stored,
      repeats,
    });
  });
  const furthest = (others: readonly (readonly number[])[]): number =>
    Math.max(...others.flat().map((value, i) => Math.abs(value - (vectors[i] as number))));
  const round = (value: number): number => Number(value.toPrecision(4));
  const { keras_images_per_s: keras, onnx_images_per_s: onnx } = theirs;
  return {
    machine: machine(),
    tensorflow: tensorflow.version,
    onnxruntime: theirs.onnxruntime,
    device: tensorflow.device,
    images: tiles.length,
    ours_engine: embedder.engine,
    ours_images_per_s: round(ours.rate),
    ours_tensorflow_images_per_s: round(native.rate),
    keras_images_per_s: round(keras),
    onnx_images_per_s: round(onnx),
    ratio: round(ours.rate / Math.max(keras, onnx)),
    furthest_from_keras: furthest(theirs.keras),
    furthest_from_onnx: furthest(theirs.onnx),
    ...(await measureReading(subject)),
  };
}

/** What is read of the shards of a data set that is embedded, and how long they are. */
async function measureReading({ dataset, locations, tiles }: EmbedSubject): Promise<object> {
  return withFolder(async (folder) => {
    const store = openStore(pathToFileURL(folder).href);
    await createDataset(store, dataset, locations);
    let stored = 0;
    for (let shard = 0; shard < shardCount(dataset); shard++) {
      const { first, end } = shardRange(dataset, shard);
      const own = tiles.slice(first * dataset.samples, end * dataset.samples);
      stored += (await writeShard(store, dataset, shard, own)).bytes;
    }
    const model = {
      store,
      dataset: dataset.name,
      model: "bench",
      steps: 1,
      batch: { locations: 2, pairs: 1 },
    };
    await train({ ...model, minDistanceM: 0, holdout: { share: 0 } });
    const { counted, read } = countReads(store);
    await embedDataset({ store: counted, dataset: dataset.name, model: "bench" });
    const perLocation = (total: number): number => Math.round(total / locations.length);
    return {
      bytes_read_per_location: perLocation(read.bytes),
      bytes_stored_per_location: perLocation(stored),
      requests_per_location: Number((read.requests / locations.length).toFixed(2)),
    };
  });
}

/** The same store; `read` counts what is read of shard objects. */
function countReads(store: ObjectStore): { counted: ObjectStore; read: { bytes: number; requests: number } } {
  const read = { bytes: 0, requests: 0 };
  const count = (key: string, bytes: Uint8Array | undefined): Uint8Array | undefined => {
    if (key.includes("/tiles/c/")) {
      read.bytes += bytes?.length ?? 0;
      read.requests++;
    }
    return bytes;
  };
  const counted: ObjectStore = {
    url: store.url,
    get: async (key) => count(key, await store.get(key)),
    getRange: async (key, range) => count(key, await store.getRange(key, range)),
    put: (key, bytes, options) => store.put(key, bytes, options),
    head: (key) => store.head(key),
    list: (prefix) => store.list(prefix),
    remove: (key) => store.remove(key),
  };
  return { counted, read };
}
