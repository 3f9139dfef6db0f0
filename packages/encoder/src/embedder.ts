import { errorMessage, FarmError } from "@loc2vec/core";
import { bindsCuda, loadTensorflow } from "@loc2vec/tensorflow";
import { embeddingSize } from "./architecture.ts";
import { createEncoder } from "./encoder.ts";
import type { Architecture } from "./layout.ts";
import { encodeOnnx } from "./onnx.ts";
import { concatTiles } from "./tiles.ts";
import type { Weights } from "./weight-arrays.ts";

/** Tiles, or turns of them, that pass ONNX Runtime at a time: more are no faster, and take 7 MiB each. */
const AT_A_TIME = 32;
/** ONNX Runtime's threads sleep while they wait for one another: as fast on an idle machine, and faster beside workers and PostgreSQL. */
const OPTIONS = { extra: { session: { intra_op: { allow_spinning: "0" } } } };

/** A trained encoder, for embedding alone. */
export interface Embedder {
  /** What computes, e.g. `ONNX Runtime 1.30.0`. */
  readonly engine: string;
  /**
   * Embeds tiles with running statistics and without dropout. While it computes, JavaScript waits.
   *
   * @param tiles planar uint8 [channel, y, x], each
   * @returns float32 [tiles, embedding]
   * @throws FarmError `data` for a tile of another size
   */
  embed(tiles: readonly Uint8Array[]): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/**
 * An encoder for embedding alone: TensorFlow where it has a GPU, else ONNX Runtime, which on a CPU is faster as it keeps
 * feature maps in blocks of channels and computes what follows a convolution inside it. TensorFlow is not loaded then,
 * and need not be set up.
 *
 * @throws FarmError `data` for weights that do not fit the architecture; `missing` when the engine does not load
 */
export async function createEmbedder(architecture: Architecture, weights: Weights): Promise<Embedder> {
  if (bindsCuda()) {
    const tensorflow = await loadTensorflow();
    if (tensorflow.device === "GPU") {
      const encoder = createEncoder(tensorflow, architecture, weights);
      return {
        engine: `TensorFlow ${tensorflow.version}`,
        embed: async (tiles) => encoder.embed(tiles),
        dispose: async () => encoder.dispose(),
      };
    }
  }
  const { InferenceSession, Tensor, env } = await import("onnxruntime-node").catch((error: unknown) => {
    throw new FarmError("missing", `ONNX Runtime does not load: ${errorMessage(error)}`, "npm run setup", {
      cause: error,
    });
  });
  const session = await InferenceSession.create(encodeOnnx(architecture, weights), OPTIONS);
  const { channels, pixels, turns = 1 } = architecture;
  const atATime = Math.max(1, AT_A_TIME / turns);
  const size = embeddingSize(architecture);
  return {
    engine: `ONNX Runtime ${env.versions.node}`,
    embed: async (tiles) => {
      const vectors = new Float32Array(tiles.length * size);
      for (let first = 0; first < tiles.length; first += atATime) {
        const together = tiles.slice(first, first + atATime);
        const shape = [together.length, channels, pixels, pixels];
        const { embedding } = await session.run({
          tiles: new Tensor("uint8", concatTiles({ channels, pixels }, together), shape),
        });
        vectors.set(embedding?.data as Float32Array, first * size);
      }
      return vectors;
    },
    dispose: () => session.release(),
  };
}
