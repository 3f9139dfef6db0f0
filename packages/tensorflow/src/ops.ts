import type { Tensor } from "@tensorflow/tfjs";
import type { NodeBackend, Tensorflow } from "./load.ts";

/** TensorFlow's types by the names that its documentation uses. */
export type DType = "float32" | "int32" | "uint8" | "bool" | "string";

/** An op's attribute, of the kind that TensorFlow's op definition names: type, int, list(int), float, bool, string. */
export type Attribute =
  | { type: DType }
  | { int: number | readonly number[] }
  | { float: number }
  | { bool: boolean }
  | { string: string };
export type Attributes = Readonly<Record<string, Attribute>>;

const DTYPES: Readonly<Record<DType, string>> = {
  float32: "TF_FLOAT",
  int32: "TF_INT32",
  uint8: "TF_UINT8",
  bool: "TF_BOOL",
  string: "TF_STRING",
};

export function opRunner(backend: NodeBackend): Tensorflow["op"] {
  const { binding } = backend;
  const constant = (name: string): number => binding[name] as number;
  const encode = (name: string, attribute: Attribute): { name: string; type: number; value: unknown } => {
    if ("type" in attribute)
      return { name, type: constant("TF_ATTR_TYPE"), value: constant(DTYPES[attribute.type]) };
    if ("int" in attribute) return { name, type: constant("TF_ATTR_INT"), value: attribute.int };
    if ("float" in attribute) return { name, type: constant("TF_ATTR_FLOAT"), value: attribute.float };
    if ("bool" in attribute) return { name, type: constant("TF_ATTR_BOOL"), value: attribute.bool };
    return { name, type: constant("TF_ATTR_STRING"), value: attribute.string };
  };
  // Attributes are constants of the calling code: each such object is encoded once.
  const encoded = new WeakMap<Attributes, ReturnType<typeof encode>[]>();
  return (name, inputs, attributes, outputs = 1): Tensor[] => {
    let list = encoded.get(attributes);
    if (list === undefined) {
      list = Object.entries(attributes).map(([key, attribute]) => encode(key, attribute));
      encoded.set(attributes, list);
    }
    return backend.executeMultipleOutputs(name, list, inputs, outputs);
  };
}
