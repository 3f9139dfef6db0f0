import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { embeddingSize } from "./architecture.ts";
import { engineOf } from "./engine.ts";
import type { Folded } from "./fold.ts";
import { toInput } from "./input.ts";
import { kindOf } from "./layers/index.ts";
import type { Architecture } from "./layout.ts";
import { partOf } from "./parts/index.ts";
import { computes, type Step } from "./steps.ts";
import { concatTiles } from "./tiles.ts";
import { turned } from "./turns.ts";

/** Tiles that are embedded at a time: fewer keep the cores less busy, more drive feature maps (2 MiB a tile) out of the caches. */
const AT_A_TIME = 64;

/**
 * Embeds tiles with running statistics and without dropout, as the mean over the architecture's turns.
 *
 * @param steps those outside training
 * @param tiles planar uint8 [channel, y, x], each
 * @returns float32 [tiles, embedding]
 * @throws FarmError `data` for a tile of another size
 */
export function infer(
  tensorflow: Tensorflow,
  architecture: Architecture,
  steps: readonly Step[],
  folded: ReadonlyMap<string, Folded>,
  tiles: readonly Uint8Array[],
): Float32Array {
  const size = embeddingSize(architecture);
  const { turns = 1 } = architecture;
  const engine = engineOf(tensorflow, "float32");
  const vectors = new Float32Array(tiles.length * size);
  for (let first = 0; first < tiles.length; first += AT_A_TIME) {
    const together = tiles.slice(first, first + AT_A_TIME);
    tensorflow.tf.tidy(() => {
      const bytes = concatTiles(architecture, together);
      const input = toInput(tensorflow, architecture, bytes, together.length, "float32");
      let sum: Tensor | undefined;
      for (const turn of turned(engine, input, turns)) {
        const y = inferSteps(tensorflow, steps, folded, turn);
        sum = sum === undefined ? y : tensorflow.tf.add(sum, y);
      }
      const mean = turns === 1 ? (sum as Tensor) : tensorflow.tf.div(sum as Tensor, turns);
      vectors.set(mean.dataSync() as Float32Array, first * size);
    });
  }
  return vectors;
}

/** The way from what tiles bring, 0 to 255, [tile, ...shape], to what the last step gives. */
export function inferSteps(
  tensorflow: Tensorflow,
  steps: readonly Step[],
  folded: ReadonlyMap<string, Folded>,
  input: Tensor,
): Tensor {
  const engine = engineOf(tensorflow, "float32");
  const outputs = new Map<string, Tensor>();
  let x = input;
  for (const step of steps) {
    const { layer } = step;
    if (!computes(step)) {
      outputs.set(layer.name, x);
      continue;
    }
    const operands = folded.get(layer.name) as Folded;
    const also = layer.also.map((name) => outputs.get(name) as Tensor);
    x =
      step.part === "layer"
        ? kindOf(layer.spec).infer(engine, x, { ...operands, also }, layer)
        : partOf(step.part).forward(engine, x, operands, layer).y;
  }
  return x;
}
