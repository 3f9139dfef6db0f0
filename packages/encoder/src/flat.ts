import type { Attributes, Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import type { ParameterSpec } from "./architecture.ts";
import { constant, keptTensor } from "./constants.ts";
import { sizeOf } from "./layers/shape.ts";
import type { WeightArray } from "./weight-arrays.ts";

const T = { type: "float32" } as const;
const RESHAPE: Attributes = { T, Tshape: { type: "int32" } };
const DOUBLE: Attributes = { T: { type: "float64" } };
const SUM: Attributes = { T: { type: "float64" }, Tidx: { type: "int32" }, keep_dims: { bool: false } };
const WIDEN: Attributes = { SrcT: { type: "float32" }, DstT: { type: "float64" } };
const NARROW: Attributes = { SrcT: { type: "float64" }, DstT: { type: "float32" } };

/**
 * Arithmetic in float64 on vectors of one length, or with a number, in one op each: what is computed in doubles and kept in
 * float32 comes to the same bits on every device, and however many threads there are.
 */
export interface FlatMath {
  /** Float32 to float64, and back. */
  widen(a: Tensor): Tensor;
  narrow(a: Tensor): Tensor;
  add(a: Tensor, b: Tensor): Tensor;
  subtract(a: Tensor, b: Tensor): Tensor;
  multiply(a: Tensor, b: Tensor): Tensor;
  divide(a: Tensor, b: Tensor): Tensor;
  root(a: Tensor): Tensor;
  /** a + share · (b − a), from float32 to float32. */
  towards(a: Tensor, b: Tensor, share: number): Tensor;
  sum(a: Tensor): Tensor;
  /** Exact. @param kept whether the tensor stays, for a number that is needed again and again */
  number(value: number, kept?: "kept"): Tensor;
}

export function flatMath({ tf, op }: Pick<Tensorflow, "tf" | "op">): FlatMath {
  const run = (name: string, inputs: readonly Tensor[], attributes: Attributes): Tensor =>
    op(name, inputs, attributes)[0] as Tensor;
  const binary =
    (name: string) =>
    (a: Tensor, b: Tensor): Tensor =>
      run(name, [a, b], DOUBLE);
  const [add, subtract, multiply] = [binary("AddV2"), binary("Sub"), binary("Mul")] as const;
  const widen = (a: Tensor): Tensor => run("Cast", [a], WIDEN);
  const narrow = (a: Tensor): Tensor => run("Cast", [a], NARROW);
  const sum = (a: Tensor): Tensor => run("Sum", [a, constant({ tf }, [0])], SUM);
  /** tfjs has no float64: three float32 have its 53 bits, and their sum is exact. */
  const make = (value: number): Tensor => {
    const high = Math.fround(value);
    const middle = Math.fround(value - high);
    return sum(widen(tf.tensor1d([high, middle, value - high - middle], "float32")));
  };
  return {
    ...{ widen, narrow, add, subtract, multiply, sum },
    divide: binary("RealDiv"),
    root: (a) => run("Sqrt", [a], DOUBLE),
    number: (value, kept) => (kept ? keptTensor(tf, `float64 ${value}`, () => make(value)) : make(value)),
    towards: (a, b, share) => {
      const [from, to] = [widen(a), widen(b)];
      return narrow(add(from, multiply(subtract(to, from), make(share))));
    },
  };
}

/** Some weights one after another, as one vector on the device: what is done to all of them takes few ops. */
export interface Flat {
  /** In their order. */
  readonly names: readonly string[];
  /** How many numbers. */
  readonly size: number;
  /** From arrays to the vector. */
  upload(arrayOf: (name: string) => Float32Array | undefined): Tensor;
  /** Joins tensors of the weights' sizes. */
  join(tensorOf: (name: string) => Tensor): Tensor;
  /** The weights of a vector, each in its shape. */
  split(vector: Tensor): Map<string, Tensor>;
  /** Reads a vector back. @param nameOf what a weight is called in the result */
  read(vector: Tensor, nameOf?: (name: string) => string): Map<string, WeightArray>;
}

/** @param parameters one or more */
export function flatOf(
  { tf, op }: Pick<Tensorflow, "tf" | "op">,
  parameters: readonly ParameterSpec[],
): Flat {
  const parts = parameters.map(({ name, shape }) => ({ name, shape: [...shape], size: sizeOf(shape) }));
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const sizes = parts.map((part) => part.size);
  /** tfjs's own makes a tensor of the shape each time. */
  const reshape = (tensor: Tensor, shape: readonly number[]): Tensor =>
    op("Reshape", [tensor, constant({ tf }, shape)], RESHAPE)[0] as Tensor;
  const joining: Attributes = { T, Tidx: { type: "int32" }, N: { int: parts.length } };
  const splitting: Attributes = { T, Tlen: { type: "int32" }, num_split: { int: parts.length } };
  return {
    names: parts.map(({ name }) => name),
    size,
    upload: (arrayOf) => {
      // The tensor shares the array's memory.
      const all = new Float32Array(size);
      let at = 0;
      for (const part of parts) {
        const array = arrayOf(part.name);
        if (array !== undefined) all.set(array, at);
        at += part.size;
      }
      return tf.tensor1d(all, "float32");
    },
    join: (tensorOf) => {
      const vectors = parts.map(({ name, shape, size }) => {
        const tensor = tensorOf(name);
        return shape.length === 1 ? tensor : reshape(tensor, [size]);
      });
      return op("ConcatV2", [...vectors, constant({ tf }, 0)], joining)[0] as Tensor;
    },
    split: (vector) => {
      const inputs = [vector, constant({ tf }, sizes), constant({ tf }, 0)];
      const pieces = op("SplitV", inputs, splitting, parts.length);
      return new Map(
        parts.map(({ name, shape }, at) => {
          const piece = pieces[at] as Tensor;
          return [name, shape.length === 1 ? piece : reshape(piece, shape)];
        }),
      );
    },
    read: (vector, nameOf = (name) => name) => {
      const all = vector.dataSync() as Float32Array;
      let at = 0;
      return new Map(
        parts.map(({ name, shape, size }) => {
          const data = all.subarray(at, at + size);
          at += size;
          return [nameOf(name), { shape, data }];
        }),
      );
    },
  };
}
