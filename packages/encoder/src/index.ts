export { ADAM, type AdamOptions, type AdamState } from "./adam.ts";
export {
  architectureSchema,
  chosenOf,
  countParameters,
  describeArchitecture,
  embeddingSize,
  LOC2VEC,
  type ParameterSpec,
  parametersOf,
  type StoredArchitecture,
  storedArchitecture,
} from "./architecture.ts";
export type { MovingAverage } from "./device-weights.ts";
export { DROPOUT, type Dropout } from "./dropout.ts";
export { createEmbedder, type Embedder } from "./embedder.ts";
export {
  createEncoder,
  type Encoder,
  type EncoderOptions,
  type Gradients,
  type TrainBatch,
  type UpdateOptions,
} from "./encoder.ts";
export { createInspector, type Inspector, type Look } from "./inspector.ts";
export { kerasLoader } from "./keras.ts";
export { LAYER_KINDS, type LayerKindName, type LayerSpec } from "./layers/index.ts";
export type { Layer } from "./layers/kind.ts";
export { sizeOf } from "./layers/shape.ts";
export { type Architecture, inputSide, layersOf, MOST_HALVINGS, TURNS, type Turns } from "./layout.ts";
export { LOSS_NAMES, LOSSES, type LossName } from "./losses/index.ts";
export {
  type BatchStructure,
  type Loss,
  type LossOptions,
  type LossResult,
  structureOf,
  type Triplet,
} from "./losses/loss.ts";
export { computeObjective, type Objective } from "./losses/objective.ts";
export {
  compactNetwork,
  describeNetwork,
  NETWORKS,
  type Network,
  type NetworkInput,
  type NetworkName,
  networkOf,
  networkSchema,
  type Shorthand,
} from "./network.ts";
export { encodeOnnx } from "./onnx.ts";
export { LEAK } from "./parts/activation.ts";
export { BN_EPSILON } from "./parts/normalization.ts";
export { type Precision, precisionOn } from "./precision.ts";
export { PRETRAINED_FOLDER } from "./pretrained.ts";
export { double, type Field, float, integer, join, message } from "./protobuf.ts";
export { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";
export { concatTiles } from "./tiles.ts";
export type { WeightArray, Weights } from "./weight-arrays.ts";
export { checkWeights, initialWeights } from "./weights.ts";
