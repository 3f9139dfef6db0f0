import type { Attributes } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import type { Engine } from "./engine.ts";
import type { Turns } from "./layout.ts";
import { intAttribute, intsAttribute, type OnnxGraph } from "./onnx-graph.ts";

/** A symmetry of the square: its rows and columns change places, then either are put in reverse. */
interface Symmetry {
  transposed: boolean;
  /** Rows first to last become last to first. */
  y: boolean;
  x: boolean;
}

/** The quarter turns, then what they are of the mirror image. */
const SYMMETRIES: readonly Symmetry[] = [
  { transposed: false, y: false, x: false },
  { transposed: true, y: true, x: false },
  { transposed: false, y: true, x: true },
  { transposed: true, y: false, x: true },
  { transposed: false, y: false, x: true },
  { transposed: true, y: false, x: false },
  { transposed: false, y: true, x: false },
  { transposed: true, y: true, x: true },
];

const TRANSPOSE: Attributes = { T: { type: "float32" }, Tperm: { type: "int32" } };
const REVERSE: Attributes = { T: { type: "float32" }, Tidx: { type: "int32" } };

/** The turns of tiles, [tile, y, x, channel] float32, one after the other; the first are the tiles themselves. */
export function* turned(engine: Engine, tiles: Tensor, turns: Turns): Generator<Tensor> {
  const { tf } = engine.tensorflow;
  for (const { transposed, y, x } of SYMMETRIES.slice(0, turns)) {
    const order = transposed ? tf.tensor1d([0, 2, 1, 3], "int32") : undefined;
    const turn = order ? engine.op("Transpose", [tiles, order], TRANSPOSE) : tiles;
    const axes = [...(y ? [1] : []), ...(x ? [2] : [])];
    yield axes.length === 0 ? turn : engine.op("ReverseV2", [turn, tf.tensor1d(axes, "int32")], REVERSE);
  }
}

/** Gradients by turns of tiles, [turn × tile, y, x, channel] float32 in the order of {@link turned}, as those by the tiles. */
export function unturned(engine: Engine, gradients: Tensor, turns: Turns): Tensor {
  const { tf } = engine.tensorflow;
  const byTurn = tf.split(gradients, turns).map((gradient, i) => {
    const { transposed, y, x } = SYMMETRIES[i] as Symmetry;
    const axes = [...(y ? [1] : []), ...(x ? [2] : [])];
    const upright =
      axes.length === 0 ? gradient : engine.op("ReverseV2", [gradient, tf.tensor1d(axes, "int32")], REVERSE);
    return transposed
      ? engine.op("Transpose", [upright, tf.tensor1d([0, 2, 1, 3], "int32")], TRANSPOSE)
      : upright;
  });
  return tf.addN(byTurn);
}

/**
 * Adds the turns of tiles to an ONNX graph, all tiles of one turn after those of another.
 *
 * @param tiles name of [tile, channel, y, x]
 * @returns name of [turn × tile, channel, y, x]
 */
export function onnxTurned(graph: OnnxGraph, tiles: string, turns: Turns): string {
  if (turns === 1) return tiles;
  const all = SYMMETRIES.slice(0, turns).map(({ transposed, y, x }) => {
    const turn = transposed ? graph.node("Transpose", [tiles], [intsAttribute("perm", [0, 1, 3, 2])]) : tiles;
    const axes = [...(y ? [2] : []), ...(x ? [3] : [])];
    return axes.length === 0 ? turn : onnxReversed(graph, turn, axes);
  });
  return graph.node("Concat", all, [intAttribute("axis", 0)]);
}

/** From the last to the first; ONNX's slices end before the first, of which there is none before. */
function onnxReversed(graph: OnnxGraph, x: string, axes: readonly number[]): string {
  const [start, end, along, step] = [
    axes.map(() => -1),
    axes.map(() => -(2 ** 31)),
    axes,
    axes.map(() => -1),
  ].map((values) => graph.integers(values));
  return graph.node("Slice", [x, start, end, along, step] as string[]);
}

/**
 * Adds the mean over the turns to an ONNX graph.
 *
 * @param vectors name of [turn × tile, embedding]
 * @returns name of [tile, embedding]
 */
export function onnxMean(graph: OnnxGraph, vectors: string, turns: Turns, size: number): string {
  if (turns === 1) return vectors;
  const byTurn = graph.node("Reshape", [vectors, graph.integers([turns, -1, size])]);
  return graph.node("ReduceMean", [byTurn], [intsAttribute("axes", [0]), intAttribute("keepdims", 0)]);
}
