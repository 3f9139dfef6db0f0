import { FarmError, randomOf, Stream } from "@loc2vec/core";
import type { Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { type Architecture, BN_EPSILON, type Layer, layersOf } from "./architecture.ts";
import {
  CAST_BYTES,
  convert,
  MATMUL,
  MATMUL_A,
  MATMUL_B,
  OPS,
  type Pooling,
  poolingOf,
  type Real,
  TRANSPOSE_BYTES,
} from "./ops.ts";
import { concatTiles } from "./tiles.ts";
import { checkWeights, type WeightArray, type Weights } from "./weights.ts";

/** The running statistics keep at most this share of their past … */
const BN_MOMENTUM = 0.99;

/** Tiles that are embedded at a time: fewer keep the cores less busy, more drive feature maps (2 MiB a tile) out of the caches. */
const EMBEDDED = 64;

export interface Dropout {
  /** Spatial dropout on the input: probability that a channel of a tile falls out. */
  input: number;
  /** Spatial dropout after each convolution: probability that a feature map falls out (Tompson et al., arXiv 1411.4280). */
  conv: number;
  /** Dropout after the dense layer. */
  dense: number;
}

/** Weak: the original's rates are not known, and stronger ones make a training learn more slowly (see the README of evaluation). */
export const DROPOUT: Dropout = { input: 0.02, conv: 0.01, dense: 0.02 };

/** A mini-batch to train on. */
export interface TrainBatch {
  /** Planar uint8 [channel, y, x], each. */
  tiles: readonly Uint8Array[];
  /** 1 or 0 per tile and channel, [tiles, channels]: which channels are on. */
  channelsOn: Uint8Array;
  /** Keys of the draws of dropout: the same keys, the same draws. */
  seed: number;
  step: number;
  dropout: Dropout;
}

export interface Gradients {
  /** By name of the weight; arrays in C order. */
  gradients: Map<string, Float32Array>;
  /** Running means and variances, brought up to date with this mini-batch. */
  statistics: Map<string, WeightArray>;
}

/**
 * What a training step computes in. `mixed`: the convolutional part's feature maps and kernels in bfloat16, which has
 * float32's range, so the loss needs no scaling; weights, batch normalization's statistics, the dense layers (a
 * thousandth of the work), loss and optimizer in float32. `auto`: mixed where the device
 * multiplies bfloat16 in hardware, else float32.
 */
export type Precision = "auto" | "float32" | "mixed";

/** What `auto` becomes on a device; anything else stays as it is. */
export function precisionOn(
  { bfloat16 }: Pick<Tensorflow, "bfloat16">,
  asked: Precision,
): Exclude<Precision, "auto"> {
  if (asked !== "auto") return asked;
  return bfloat16 ? "mixed" : "float32";
}

export interface EncoderOptions {
  /** Default: `float32`. */
  precision?: Precision;
}

export interface Encoder {
  readonly architecture: Architecture;
  /** Of training; embedding is float32 always. */
  readonly precision: "float32" | "mixed";
  /** In force. */
  readonly weights: Weights;
  /**
   * Embeds tiles with running statistics and without dropout.
   *
   * @param tiles planar uint8 [channel, y, x], each
   * @returns float32 [tiles, embedding]
   */
  embed(tiles: readonly Uint8Array[]): Float32Array;
  /**
   * One forward and backward pass.
   *
   * @param gradientOf from embeddings, float32 [tiles, embedding], to the gradient of the loss by them
   */
  gradients(batch: TrainBatch, gradientOf: (embeddings: Float32Array) => Float32Array): Gradients;
  /** Replaces weights by name; the others stay. */
  update(weights: Weights): void;
  dispose(): void;
}

/** What of a layer's forward pass its backward pass needs. */
interface Trace {
  layer: Layer;
  /** Of the tensors below, but for `reserve`. */
  type: Real;
  input: Tensor;
  kernel: Tensor;
  /** Before batch normalization. */
  linear: Tensor;
  normalized: Tensor | undefined;
  reserve: Tensor[];
  /** After max-pooling. */
  pooled: Tensor | undefined;
  workspace: Tensor | undefined;
  mask: Tensor | undefined;
}

/**
 * The encoder on a native TensorFlow. Forward and backward pass are written out in TensorFlow's own fused ops:
 * tfjs differentiates batch normalization and LeakyReLU through a dozen small ops each.
 *
 * @throws FarmError `data` for weights that do not fit the architecture; `missing` for `mixed` on a TensorFlow without
 *   bfloat16
 */
export function createEncoder(
  tensorflow: Tensorflow,
  architecture: Architecture,
  weights: Weights,
  { precision: asked = "float32" }: EncoderOptions = {},
): Encoder {
  const { tf } = tensorflow;
  const precision = precisionOn(tensorflow, asked);
  if (precision === "mixed" && !tensorflow.bfloat16Kernels) {
    throw new FarmError(
      "missing",
      `mixed precision: TensorFlow ${tensorflow.version} has no bfloat16`,
      "bind another one: FARM_TENSORFLOW=cpu (or gpu) npm run setup",
    );
  }
  const typeOf = (layer: Layer): Real =>
    precision === "mixed" && layer.kind === "conv" ? "bfloat16" : "float32";
  const convType = precision === "mixed" ? "bfloat16" : "float32";
  let pooling: Pooling | undefined;
  const layers = layersOf(architecture);
  const { channels, pixels } = architecture;
  const inForce = new Map<string, WeightArray>();
  const tensors = new Map<string, Tensor>();
  const one = (name: string, inputs: readonly Tensor[], attributes: Attributes): Tensor =>
    tensorflow.op(name, inputs, attributes)[0] as Tensor;
  const weight = (layer: Layer, name: string): Tensor => tensors.get(`${layer.name}.${name}`) as Tensor;

  /**
   * Kernels with batch normalization's scale in them, and its shift by itself, made anew when weights have changed. The
   * shift may follow the pooling, like LeakyReLU: a quarter of the work.
   */
  let folded: { layer: Layer; kernel: Tensor; shift: Tensor }[] | undefined;
  const fold = (): NonNullable<typeof folded> => {
    folded ??= layers.map((layer, at) => {
      const values = (name: string): Float32Array =>
        (inForce.get(`${layer.name}.${name}`) as WeightArray).data;
      // The first kernel takes bytes for what is 0 to 1 in training.
      const kernel = values("kernel").map((value) => (at === 0 ? value / 255 : value));
      const shape = [...layer.kernel];
      if (!layer.normalized) {
        return {
          layer,
          kernel: tf.tensor(kernel, shape),
          shift: tf.tensor1d(values("bias").slice()),
        };
      }
      const [gamma, beta, mean, variance] = ["gamma", "beta", "mean", "variance"].map(values) as [
        Float32Array,
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      const scale = gamma.map((value, i) => value / Math.sqrt((variance[i] as number) + BN_EPSILON));
      const shift = beta.map((value, i) => value - (mean[i] as number) * (scale[i] as number));
      const scaled = kernel.map((value, i) => value * (scale[i % layer.filters] as number));
      return { layer, kernel: tf.tensor(scaled, shape), shift: tf.tensor1d(shift) };
    });
    return folded;
  };
  const unfold = (): void => {
    for (const { kernel, shift } of folded ?? []) tf.dispose([kernel, shift]);
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
  checkWeights(architecture, weights, "the encoder");
  update(weights);

  /** [tiles, y, x, channel], 0 to 255. @param bytes uint8 [tiles, channel, y, x] */
  const toInput = (bytes: Uint8Array, count: number, type: Real): Tensor => {
    const planar = tensorflow.bytes(bytes, [count, channels, pixels, pixels]);
    const packed = one("Transpose", [planar, tf.tensor1d([0, 2, 3, 1], "int32")], TRANSPOSE_BYTES);
    return one("Cast", [packed], CAST_BYTES[type]);
  };

  const flat = (x: Tensor): Tensor => x.reshape([x.shape[0] as number, -1]);
  const asImage = (x: Tensor): Tensor => (x.rank === 4 ? x : x.reshape([x.shape[0] as number, 1, 1, -1]));

  const { float32 } = OPS;
  const embed = (tiles: readonly Uint8Array[]): Float32Array => {
    const weights = fold();
    const vectors = new Float32Array(tiles.length * architecture.embedding);
    for (let first = 0; first < tiles.length; first += EMBEDDED) {
      const few = tiles.slice(first, first + EMBEDDED);
      tf.tidy(() => {
        let x = toInput(concatTiles(architecture, few), few.length, "float32");
        for (const { layer, kernel, shift } of weights) {
          x =
            layer.kind === "conv"
              ? one("Conv2D", [x, kernel], float32.conv)
              : one("MatMul", [flat(x), kernel], MATMUL);
          if (layer.pool) x = one("MaxPool", [x], float32.pool);
          x = one("BiasAdd", [x, shift], float32.bias);
          if (layer.normalized) x = one("LeakyRelu", [x], float32.relu);
        }
        vectors.set(x.dataSync() as Float32Array, first * architecture.embedding);
      });
    }
    return vectors;
  };

  /** 0 or 1/(1 − rate) per tile and feature; undefined when nothing is dropped. */
  const dropMask = (
    { seed, step }: TrainBatch,
    at: number,
    count: number,
    rate: number,
  ): Float32Array | undefined => {
    if (rate <= 0) return undefined;
    const random = randomOf(seed, Stream.dropout, step, at);
    return new Float32Array(count).map(() => (random.uniform() < rate ? 0 : 1 / (1 - rate)));
  };

  /** Bytes are 0 to 1 in training, and more where others drop out. The first kernel takes that on: it is smaller than they. */
  const inputScale = ({ input }: Dropout): number => 1 / 255 / (1 - input);

  const forward = (batch: TrainBatch): { output: Tensor; traces: Trace[] } => {
    const { tiles, channelsOn, dropout } = batch;
    const drawn = dropMask(batch, 0, tiles.length * channels, dropout.input);
    const on = channelsOn.map((value, i) => (drawn?.[i] === 0 ? 0 : value));
    pooling ??= poolingOf(tensorflow, convType);
    const pool = pooling;
    let before = typeOf(layers[0] as Layer);
    let x = toInput(concatTiles(architecture, tiles, on), tiles.length, before);
    const traces = layers.map((layer, at): Trace => {
      const type = typeOf(layer);
      const ops = OPS[type];
      const input = convert(tensorflow, x, before, type);
      before = type;
      const scaled =
        at === 0 ? tf.mul(weight(layer, "kernel"), inputScale(dropout)) : weight(layer, "kernel");
      const kernel = convert(tensorflow, scaled, "float32", type);
      const linear =
        layer.kind === "conv"
          ? one("Conv2D", [input, kernel], ops.conv)
          : one("MatMul", [flat(input), kernel], MATMUL);
      const trace = { layer, type, input, kernel, linear };
      if (!layer.normalized) {
        x = tf.add(linear, weight(layer, "bias"));
        return {
          ...trace,
          normalized: undefined,
          reserve: [],
          pooled: undefined,
          workspace: undefined,
          mask: undefined,
        };
      }
      const empty = tf.tensor1d([], "float32");
      const inputs = [asImage(linear), weight(layer, "gamma"), weight(layer, "beta"), empty, empty];
      const [normalized, ...reserve] = tensorflow.op("FusedBatchNormV3", inputs, ops.norm, 6) as [
        Tensor,
        ...Tensor[],
      ];
      // LeakyReLU rises everywhere, so it may follow the pooling: a quarter of the work, the same result.
      const { pooled, workspace } = layer.pool
        ? pool.forward(normalized)
        : { pooled: normalized, workspace: undefined };
      x = one("LeakyRelu", [pooled], ops.relu);
      const rate = layer.kind === "conv" ? dropout.conv : dropout.dense;
      const drawn = dropMask(batch, at + 1, tiles.length * layer.filters, rate);
      const mask =
        drawn &&
        convert(tensorflow, tf.tensor4d(drawn, [tiles.length, 1, 1, layer.filters]), "float32", type);
      if (mask) x = one("Mul", [x, mask], ops.mul);
      return { ...trace, normalized, reserve, pooled, workspace, mask };
    });
    return { output: x, traces };
  };

  const backward = (traces: readonly Trace[], gradient: Tensor, dropout: Dropout): Map<string, Tensor> => {
    const found = new Map<string, Tensor>();
    let dy = gradient;
    let after: Real = "float32";
    for (const [at, trace] of [...traces.entries()].reverse()) {
      const { layer, type, input, kernel, linear, normalized, reserve, pooled, workspace, mask } = trace;
      const ops = OPS[type];
      if (normalized === undefined || pooled === undefined) found.set(`${layer.name}.bias`, dy.sum(0));
      else {
        if (dy.shape.join() !== pooled.shape.join()) dy = dy.reshape(pooled.shape);
        dy = convert(tensorflow, dy, after, type);
        if (mask) dy = one("Mul", [dy, mask], ops.mul);
        dy = one("LeakyReluGrad", [dy, pooled], ops.relu);
        if (layer.pool) dy = (pooling as Pooling).backward(normalized, pooled, dy, workspace);
        const [, , saved1, saved2, saved3] = reserve as [Tensor, Tensor, Tensor, Tensor, Tensor];
        const inputs = [dy, asImage(linear), weight(layer, "gamma"), saved1, saved2, saved3];
        const [dx, gamma, beta] = tensorflow.op("FusedBatchNormGradV3", inputs, ops.norm, 5) as [
          Tensor,
          Tensor,
          Tensor,
        ];
        found.set(`${layer.name}.gamma`, gamma).set(`${layer.name}.beta`, beta);
        dy = dx;
      }
      after = type;
      if (layer.kind === "conv") {
        const sizes = tf.tensor1d([...layer.kernel], "int32");
        const byKernel = one("Conv2DBackpropFilter", [input, sizes, dy], ops.conv);
        found.set(`${layer.name}.kernel`, convert(tensorflow, byKernel, type, "float32"));
        if (at > 0)
          dy = one("Conv2DBackpropInput", [tf.tensor1d(input.shape, "int32"), kernel, dy], ops.conv);
      } else {
        dy = flat(dy);
        found.set(`${layer.name}.kernel`, one("MatMul", [flat(input), dy], MATMUL_A));
        dy = one("MatMul", [dy, kernel], MATMUL_B);
      }
    }
    const first = `${layers[0]?.name}.kernel`;
    found.set(first, tf.mul(found.get(first) as Tensor, inputScale(dropout)));
    return found;
  };

  /** … and in the first steps less, so that they are a plain mean of what was seen and not of where they began. */
  const statisticsOf = (traces: readonly Trace[], step: number): Map<string, WeightArray> => {
    const share = Math.max(1 - BN_MOMENTUM, 1 / step);
    const statistics = new Map<string, WeightArray>();
    for (const { layer, reserve } of traces) {
      if (!layer.normalized) continue;
      for (const [at, name] of ["mean", "variance"].entries()) {
        const before = inForce.get(`${layer.name}.${name}`) as WeightArray;
        const seen = (reserve[at] as Tensor).dataSync() as Float32Array;
        const data = before.data.map((value, i) => value + share * ((seen[i] as number) - value));
        statistics.set(`${layer.name}.${name}`, { shape: before.shape, data });
      }
    }
    return statistics;
  };

  return {
    architecture,
    precision,
    weights: inForce,
    embed,
    gradients: (batch, gradientOf) => {
      let statistics = new Map<string, WeightArray>();
      const gradients = new Map<string, Float32Array>();
      tf.tidy(() => {
        const { output, traces } = forward(batch);
        const gradient = gradientOf(output.dataSync() as Float32Array);
        const found = backward(
          traces,
          tf.tensor2d(gradient, output.shape as [number, number]),
          batch.dropout,
        );
        statistics = statisticsOf(traces, batch.step);
        for (const [name, tensor] of found) gradients.set(name, tensor.dataSync() as Float32Array);
      });
      return { gradients, statistics };
    },
    update,
    dispose: () => {
      unfold();
      for (const tensor of tensors.values()) tensor.dispose();
      tensors.clear();
    },
  };
}
