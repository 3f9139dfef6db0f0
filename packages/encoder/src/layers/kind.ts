import type { Tensor } from "@tensorflow/tfjs";
import type { z } from "zod";
import type { Engine } from "../engine.ts";
import type { OnnxGraph } from "../onnx-graph.ts";
import type { WeightArray } from "../weight-arrays.ts";
import type { Place, Shape } from "./shape.ts";

/** A layer in its network, its shapes worked out. */
export interface Layer<Spec = { kind: string }> {
  readonly spec: Spec;
  /** Unique in its network: `conv1`, `pool1`, `dense`, `embedding`. Its weights are called `conv1.kernel` … */
  readonly name: string;
  /** Shapes of what it takes and gives for one tile. */
  readonly input: Shape;
  readonly output: Shape;
  /** Names of the earlier layers whose outputs it takes beside its input. */
  readonly also: readonly string[];
  /** Undefined for a layer without weights. */
  readonly kernel: readonly number[] | undefined;
  /** From 1 among the network's layers with a kernel; 0 for the others. */
  readonly ordinal: number;
}

/**
 * Something that a mini-batch passes in training, and its gradient on the way back.
 *
 * @typeParam Operands tensors that it computes with beside its input
 * @typeParam Saved what its way back needs of its way forward
 */
export interface Operation<Operands = unknown, Saved = unknown> {
  /** @param x what the tiles of a mini-batch bring, [tiles, ...shape], of the engine's type */
  forward(engine: Engine, x: Tensor, operands: Operands, layer: Layer): { y: Tensor; saved: Saved };
  /**
   * @param dy gradient of the loss by `y`, of the engine's type
   * @returns the gradients by `x` and, float32, by the operands that are trained, by their names: at least those that are
   *   wanted
   */
  backward(engine: Engine, dy: Tensor, saved: Saved, wanted: Wanted, layer: Layer): Gradient;
}

/** Which gradients a way back is to give. */
export interface Wanted {
  /** By the input: in training not before the first kernel, as nothing that is trained lies there. */
  input: boolean;
  /** By what is trained. */
  weights: boolean;
}

/** What a way back gives. */
export interface Gradient {
  /** By the input; of the engine's type. */
  dx?: Tensor;
  /** By what is trained, float32. */
  operands?: Readonly<Record<string, Tensor>>;
  /** By what other layers gave, in the order of the layer's `also`; of the engine's type. */
  also?: readonly Tensor[];
}

/** What a layer computes with beside its input. */
export interface LayerOperands {
  kernel: Tensor;
  /** Outputs of other layers, of the engine's type, in the order of the layer's `also`. */
  also: readonly Tensor[];
}

/**
 * A kind of layer: all that is known about it, but for the normalization, bias, activation and dropout that follow those
 * with a kernel (see `parts/`).
 */
export interface LayerKind<Spec = { kind: string }, Saved = unknown> extends Operation<LayerOperands, Saved> {
  /** What can be chosen of it, `kind` among it. */
  readonly schema: z.ZodType<Spec>;
  /**
   * Whether each number that it gives is one of those that it takes of the same channel, which one depending on their order
   * alone. Then what rises and is applied to each number of a channel alike may as well follow it, where there is less.
   */
  readonly selects: boolean;
  /**
   * @param also what the other layers give that it takes
   * @throws FarmError `usage` where it cannot stand
   */
  outputOf(spec: Spec, input: Shape, place: Place, also: readonly Shape[]): Shape;
  /**
   * Shape of its kernel: its last axis is that of the output's channels, and the output is linear in it. Undefined for a
   * layer without weights; then a multiple of its input gives the same multiple of its output.
   */
  kernelOf(spec: Spec, input: Shape): readonly number[] | undefined;
  /** What it makes of tiles outside training, where nothing is kept for a way back. */
  infer(engine: Engine, x: Tensor, operands: LayerOperands, layer: Layer<Spec>): Tensor;
  /**
   * Adds what it computes to an ONNX graph, whose feature maps are [tile, channel, y, x].
   *
   * @param x name of its input
   * @param kernel as in training, but scaled where it takes bytes
   * @param also names of the outputs of the layer's `also`
   * @returns name of its output
   */
  onnx(graph: OnnxGraph, x: string, kernel: WeightArray, layer: Layer<Spec>, also: readonly string[]): string;
  /**
   * Python for `loc2vec_keras.py` that defines a function with the kind's name (see `identifierOf`): from (x, spec, name) to
   * what Keras layers make of x, [tile, y, x, channel]; with `also` x is a list, its input the last. The Keras layer with its weights has that name.
   */
  readonly keras: string;
}
