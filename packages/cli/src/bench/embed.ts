import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  createEmbedder,
  createEncoder,
  encodeOnnx,
  encodeSafetensors,
  initialWeights,
  LOC2VEC,
} from "@loc2vec/encoder";
import { loadTensorflow } from "@loc2vec/tensorflow";
import type { Context } from "../context.ts";
import { machine, measure } from "./harness.ts";
import { runPython, withFolder } from "./python.ts";

interface EmbedReport {
  tensorflow: string;
  onnxruntime: string;
  keras_images_per_s: number;
  onnx_images_per_s: number;
  keras: number[][];
  onnx: number[][];
}

/**
 * Images a second through the encoder: ours, with the engine that it chose and with TensorFlow; Keras's on the same
 * TensorFlow, and ONNX Runtime's from Python; and how far their vectors differ.
 */
export async function embedBench(
  context: Context,
  tiles: readonly Uint8Array[],
  repeats: number,
): Promise<object> {
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
    return runPython<EmbedReport>(context, tensorflow, "embed.py", {
      tiles: input,
      onnx,
      weights: stored,
      repeats,
    });
  });
  const furthest = (found: readonly (readonly number[])[]): number =>
    Math.max(...found.flat().map((value, i) => Math.abs(value - (vectors[i] as number))));
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
  };
}
