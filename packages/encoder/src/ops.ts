import type { Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { BN_EPSILON, LEAK } from "./architecture.ts";

/** What the encoder computes in. */
export type Real = "float32" | "bfloat16";

const NHWC = { data_format: { string: "NHWC" } } as const;

/** Attributes of the ops that the encoder is made of. */
export interface Ops {
  conv: Attributes;
  pool: Attributes;
  norm: Attributes;
  bias: Attributes;
  relu: Attributes;
  mul: Attributes;
}

function attributesOf(type: Real): Ops {
  const T = { type } as const;
  return {
    conv: { T, strides: { int: [1, 1, 1, 1] }, padding: { string: "SAME" }, ...NHWC },
    pool: {
      T,
      ksize: { int: [1, 2, 2, 1] },
      strides: { int: [1, 2, 2, 1] },
      padding: { string: "VALID" },
      ...NHWC,
    },
    // Statistics, scale and shift are float32 whatever the feature maps are.
    norm: {
      T,
      U: { type: "float32" },
      epsilon: { float: BN_EPSILON },
      is_training: { bool: true },
      ...NHWC,
    },
    bias: { T, ...NHWC },
    relu: { T, alpha: { float: LEAK } },
    mul: { T },
  };
}

export const OPS: Readonly<Record<Real, Ops>> = {
  float32: attributesOf("float32"),
  bfloat16: attributesOf("bfloat16"),
};

const float = { type: "float32" } as const;
export const MATMUL: Attributes = { T: float, transpose_a: { bool: false }, transpose_b: { bool: false } };
export const MATMUL_A: Attributes = { ...MATMUL, transpose_a: { bool: true } };
export const MATMUL_B: Attributes = { ...MATMUL, transpose_b: { bool: true } };
export const TRANSPOSE_BYTES: Attributes = { T: { type: "uint8" }, Tperm: { type: "int32" } };
export const CAST_BYTES: Readonly<Record<Real, Attributes>> = {
  float32: { SrcT: { type: "uint8" }, DstT: float },
  bfloat16: { SrcT: { type: "uint8" }, DstT: { type: "bfloat16" } },
};
const CAST: Readonly<Record<Real, Attributes>> = {
  float32: { SrcT: { type: "bfloat16" }, DstT: float },
  bfloat16: { SrcT: float, DstT: { type: "bfloat16" } },
};

/** The same tensor where it is of that type already. */
export function convert({ op }: Tensorflow, x: Tensor, from: Real, to: Real): Tensor {
  return from === to ? x : (op("Cast", [x], CAST[to])[0] as Tensor);
}

/** 2×2 max-pooling, forward and backward. */
export interface Pooling {
  /** @returns what is pooled, and what the way back needs beside it */
  forward(x: Tensor): { pooled: Tensor; workspace: Tensor | undefined };
  /** @param dy gradient by `pooled` */
  backward(x: Tensor, pooled: Tensor, dy: Tensor, workspace: Tensor | undefined): Tensor;
}

/**
 * On a CPU oneDNN's pooling, by the name that TensorFlow's graph optimizer gives it: it remembers where each maximum was,
 * while TensorFlow's own gradient looks for it again, which takes a fifth of a training step. Elsewhere TensorFlow's own.
 */
export function poolingOf(tensorflow: Tensorflow, type: Real): Pooling {
  const { tf, op, device } = tensorflow;
  const { pool } = OPS[type];
  const native: Attributes = {
    ...pool,
    workspace_enabled: { bool: true },
    _kernel: { string: "MklNameChangeOp" },
  };
  const fast: Pooling = {
    forward: (x) => {
      const [pooled, workspace] = op("_MklNativeMaxPool", [x], native, 2) as [Tensor, Tensor];
      return { pooled, workspace };
    },
    backward: (x, pooled, dy, workspace) =>
      op("_MklNativeMaxPoolGrad", [x, pooled, dy, workspace as Tensor], native)[0] as Tensor,
  };
  const plain: Pooling = {
    forward: (x) => ({ pooled: op("MaxPool", [x], pool)[0] as Tensor, workspace: undefined }),
    backward: (x, pooled, dy) => op("MaxPoolGrad", [x, pooled, dy], pool)[0] as Tensor,
  };
  if (device === "GPU") return plain;
  // Not every build of TensorFlow has it, nor for every CPU: it is tried on four numbers.
  let right = false;
  tf.tidy(() => {
    try {
      const x = convert(tensorflow, tf.tensor4d([1, 2, 4, 4], [1, 2, 2, 1]), "float32", type);
      const dy = convert(tensorflow, tf.tensor4d([5], [1, 1, 1, 1]), "float32", type);
      const { pooled, workspace } = fast.forward(x);
      const dx = convert(tensorflow, fast.backward(x, pooled, dy, workspace), type, "float32");
      right = dx.dataSync().join() === "0,0,5,0";
    } catch {
      // Then it is not there.
    }
  });
  return right ? fast : plain;
}
