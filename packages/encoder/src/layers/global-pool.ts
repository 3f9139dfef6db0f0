import type { Attributes } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import type { Engine } from "../engine.ts";
import { intAttribute, intsAttribute } from "../onnx-graph.ts";
import type { LayerKind } from "./kind.ts";
import { needMap } from "./shape.ts";

const schema = z.strictObject({ kind: z.literal("global pool") });

const REDUCE: Attributes = {
  T: { type: "float32" },
  Tidx: { type: "int32" },
  keep_dims: { bool: true },
};
/** Of a feature map, [tile, y, x, channel]. */
const PLACES = [1, 2];

/** Vectors are float32, and so is what a layer computes that gives one. */
export interface Reduced {
  x: Tensor;
  /** [tile, 1, 1, channel]. */
  max: Tensor;
}

function reduce(engine: Engine, x: Tensor): { y: Tensor; max: Tensor } {
  const { tf } = engine.tensorflow;
  const places = tf.tensor1d(PLACES, "int32");
  const mean = engine.op("Mean", [x, places], REDUCE);
  const max = engine.op("Max", [x, places], REDUCE);
  const y = tf.concat([mean, max], 3).reshape([x.shape[0] as number, -1]);
  return { y, max };
}

/**
 * The mean of each channel over the whole map, then the greatest number of each: [2 × channels]. What a tile shows is said,
 * and not where: maps of any size pass (global average pooling: Network in Network, arXiv 1312.4400, section 3.2).
 */
export const globalPool: LayerKind<z.infer<typeof schema>, Reduced> = {
  schema,
  selects: false,
  outputOf: (_, input, place) => [2 * needMap(input, place)[2]],
  kernelOf: () => undefined,
  infer: (engine, x) => reduce(engine, x).y,
  forward: (engine, x) => {
    const { y, max } = reduce(engine, x);
    return { y, saved: { x, max } };
  },
  /** Equal maxima share the gradient, as in TensorFlow. */
  backward: ({ tensorflow: { tf } }, dy, { x, max }) => {
    const [tiles, height, width, channels] = x.shape as [number, number, number, number];
    const [byMean, byMax] = tf.split(dy.reshape([tiles, 1, 1, 2 * channels]), 2, 3) as [Tensor, Tensor];
    const greatest = tf.cast(tf.equal(x, max), "float32");
    const share = tf.div(byMax, tf.sum(greatest, PLACES, true));
    return { dx: tf.add(tf.mul(greatest, share), tf.div(byMean, height * width)) };
  },
  onnx: (graph, x) => {
    const attributes = [intsAttribute("axes", [2, 3]), intAttribute("keepdims", 0)];
    const both = ["ReduceMean", "ReduceMax"].map((op) => graph.node(op, [x], attributes));
    return graph.node("Concat", both, [intAttribute("axis", 1)]);
  },
  keras: `
def global_pool(x, spec, name):
    return layers.Concatenate(name=name)([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
`,
};
