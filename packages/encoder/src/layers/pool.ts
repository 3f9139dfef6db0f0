import type { Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { byType, convert, type Engine, engineOf, NHWC, type Real } from "../engine.ts";
import { intsAttribute } from "../onnx-graph.ts";
import type { LayerKind } from "./kind.ts";
import { halved } from "./shape.ts";

const schema = z.strictObject({ kind: z.literal("pool") });

const ATTRIBUTES = byType((T) => ({
  T,
  ksize: { int: [1, 2, 2, 1] },
  strides: { int: [1, 2, 2, 1] },
  padding: { string: "VALID" },
  ...NHWC,
}));

export interface Pooled {
  x: Tensor;
  y: Tensor;
  /** Where each maximum was, for the op that remembers it. */
  workspace?: Tensor;
}

/** The greatest of each 2 × 2 numbers of a channel. */
export const pool: LayerKind<z.infer<typeof schema>, Pooled> = {
  schema,
  selects: true,
  outputOf: (_, input, place) => halved(input, place),
  kernelOf: () => undefined,
  infer: (engine, x) => engine.op("MaxPool", [x], ATTRIBUTES),
  forward: (engine, x) => poolingOf(engine).forward(engine, x),
  backward: (engine, dy, saved) => ({ dx: poolingOf(engine).backward(engine, dy, saved) }),
  onnx: (graph, x) =>
    graph.node("MaxPool", [x], [intsAttribute("kernel_shape", [2, 2]), intsAttribute("strides", [2, 2])]),
  keras: `
def pool(x, spec, name):
    return layers.MaxPooling2D(name=name)(x)
`,
};

interface Pooling {
  forward(engine: Engine, x: Tensor): { y: Tensor; saved: Pooled };
  backward(engine: Engine, dy: Tensor, saved: Pooled): Tensor;
}

const PLAIN: Pooling = {
  forward: (engine, x) => {
    const y = engine.op("MaxPool", [x], ATTRIBUTES);
    return { y, saved: { x, y } };
  },
  backward: (engine, dy, { x, y }) => engine.op("MaxPoolGrad", [x, y, dy], ATTRIBUTES),
};

const nativeAttributes = (attributes: Attributes): Attributes => ({
  ...attributes,
  workspace_enabled: { bool: true },
  _kernel: { string: "MklNameChangeOp" },
});
const NATIVE_ATTRIBUTES = {
  float32: nativeAttributes(ATTRIBUTES.float32),
  bfloat16: nativeAttributes(ATTRIBUTES.bfloat16),
};

/** oneDNN's pooling, by the name that TensorFlow's graph optimizer gives it. */
const NATIVE: Pooling = {
  forward: ({ tensorflow, type }, x) => {
    const outputs = tensorflow.op("_MklNativeMaxPool", [x], NATIVE_ATTRIBUTES[type], 2);
    const [y, workspace] = outputs as [Tensor, Tensor];
    return { y, saved: { x, y, workspace } };
  },
  backward: (engine, dy, { x, y, workspace }) =>
    engine.op("_MklNativeMaxPoolGrad", [x, y, dy, workspace as Tensor], NATIVE_ATTRIBUTES),
};

/** Chosen once for each TensorFlow and type. */
const chosen = new WeakMap<Tensorflow, Map<Real, Pooling>>();

/**
 * On a CPU oneDNN's pooling: it remembers where each maximum was, while TensorFlow's own gradient looks for it again, which
 * takes a fifth of a training step. Elsewhere TensorFlow's own.
 */
function poolingOf({ tensorflow, type }: Engine): Pooling {
  const byTypes = chosen.get(tensorflow) ?? new Map<Real, Pooling>();
  chosen.set(tensorflow, byTypes);
  const pooling =
    byTypes.get(type) ?? (tensorflow.device === "CPU" && hasNative(tensorflow, type) ? NATIVE : PLAIN);
  byTypes.set(type, pooling);
  return pooling;
}

/** Not every build of TensorFlow has oneDNN's pooling, nor for every CPU: it is tried on four numbers. */
function hasNative(tensorflow: Tensorflow, type: Real): boolean {
  const { tf } = tensorflow;
  const engine = engineOf(tensorflow, type);
  let right = false;
  tf.tidy(() => {
    try {
      const x = convert(tensorflow, tf.tensor4d([1, 2, 4, 4], [1, 2, 2, 1]), "float32", type);
      const dy = convert(tensorflow, tf.tensor4d([5], [1, 1, 1, 1]), "float32", type);
      const dx = NATIVE.backward(engine, dy, NATIVE.forward(engine, x).saved);
      right = convert(tensorflow, dx, type, "float32").dataSync().join() === "0,0,5,0";
    } catch {
      // Then it is not there.
    }
  });
  return right;
}
