import type { Tensorflow } from "@loc2vec/tensorflow";
import type { Tensor } from "@tensorflow/tfjs";
import { LARGEST_BYTE } from "./input.ts";
import type { Layer } from "./layers/kind.ts";
import { BN_EPSILON } from "./parts/normalization.ts";
import { followingParts } from "./steps.ts";
import type { WeightArray, Weights } from "./weight-arrays.ts";

/** What a layer with a kernel computes with outside training. */
export interface Folded {
  kernel: Tensor;
  bias: Tensor;
}

/**
 * Kernels with batch normalization's scale in them, and its shift as a bias, by the layers' names. With running mean μ and
 * variance σ² the scale is γ / √(σ² + ε), the shift β − μ · scale. The first kernel takes bytes.
 */
export function foldWeights(
  tf: Tensorflow["tf"],
  layers: readonly Layer[],
  weights: Weights,
): Map<string, Folded> {
  const folded = new Map<string, Folded>();
  for (const layer of layers) {
    if (layer.kernel === undefined) continue;
    const { kernel, bias } = foldLayer(
      layer,
      (name) => (weights.get(`${layer.name}.${name}`) as WeightArray).data,
    );
    folded.set(layer.name, { kernel: tf.tensor(kernel, [...layer.kernel]), bias: tf.tensor1d(bias) });
  }
  return folded;
}

function foldLayer(
  layer: Layer,
  values: (name: string) => Float32Array,
): { kernel: Float32Array; bias: Float32Array } {
  const first = layer.ordinal === 1;
  const kernel = values("kernel").map((value) => (first ? value / LARGEST_BYTE : value));
  if (!followingParts(layer).includes("normalization")) return { kernel, bias: values("bias").slice() };
  const [gamma, beta, mean, variance] = [values("gamma"), values("beta"), values("mean"), values("variance")];
  const scale = gamma.map((value, i) => value / Math.sqrt((variance[i] as number) + BN_EPSILON));
  const bias = beta.map((value, i) => value - (mean[i] as number) * (scale[i] as number));
  return { kernel: kernel.map((value, i) => value * (scale[i % scale.length] as number)), bias };
}
