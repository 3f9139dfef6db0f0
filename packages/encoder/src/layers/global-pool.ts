import type { Attributes } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import type { Engine } from "../engine.ts";
import { intAttribute, intsAttribute } from "../onnx-graph.ts";
import type { LayerKind } from "./kind.ts";
import { needMap } from "./shape.ts";

const schema = z.strictObject({
  kind: z.literal("global pool"),
  /** Earlier layers whose maps are pooled as well, by name, e.g. `pool2`. */
  also: z
    .array(z.string())
    .min(1)
    .refine((names) => new Set(names).size === names.length, "a layer that is named twice")
    .readonly()
    .optional(),
});

const REDUCE: Attributes = {
  T: { type: "float32" },
  Tidx: { type: "int32" },
  keep_dims: { bool: true },
};
/** Of a feature map, [tile, y, x, channel]. */
const PLACES = [1, 2];

/** A map, and each channel's greatest number, [tile, 1, 1, channel]. */
export interface Greatest {
  x: Tensor;
  max: Tensor;
}

/** Vectors are float32, and so is what a layer computes that gives one. @returns [tile, 1, 1, 2 × channel] */
function reduce(engine: Engine, x: Tensor): { y: Tensor; greatest: Greatest } {
  const { tf } = engine.tensorflow;
  const places = tf.tensor1d(PLACES, "int32");
  const mean = engine.op("Mean", [x, places], REDUCE);
  const max = engine.op("Max", [x, places], REDUCE);
  return { y: tf.concat([mean, max], 3), greatest: { x, max } };
}

/** Equal maxima share the gradient, as in TensorFlow. @param dy [tile, 1, 1, 2 × channel] */
function unreduce({ tensorflow: { tf } }: Engine, dy: Tensor, { x, max }: Greatest): Tensor {
  const [, height, width] = x.shape as [number, number, number, number];
  const [byMean, byMax] = tf.split(dy, 2, 3) as [Tensor, Tensor];
  const greatest = tf.cast(tf.equal(x, max), "float32");
  const share = tf.div(byMax, tf.sum(greatest, PLACES, true));
  return tf.add(tf.mul(greatest, share), tf.div(byMean, height * width));
}

function pool(engine: Engine, maps: readonly Tensor[]): { y: Tensor; saved: Greatest[] } {
  const reduced = maps.map((x) => reduce(engine, x));
  const y = engine.tensorflow.tf.concat(
    reduced.map(({ y }) => y),
    3,
  );
  return { y: y.reshape([y.shape[0] as number, -1]), saved: reduced.map(({ greatest }) => greatest) };
}

/**
 * The mean of each channel over the whole map, then the greatest number of each: [2 × channels]. What a tile shows is said,
 * and not where: maps of any size pass (global average pooling: Network in Network, arXiv 1312.4400, section 3.2). Maps of
 * earlier layers, `also`, come first, each with its own means and greatest numbers: they see smaller things (as the skip
 * connections of hypercolumns, arXiv 1411.5752).
 */
export const globalPool: LayerKind<z.infer<typeof schema>, Greatest[]> = {
  schema,
  selects: false,
  outputOf: (_, input, place, also) => [
    [...also, input].reduce((sum, map) => sum + 2 * needMap(map, place)[2], 0),
  ],
  kernelOf: () => undefined,
  infer: (engine, x, { also }) => pool(engine, [...also, x]).y,
  forward: (engine, x, { also }) => pool(engine, [...also, x]),
  backward: (engine, dy, saved) => {
    const { tf } = engine.tensorflow;
    const lengths = saved.map(({ max }) => 2 * (max.shape.at(-1) as number));
    const parts = tf.split(dy.reshape([dy.shape[0] as number, 1, 1, -1]), lengths, 3);
    const gradients = saved.map((greatest, i) => unreduce(engine, parts[i] as Tensor, greatest));
    return { dx: gradients.at(-1) as Tensor, also: gradients.slice(0, -1) };
  },
  onnx: (graph, x, _, __, also) => {
    const attributes = [intsAttribute("axes", [2, 3]), intAttribute("keepdims", 0)];
    const all = [...also, x].flatMap((map) =>
      ["ReduceMean", "ReduceMax"].map((op) => graph.node(op, [map], attributes)),
    );
    return graph.node("Concat", all, [intAttribute("axis", 1)]);
  },
  keras: `
def global_pool(x, spec, name):
    maps = x if isinstance(x, list) else [x]
    pools = [pool for x in maps for pool in (layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x))]
    return layers.Concatenate(name=name)(pools)
`,
};
