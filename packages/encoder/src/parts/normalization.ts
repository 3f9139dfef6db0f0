import type { Tensor } from "@tensorflow/tfjs";
import { nothing } from "../constants.ts";
import { byType, NHWC } from "../engine.ts";
import { floatAttribute } from "../onnx-graph.ts";
import type { Part } from "./part.ts";

/** Added to the variance, as in Keras. */
export const BN_EPSILON = 1e-3;

// Statistics, scale and shift are float32 whatever the feature maps are.
const ATTRIBUTES = byType((T) => ({
  T,
  U: { type: "float32" },
  epsilon: { float: BN_EPSILON },
  is_training: { bool: true },
  ...NHWC,
}));

export interface Normalized {
  /** As an image, [tile, y, x, channel]. */
  x: Tensor;
  gamma: Tensor;
  /** Statistics of the mini-batch, float32 [channels]; the variance with Bessel's correction. */
  mean: Tensor;
  variance: Tensor;
  /** What TensorFlow's gradient wants back. */
  reserve: readonly Tensor[];
}

const asImage = (x: Tensor): Tensor => (x.rank === 4 ? x : x.reshape([x.shape[0] as number, 1, 1, -1]));
const asBefore = (y: Tensor, x: Tensor): Tensor => (x.rank === 4 ? y : y.reshape(x.shape));

/** Batch normalization (Ioffe & Szegedy, arXiv 1502.03167, algorithm 1), by TensorFlow's fused op. */
export const normalization: Part<{ gamma: Tensor; beta: Tensor }, Normalized> = {
  weights: [
    { name: "gamma", trained: true, initial: 1 },
    { name: "beta", trained: true, initial: 0 },
    { name: "mean", trained: false, initial: 0 },
    { name: "variance", trained: false, initial: 1 },
  ],
  // It does, but its statistics are those of all that a layer gives.
  rises: false,
  forward: ({ tensorflow, type }, x, { gamma, beta }) => {
    const image = asImage(x);
    const empty = nothing(tensorflow);
    const outputs = tensorflow.op(
      "FusedBatchNormV3",
      [image, gamma, beta, empty, empty],
      ATTRIBUTES[type],
      6,
    );
    const [y, mean, variance, ...reserve] = outputs as [Tensor, Tensor, Tensor, ...Tensor[]];
    return { y: asBefore(y, x), saved: { x: image, gamma, mean, variance, reserve } };
  },
  backward: ({ tensorflow, type }, dy, { x, gamma, reserve }) => {
    const inputs = [asImage(dy), x, gamma, ...reserve];
    const outputs = tensorflow.op("FusedBatchNormGradV3", inputs, ATTRIBUTES[type], 5);
    const [dx, byGamma, byBeta] = outputs as [Tensor, Tensor, Tensor];
    return { dx: asBefore(dx, dy), operands: { gamma: byGamma, beta: byBeta } };
  },
  onnx: (graph, x, layer, weightOf) => {
    const constants = ["gamma", "beta", "mean", "variance"].map((name) =>
      graph.constant(`${layer.name}.${name}`, weightOf(name)),
    );
    return graph.node("BatchNormalization", [x, ...constants], [floatAttribute("epsilon", BN_EPSILON)]);
  },
};
