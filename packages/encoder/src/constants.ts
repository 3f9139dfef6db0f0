import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";

const made = new WeakMap<Tensorflow["tf"], Map<string, Tensor>>();

/**
 * Whole numbers as a tensor that stays: shapes, axes and the like, which ops take as inputs. There are a few dozen of them, and
 * making one takes as long as a small op.
 *
 * @param numbers one number, or a list: int32, a scalar or [length]
 */
export function constant({ tf }: Pick<Tensorflow, "tf">, numbers: number | readonly number[]): Tensor {
  return keptTensor(tf, JSON.stringify(numbers), () =>
    typeof numbers === "number" ? tf.scalar(numbers, "int32") : tf.tensor1d([...numbers], "int32"),
  );
}

/** A float32 vector of no length, for inputs that an op does not use. */
export const nothing = ({ tf }: Pick<Tensorflow, "tf">): Tensor =>
  keptTensor(tf, "nothing", () => tf.tensor1d([], "float32"));

/** A tensor that is made once and stays. */
export function keptTensor(tf: Tensorflow["tf"], key: string, make: () => Tensor): Tensor {
  const constants = made.get(tf) ?? new Map<string, Tensor>();
  made.set(tf, constants);
  const known = constants.get(key);
  if (known !== undefined && !known.isDisposed) return known;
  const tensor = tf.keep(make());
  constants.set(key, tensor);
  return tensor;
}
