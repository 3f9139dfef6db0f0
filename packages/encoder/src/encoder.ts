import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { backward } from "./backward.ts";
import { type Dropout, drawMask } from "./dropout.ts";
import { convert } from "./engine.ts";
import { type Folded, foldWeights } from "./fold.ts";
import { forward, type Trace } from "./forward.ts";
import { infer } from "./infer.ts";
import { LARGEST_BYTE, toInput } from "./input.ts";
import { isMap } from "./layers/shape.ts";
import { type Architecture, layersOf } from "./layout.ts";
import { checkedPrecision, type Precision } from "./precision.ts";
import { updateStatistics } from "./statistics.ts";
import { inferenceSteps, type Step, trainingSteps } from "./steps.ts";
import { concatTiles } from "./tiles.ts";
import type { WeightArray, Weights } from "./weight-arrays.ts";
import { checkWeights } from "./weights.ts";

/** A mini-batch to train on. */
export interface TrainBatch {
  /** Planar uint8 [channel, y, x], each. */
  tiles: readonly Uint8Array[];
  /** 1 or 0 per tile and channel, [tiles, channels]: which channels are on. */
  channelsOn: Uint8Array;
  /** Keys of the draws of dropout: the same keys, the same draws. */
  seed: number;
  /** From 1. */
  step: number;
  dropout: Dropout;
  /** How often tiles are halved; default: as the architecture says. Another is for networks that tiles of any size can pass. */
  halvings?: number;
}

/** What a training step is made of. */
export interface Gradients {
  /** By name of the weight; float32, in C order. */
  gradients: Map<string, Float32Array>;
  /** Running means and variances, brought up to date with this mini-batch. */
  statistics: Map<string, WeightArray>;
}

export interface EncoderOptions {
  /** Default: `float32`. */
  precision?: Precision;
}

export interface Encoder {
  readonly architecture: Architecture;
  /** What training computes in; embedding is float32 always. */
  readonly precision: "float32" | "mixed";
  /** In force. */
  readonly weights: Weights;
  /**
   * Embeds tiles with running statistics and without dropout, as the mean over the architecture's turns.
   *
   * @param tiles planar uint8 [channel, y, x], each
   * @returns float32 [tiles, embedding]
   * @throws FarmError `data` for a tile of another size
   */
  embed(tiles: readonly Uint8Array[]): Float32Array;
  /**
   * One forward and backward pass.
   *
   * @param gradientOf from embeddings, float32 [tiles, embedding], to the gradient of the loss by them
   * @throws FarmError `data` for a tile of another size
   */
  gradients(batch: TrainBatch, gradientOf: (embeddings: Float32Array) => Float32Array): Gradients;
  /**
   * Batch normalization's running means and variances, brought up to date with a mini-batch that passes forward as in
   * training, and not back. Step after step from 1 on, they become a plain mean for the weights in force.
   *
   * @throws FarmError `data` for a tile of another size
   */
  statistics(batch: TrainBatch): Map<string, WeightArray>;
  /** Replaces weights by name; the others stay. */
  update(weights: Weights): void;
  /** Frees what it holds in TensorFlow. */
  dispose(): void;
}

/**
 * The encoder on a native TensorFlow. Forward and backward pass are written out in TensorFlow's own fused ops:
 * tfjs differentiates batch normalization and LeakyReLU through a dozen small ops each.
 *
 * @throws FarmError `data` for weights that do not fit the architecture; `tensorflow-missing` for `mixed` on a TensorFlow
 *   without bfloat16; `usage` for a network that makes no sense on such tiles
 */
