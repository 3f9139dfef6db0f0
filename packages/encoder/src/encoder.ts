import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import type { AdamState } from "./adam.ts";
import { backward } from "./backward.ts";
import { type MovingAverage, openDeviceWeights } from "./device-weights.ts";
import { type Dropout, drawMask } from "./dropout.ts";
import { convert } from "./engine.ts";
import { type Folded, foldWeights } from "./fold.ts";
import { forward, type Trace } from "./forward.ts";
import { infer } from "./infer.ts";
import { LARGEST_BYTE, toInput } from "./input.ts";
import { isMap } from "./layers/shape.ts";
import { type Architecture, layersOf } from "./layout.ts";
import { checkedPrecision, type Precision } from "./precision.ts";
import { seenStatistics } from "./statistics.ts";
import { inferenceSteps, type Step, trainingSteps } from "./steps.ts";
import { openTileTable, type TileTable } from "./tiles.ts";
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

/** How a step changes the weights. */
export interface UpdateOptions {
  /** Adam's. */
  learningRate: number;
  /**
   * Says whether the step counts. Else nothing has changed.
   *
   * @param gradientNorm Euclidean norm of all gradients together
   */
  accept(gradientNorm: number): boolean;
}

export interface EncoderOptions {
  /** Default: `float32`. */
  precision?: Precision;
  /** Adam's, of a training that goes on. Default: none, which is 0. */
  moments?: AdamState | undefined;
}

export interface Encoder {
  readonly architecture: Architecture;
  /** What training computes in; embedding is float32 always. */
  readonly precision: "float32" | "mixed";
  /** In force. They are read from the device when they are asked for after a step. */
  readonly weights: Weights;
  /** Adam's, likewise. */
  readonly moments: AdamState;
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
   * One training step: forward, backward, and Adam, all in TensorFlow. The weights stay there.
   *
   * @param gradientOf as for `gradients`
   * @returns the name of a weight that would no longer be finite: then nothing has changed
   * @throws FarmError `data` for a tile of another size
   */
  train(
    batch: TrainBatch,
    gradientOf: (embeddings: Float32Array) => Float32Array,
    options: UpdateOptions,
  ): string | undefined;
  /**
   * Batch normalization's running means and variances, brought up to date with a mini-batch that passes forward as in
   * training, and not back. Step after step from 1 on, they become a plain mean for the weights in force.
   *
   * @throws FarmError `data` for a tile of another size
   */
  statistics(batch: TrainBatch): Map<string, WeightArray>;
  /** Begins a moving average of the trained weights, on the device. @param weights that it begins with */
  average(weights: Weights): MovingAverage;
  /** Replaces weights by name; the others stay, and so do Adam's moments. */
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
  { precision: asked = "float32", moments = new Map() }: EncoderOptions = {},
): Encoder {
  const { tf } = tensorflow;
  const precision = checkedPrecision(tensorflow, asked);
  checkWeights(architecture, weights, "the encoder");
  const layers = layersOf(architecture);
  const training = trainingSteps(layers, precision === "mixed" ? "bfloat16" : "float32");
  const inference = inferenceSteps(layers);
  const table = openTileTable();
  const device = openDeviceWeights(tensorflow, architecture, weights, moments);
  /** Made anew when weights have changed. */
  let folded: Map<string, Folded> | undefined;
  const unfold = (): void => {
    for (const { kernel, bias } of folded?.values() ?? []) tf.dispose([kernel, bias]);
    folded = undefined;
  };
  const first = `${layers.find(({ ordinal }) => ordinal === 1)?.name}.kernel`;
  const forwardBatch = (batch: TrainBatch): ReturnType<typeof forwardTiles> =>
    forwardTiles(tensorflow, architecture, training, device.tensors, batch, table);
  const pass = (batch: TrainBatch, gradientOf: (embeddings: Float32Array) => Float32Array): Pass => {
    const { output, traces } = forwardBatch(batch);
    const gradient = gradientOf(output.dataSync() as Float32Array);
    const back = backward(tensorflow, traces, tf.tensor(gradient, output.shape));
    back.weights.set(first, tf.mul(back.weights.get(first) as Tensor, inputScale(batch.dropout)));
    return { gradients: back.weights, seen: seenStatistics(traces) };
  };
  /** The tensors of a mini-batch, which share memory with its tiles, are gone before that is used for anything else. */
  const tidy = (work: () => void): void => {
    try {
      tf.tidy(work);
    } finally {
      table.clear();
    }
  };
  return {
    architecture,
    precision,
    get weights() {
      return device.read();
    },
    get moments() {
      return device.moments();
    },
    update: (changed) => {
      unfold();
      device.update(changed);
    },
    embed: (tiles) => {
      folded ??= foldWeights(tf, layers, device.read());
      return infer(tensorflow, architecture, inference, folded, tiles);
    },
    gradients: (batch, gradientOf) => {
      const gradients = new Map<string, Float32Array>();
      let statistics = new Map<string, WeightArray>();
      tidy(() => {
        const passed = pass(batch, gradientOf);
        for (const [name, tensor] of passed.gradients) gradients.set(name, tensor.dataSync() as Float32Array);
        statistics = device.readRunning(passed.seen, batch.step);
      });
      return { gradients, statistics };
    },
    train: (batch, gradientOf, { learningRate, accept }) => {
      let infinite: string | undefined;
      tidy(() => {
        const { gradients, seen } = pass(batch, gradientOf);
        const proposal = device.propose(gradients, seen, { step: batch.step, learningRate });
        if (!accept(proposal.gradientNorm)) return;
        infinite = proposal.infinite();
        if (infinite !== undefined) return;
        unfold();
        proposal.accept();
      });
      return infinite;
    },
    statistics: (batch) => {
      let statistics = new Map<string, WeightArray>();
      tidy(() => {
        statistics = device.readRunning(seenStatistics(forwardBatch(batch).traces), batch.step);
      });
      return statistics;
    },
    average: device.average,
    dispose: () => {
      unfold();
      device.dispose();
    },
  };
}

/** What a way forward and back gives. */
interface Pass {
  /** By the trained weights' names. */
  gradients: Map<string, Tensor>;
  /** Batch normalization's means and variances of the mini-batch, by the running ones' names. */
  seen: Map<string, Tensor>;
}

/** Bytes are 0 to 1 in training, and more where others drop out: the first kernel takes that on, in both passes. */
const inputScale = ({ input }: Dropout): number => 1 / LARGEST_BYTE / (1 - input);

/** The way forward from a mini-batch's tiles. @param weights in force, by name @param table that they are laid on */
function forwardTiles(
  tensorflow: Tensorflow,
  architecture: Architecture,
  steps: readonly Step[],
  weights: ReadonlyMap<string, Tensor>,
  batch: TrainBatch,
  table: TileTable,
): { output: Tensor; traces: Trace[] } {
  const { tf } = tensorflow;
  const { tiles, channelsOn, dropout } = batch;
  const count = tiles.length;
  const drawn = drawMask(batch, 0, count * architecture.channels, dropout.input);
  const on = channelsOn.map((value, i) => (drawn?.[i] === 0 ? 0 : value));
  const type = steps[0]?.type ?? "float32";
  const shape = { ...architecture, halvings: batch.halvings ?? architecture.halvings ?? 0 };
  const tensor = toInput(tensorflow, shape, table.lay(shape, tiles, on), count, type);
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
    if (part !== "layer" || layer.kernel === undefined) return {};
    const kernel = layer.ordinal === 1 ? tf.mul(own("kernel"), inputScale(dropout)) : own("kernel");
    return { kernel: convert(tensorflow, kernel, "float32", type) };
  });
}
