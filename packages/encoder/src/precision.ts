import { FarmError } from "@loc2vec/core";
import type { Tensorflow } from "@loc2vec/tensorflow";

/**
 * What a training step computes in. `mixed`: feature maps and the kernels of convolutions in bfloat16, which has float32's
 * range, so the loss needs no scaling; weights, batch normalization's statistics, vectors and the dense layers (a
 * thousandth of the work), loss and optimizer in float32. `auto`: mixed where the device multiplies bfloat16 in hardware,
 * else float32.
 */
export type Precision = "auto" | "float32" | "mixed";

/** What `auto` becomes on a device; anything else stays as it is. */
export function precisionOn(
  { bfloat16 }: Pick<Tensorflow, "bfloat16">,
  asked: Precision,
): Exclude<Precision, "auto"> {
  if (asked !== "auto") return asked;
  return bfloat16 ? "mixed" : "float32";
}

/** {@link precisionOn}. @throws FarmError `tensorflow-missing` for `mixed` on a TensorFlow without bfloat16 */
export function checkedPrecision(tensorflow: Tensorflow, asked: Precision): Exclude<Precision, "auto"> {
  const precision = precisionOn(tensorflow, asked);
  if (precision === "float32" || tensorflow.bfloat16Kernels) return precision;
  throw new FarmError(
    "tensorflow-missing",
    `mixed precision: TensorFlow ${tensorflow.version} has no bfloat16`,
    "bind another one: FARM_TENSORFLOW=cpu (or gpu) npm run setup",
  );
}
