import type { Attribute, Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";

/** What an operation computes in. */
export type Real = "float32" | "bfloat16";

/** An op's attributes, by what it computes in. They are made once: TensorFlow's binding encodes each such object once. */
export type AttributesByType = Readonly<Record<Real, Attributes>>;

/** @param attributesOf from the type, as the attribute `T`, to the op's attributes */
export function byType(attributesOf: (T: Attribute) => Attributes): AttributesByType {
  return { float32: attributesOf({ type: "float32" }), bfloat16: attributesOf({ type: "bfloat16" }) };
}

/** The order of a feature map's axes in a mini-batch: [tile, y, x, channel]. */
export const NHWC = { data_format: { string: "NHWC" } } as const;

/** TensorFlow, computing in one type. */
export interface Engine {
  readonly tensorflow: Tensorflow;
  readonly type: Real;
  /** Runs an op of one output. */
  op(name: string, inputs: readonly Tensor[], attributes: Attributes | AttributesByType): Tensor;
}

export function engineOf(tensorflow: Tensorflow, type: Real): Engine {
  return {
    tensorflow,
    type,
    op: (name, inputs, attributes) => {
      const ofType = "bfloat16" in attributes ? (attributes as AttributesByType)[type] : attributes;
      return tensorflow.op(name, inputs, ofType as Attributes)[0] as Tensor;
    },
  };
}

const CAST: Readonly<Record<Real, Attributes>> = {
  float32: { SrcT: { type: "bfloat16" }, DstT: { type: "float32" } },
  bfloat16: { SrcT: { type: "float32" }, DstT: { type: "bfloat16" } },
};

/** The same tensor where it is of that type already. */
export function convert({ op }: Tensorflow, x: Tensor, from: Real, to: Real): Tensor {
  return from === to ? x : (op("Cast", [x], CAST[to])[0] as Tensor);
}
