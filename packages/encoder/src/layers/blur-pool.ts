import type { Attributes } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { byType, convert, type Engine, NHWC } from "../engine.ts";
import { intAttribute, intsAttribute } from "../onnx-graph.ts";
import type { LayerKind } from "./kind.ts";
import { halved } from "./shape.ts";

const schema = z.strictObject({ kind: z.literal("blur pool") });

/** Binomial, [1 2 1]ᵀ [1 2 1] / 16: the smallest of the paper's filters with a middle. */
const FILTER = [1, 2, 1, 2, 4, 2, 1, 2, 1].map((weight) => weight / 16);

/** An edge's own pixels again, once around: the greatest of them is what it is without them. */
const BORDER = [
  [0, 0],
  [1, 1],
  [1, 1],
  [0, 0],
];

const EDGED = byType((T) => ({ T, Tpaddings: { type: "int32" }, mode: { string: "SYMMETRIC" } }));
const MAXIMA = byType((T) => ({
  T,
  ksize: { int: [1, 2, 2, 1] },
  strides: { int: [1, 1, 1, 1] },
  padding: { string: "VALID" },
  ...NHWC,
}));
const BLURRED = byType(
  (T): Attributes => ({ T, strides: { int: [1, 2, 2, 1] }, padding: { string: "VALID" }, ...NHWC }),
);

export interface Blurred {
  edged: Tensor;
  maxima: Tensor;
}

const border = ({ tensorflow: { tf } }: Engine): Tensor => tf.tensor2d(BORDER, [4, 2], "int32");

/** [y, x, channel, 1]. */
function filterOf({ tensorflow, type }: Engine, channels: number): Tensor {
  const one = tensorflow.tf.tensor(FILTER, [3, 3, 1, 1], "float32");
  return convert(tensorflow, tensorflow.tf.tile(one, [1, 1, channels, 1]), "float32", type);
}

function pool(engine: Engine, x: Tensor): { y: Tensor; saved: Blurred } {
  const edged = engine.op("MirrorPad", [x, border(engine)], EDGED);
  const maxima = engine.op("MaxPool", [edged], MAXIMA);
  const filter = filterOf(engine, x.shape.at(-1) as number);
  return { y: engine.op("DepthwiseConv2dNative", [maxima, filter], BLURRED), saved: { edged, maxima } };
}

/**
 * Max-pooling that shifts with its input: the greatest of each 2 × 2 numbers, a pixel apart, then blurred, and every second
 * kept ("Making Convolutional Networks Shift-Invariant Again", arXiv 1904.11486, MaxBlurPool).
 */
export const blurPool: LayerKind<z.infer<typeof schema>, Blurred> = {
  schema,
  selects: false,
  outputOf: (_, input, place) => halved(input, place),
  kernelOf: () => undefined,
  infer: (engine, x) => pool(engine, x).y,
  forward: pool,
  backward: (engine, dy, { edged, maxima }) => {
    const shape = engine.tensorflow.tf.tensor1d(maxima.shape, "int32");
    const filter = filterOf(engine, dy.shape.at(-1) as number);
    const byMaxima = engine.op("DepthwiseConv2dNativeBackpropInput", [shape, filter, dy], BLURRED);
    const byEdged = engine.op("MaxPoolGrad", [edged, maxima, byMaxima], MAXIMA);
    return { dx: engine.op("MirrorPadGrad", [byEdged, border(engine)], EDGED) };
  },
  onnx: (graph, x, _, { name, input }) => {
    const channels = input.at(-1) as number;
    const maxima = graph.node(
      "MaxPool",
      [x],
      [intsAttribute("kernel_shape", [2, 2]), intsAttribute("pads", [1, 1, 1, 1])],
    );
    const data = Float32Array.from({ length: 9 * channels }, (_, i) => FILTER[i % 9] as number);
    const filter = graph.constant(`${name}.filter`, { shape: [channels, 1, 3, 3], data });
    return graph.node(
      "Conv",
      [maxima, filter],
      [intsAttribute("strides", [2, 2]), intAttribute("group", channels)],
    );
  },
  keras: `
def blur_pool(x, spec, name):
    x = tf.keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    x = layers.MaxPooling2D(2, strides=1)(x)
    blur = np.outer([1, 2, 1], [1, 2, 1]).reshape(3, 3, 1, 1) / 16
    blur = tf.keras.initializers.Constant(np.tile(blur, (1, 1, x.shape[-1], 1)).tolist())
    return layers.DepthwiseConv2D(
        3, strides=2, use_bias=False, depthwise_initializer=blur, trainable=False, name=name
    )(x)
`,
};