export function createEncoder(
  tensorflow: Tensorflow,
  architecture: Architecture,
  weights: Weights,
  { precision: asked = "float32" }: EncoderOptions = {},
): Encoder {
  const { tf } = tensorflow;
  const precision = checkedPrecision(tensorflow, asked);
  checkWeights(architecture, weights, "the encoder");
  const layers = layersOf(architecture);
  const training = trainingSteps(layers, precision === "mixed" ? "bfloat16" : "float32");
  const inference = inferenceSteps(layers);
  const inForce = new Map<string, WeightArray>();
  const tensors = new Map<string, Tensor>();
  /** Made anew when weights have changed. */
  let folded: Map<string, Folded> | undefined;
  const unfold = (): void => {
    for (const { kernel, bias } of folded?.values() ?? []) tf.dispose([kernel, bias]);
    folded = undefined;
  };
  const update = (changed: Weights): void => {
    unfold();
    for (const [name, { shape, data }] of changed) {
      tensors.get(name)?.dispose();
      inForce.set(name, { shape, data });
      // The tensor may share the array's memory, so it gets a copy of its own.
      tensors.set(name, tf.tensor(data.slice(), [...shape], "float32"));
    }
  };
  update(weights);
  return {
    architecture,
    precision,
    weights: inForce,
    update,
    embed: (tiles) => {
      folded ??= foldWeights(tf, layers, inForce);
      return infer(tensorflow, architecture, inference, folded, tiles);
    },
    gradients: (batch, gradientOf) => {
      const gradients = new Map<string, Float32Array>();
      let statistics = new Map<string, WeightArray>();
      tf.tidy(() => {
        const { output, traces } = forwardTiles(tensorflow, architecture, training, tensors, batch);
        const gradient = gradientOf(output.dataSync() as Float32Array);
        const back = backward(tensorflow, traces, tf.tensor(gradient, output.shape));
        const first = `${layers.find(({ ordinal }) => ordinal === 1)?.name}.kernel`;
        back.weights.set(first, tf.mul(back.weights.get(first) as Tensor, inputScale(batch.dropout)));
        statistics = updateStatistics(traces, inForce, batch.step);
        for (const [name, tensor] of back.weights) gradients.set(name, tensor.dataSync() as Float32Array);
      });
      return { gradients, statistics };
    },
    statistics: (batch) => {
      let statistics = new Map<string, WeightArray>();
      tf.tidy(() => {
        const { traces } = forwardTiles(tensorflow, architecture, training, tensors, batch);
        statistics = updateStatistics(traces, inForce, batch.step);
      });
      return statistics;
    },
    dispose: () => {
      unfold();
      for (const tensor of tensors.values()) tensor.dispose();
      tensors.clear();
    },
  };
}

/** Bytes are 0 to 1 in training, and more where others drop out: the first kernel takes that on, in both passes. */
const inputScale = ({ input }: Dropout): number => 1 / LARGEST_BYTE / (1 - input);

/** The way forward from a mini-batch's tiles. @param weights in force, by name */
function forwardTiles(
  tensorflow: Tensorflow,
  architecture: Architecture,
  steps: readonly Step[],
  weights: ReadonlyMap<string, Tensor>,
  batch: TrainBatch,
): { output: Tensor; traces: Trace[] } {
  const { tf } = tensorflow;
  const { tiles, channelsOn, dropout } = batch;
  const count = tiles.length;
  const drawn = drawMask(batch, 0, count * architecture.channels, dropout.input);
  const on = channelsOn.map((value, i) => (drawn?.[i] === 0 ? 0 : value));
  const type = steps[0]?.type ?? "float32";
  const shape = { ...architecture, halvings: batch.halvings ?? architecture.halvings ?? 0 };
  const tensor = toInput(tensorflow, shape, concatTiles(shape, tiles, on), count, type);
  return forward(tensorflow, steps, { tensor, type }, ({ layer, part, type }, x) => {
    const own = (name: string): Tensor => weights.get(`${layer.name}.${name}`) as Tensor;
    if (part === "normalization") return { gamma: own("gamma"), beta: own("beta") };
    if (part === "bias") return { bias: convert(tensorflow, own("bias"), "float32", type) };
    if (part === "dropout") {
      const rate = isMap(layer.output) ? dropout.conv : dropout.dense;
      const channels = x.shape.at(-1) as number;
      const mask = drawMask(batch, layer.ordinal, count * channels, rate);
      const shape = isMap(layer.output) ? [count, 1, 1, channels] : [count, channels];
      return mask && { mask: convert(tensorflow, tf.tensor(mask, shape), "float32", type) };
    }
    if (part === "activation" || layer.kernel === undefined) return {};
    const kernel = layer.ordinal === 1 ? tf.mul(own("kernel"), inputScale(dropout)) : own("kernel");
    return { kernel: convert(tensorflow, kernel, "float32", type) };
  });
}
