export { gradientFeatures, pixelFeatures, principalComponents } from "./components.ts";
export {
  type Bar,
  type Curve,
  type Evaluated,
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type Labels,
} from "./evaluate.ts";
export { histogramsOf, type Lookalike, lookalikes } from "./lookalikes.ts";
export { effectiveRank, type Quality, quality, recall, tripletAccuracy, type Vectors } from "./metrics.ts";
export { fitProbe, type Probe, type Score, score } from "./probe.ts";
export type { Representation, TileShape } from "./representation.ts";
export { bagOfWords } from "./words.ts";
