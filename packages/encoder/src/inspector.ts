import { FarmError } from "@loc2vec/core";
import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { backward } from "./backward.ts";
import { engineOf } from "./engine.ts";
import { foldWeights } from "./fold.ts";
import { forward } from "./forward.ts";
import type { LayerSpec } from "./layers/index.ts";
import type { Layer } from "./layers/kind.ts";
import { type Architecture, layersOf, type Turns } from "./layout.ts";
import { inferenceSteps, type Step } from "./steps.ts";
import { turned, unturned } from "./turns.ts";
import type { Weights } from "./weight-arrays.ts";
import { checkWeights } from "./weights.ts";

/** A way from pixels to what a layer makes of them, which can be gone back. */
export interface Look {
  /** What the layer gives after its normalization and activation, float32 [tile, ...shape]. */
  readonly output: Tensor;
  /**
   * The way back, as often as is asked for.
   *
   * @param gradient of some number by `output`, of its shape
   * @returns of that number by the pixels, float32 [tile, y, x, channel]
   */
  back(gradient: Tensor): Tensor;
}

/** Looks into a network as it is outside training: running statistics, no dropout, float32. */
export interface Inspector {
  /** All layers, with the shapes that the architecture's own tiles give them. */
  readonly layers: readonly Layer<LayerSpec>[];
  /**
   * What a layer makes of pixels. Within `tidy`: the tensors that its way back needs live as long as that.
   *
   * @param pixels float32 [tile, y, x, channel], 0 to 255, halved as the architecture says; before a feature map they may be
   *   of any size that the layers can halve
   * @param layer by name, e.g. `conv3`; the embedding is the mean over the architecture's turns
   * @throws FarmError `usage` for a layer that is not there
   */
  look(pixels: Tensor, layer: string): Look;
  /** Frees what it holds in TensorFlow. */
  dispose(): void;
}

/**
 * @throws FarmError `data` for weights that do not fit the architecture; `usage` for a network that makes no sense on such
 *   tiles
 */
export function createInspector(
  tensorflow: Tensorflow,
  architecture: Architecture,
  weights: Weights,
): Inspector {
  const { tf } = tensorflow;
  checkWeights(architecture, weights, "the inspector");
  const layers = layersOf(architecture);
  const folded = foldWeights(tf, layers, weights);
  const engine = engineOf(tensorflow, "float32");
  const operandsOf = ({ layer }: Step): object => folded.get(layer.name) ?? {};
  return {
    layers,
    look: (pixels, name) => {
      const upTo = layers.slice(0, indexOf(layers, name) + 1);
      // Nothing follows the layer: its map is there before any pooling that comes after it.
      const steps = inferenceSteps(upTo);
      const turns: Turns = upTo.length === layers.length ? (architecture.turns ?? 1) : 1;
      const input = turns === 1 ? pixels : tf.concat([...turned(engine, pixels, turns)]);
      const { output, traces } = forward(tensorflow, steps, { tensor: input, type: "float32" }, operandsOf);
      const back = (gradient: Tensor): Tensor =>
        backward(tensorflow, traces, gradient, { input: true, weights: false }).input as Tensor;
      if (turns === 1) return { output, back };
      return {
        output: tf.addN(tf.split(output, turns)).div(turns),
        back: (gradient) => {
          const share = tf.div(gradient, turns);
          return unturned(engine, back(tf.tile(share, [turns, 1])), turns);
        },
      };
    },
    dispose: () => {
      for (const { kernel, bias } of folded.values()) tf.dispose([kernel, bias]);
    },
  };
}

function indexOf(layers: readonly Layer[], name: string): number {
  const at = layers.findIndex((layer) => layer.name === name);
  if (at >= 0) return at;
  throw new FarmError(
    "usage",
    `the network has no layer ${JSON.stringify(name)}`,
    `one of: ${layers.map((layer) => layer.name).join(", ")}`,
  );
}
