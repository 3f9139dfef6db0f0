import type * as tfjs from "@tensorflow/tfjs";
import type { NativeTensor, NodeBackend } from "./backend.ts";

/** TensorFlow's types by the names that its documentation uses. */
export type DType = "float32" | "float64" | "bfloat16" | "int32" | "uint8" | "bool" | "string";

/** An op's attribute, of the kind that TensorFlow's op definition names: type, int, list(int), float, bool, string. */
export type Attribute =
  | { type: DType }
  | { int: number | readonly number[] }
  | { float: number }
  | { bool: boolean }
  | { string: string };
export type Attributes = Readonly<Record<string, Attribute>>;

/**
 * Runs any TensorFlow op by name. Its outputs are tensors like all others: `tidy` sees them. Gradients are not recorded.
 * tfjs has no uint8, bfloat16 and float64: such outputs serve other ops run by this, and reading them is an error.
 *
 * @param outputs how many the op has
 * @throws Error of TensorFlow's, e.g. for shapes that do not fit
 */
export type RunOp = (
  name: string,
  inputs: readonly tfjs.Tensor[],
  attributes: Attributes,
  outputs?: number,
) => tfjs.Tensor[];

/** Of TensorFlow's `tf_datatype.h`, TF_DOUBLE and TF_BFLOAT16: the binding does not know them. */
const UNKNOWN = { float64: 2, bfloat16: 14 } as const;
const DTYPES: Readonly<Record<Exclude<DType, keyof typeof UNKNOWN>, `TF_${Uppercase<string>}`>> = {
  float32: "TF_FLOAT",
  int32: "TF_INT32",
  uint8: "TF_UINT8",
  bool: "TF_BOOL",
  string: "TF_STRING",
};

export function opRunner(tf: typeof tfjs, backend: NodeBackend): RunOp {
  const { binding } = backend;
  const constant = (name: `TF_${Uppercase<string>}`): number => binding[name] as number;
  const encode = (name: string, attribute: Attribute): { name: string; type: number; value: unknown } => {
    if ("type" in attribute) {
      const { type } = attribute;
      const value =
        type in UNKNOWN
          ? UNKNOWN[type as keyof typeof UNKNOWN]
          : constant(DTYPES[type as keyof typeof DTYPES]);
      return { name, type: constant("TF_ATTR_TYPE"), value };
    }
    if ("int" in attribute) return { name, type: constant("TF_ATTR_INT"), value: attribute.int };
    if ("float" in attribute) return { name, type: constant("TF_ATTR_FLOAT"), value: attribute.float };
    if ("bool" in attribute) return { name, type: constant("TF_ATTR_BOOL"), value: attribute.bool };
    return { name, type: constant("TF_ATTR_STRING"), value: attribute.string };
  };
  const unknown: ReadonlySet<number> = new Set(Object.values(UNKNOWN));
  const tensorOf = (native: NativeTensor): tfjs.Tensor => {
    if (!unknown.has(native.dtype)) return backend.createOutputTensor(native);
    // To tfjs it is float32; the native tensor keeps its own type, which ops and reading go by.
    const dataId = {};
    backend.tensorMap.set(dataId, { ...native, values: null, refCount: 1 });
    return tf.engine().makeTensorFromTensorInfo({ dataId, shape: native.shape, dtype: "float32" });
  };
  // Attributes are constants of the calling code: each such object is encoded once.
  const encoded = new WeakMap<Attributes, ReturnType<typeof encode>[]>();
  return (name, inputs, attributes, outputs = 1): tfjs.Tensor[] => {
    let list = encoded.get(attributes);
    if (list === undefined) {
      list = Object.entries(attributes).map(([key, attribute]) => encode(key, attribute));
      encoded.set(attributes, list);
    }
    return backend.binding.executeOp(name, list, backend.getInputTensorIds(inputs), outputs).map(tensorOf);
  };
}
