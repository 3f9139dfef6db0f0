import type { Layer, Operation } from "../layers/kind.ts";
import type { OnnxGraph } from "../onnx-graph.ts";
import type { WeightArray } from "../weight-arrays.ts";

/** A weight of a part: one number for each channel of the layer that it follows. */
export interface PartWeight {
  name: string;
  /** False for what is kept of the mini-batches instead. */
  trained: boolean;
  /** What each of its numbers is before training. */
  initial: number;
}

/** Something that follows a layer with a kernel, and its gradient. */
export interface Part<Operands, Saved> extends Operation<Operands, Saved> {
  readonly weights: readonly PartWeight[];
  /**
   * Whether it is applied to each number of a channel alike, and rises: then it may follow a layer that selects.
   */
  readonly rises: boolean;
  /**
   * Adds what it computes outside training to an ONNX graph.
   *
   * @param x name of its input
   * @param layer that it follows
   * @param weightOf a weight by its name without the layer's
   * @returns name of its output
   */
  onnx(graph: OnnxGraph, x: string, layer: Layer, weightOf: (name: string) => WeightArray): string;
}
