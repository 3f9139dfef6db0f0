import type { Tensorflow } from "@loc2vec/tensorflow";
import { adamStep } from "../src/adam.ts";
import { flatMath } from "../src/flat.ts";
import type { AdamOptions } from "../src/index.ts";

/** Weights and Adam's moments: arrays of one length. */
export interface AdamArrays {
  weights: Float32Array;
  m: Float32Array;
  v: Float32Array;
}

/** A step of Adam on arrays. */
export function stepOfAdam(
  tensorflow: Tensorflow,
  { weights, m, v }: AdamArrays,
  gradient: Float32Array,
  step: number,
  options?: AdamOptions,
): AdamArrays {
  const { tf } = tensorflow;
  let after: AdamArrays | undefined;
  tf.tidy(() => {
    const before = { weights: tf.tensor1d(weights), m: tf.tensor1d(m), v: tf.tensor1d(v) };
    const next = adamStep(
      tensorflow,
      before,
      flatMath(tensorflow).widen(tf.tensor1d(gradient)),
      step,
      options,
    );
    const read = (name: keyof AdamArrays): Float32Array => next[name].dataSync().slice() as Float32Array;
    after = { weights: read("weights"), m: read("m"), v: read("v") };
  });
  return after as unknown as AdamArrays;
}
