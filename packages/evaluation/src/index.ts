export { type Contestant, disposeAll, type Entry, makeProbed } from "./contestants.ts";
export { describeAll, type Watch } from "./describe.ts";
export { type EvaluateOptions, evaluate } from "./evaluate.ts";
export { type Labels, labelsOfPoints, type Points } from "./labels.ts";
export { type ClassScore, fitProbe, type Probe, score } from "./logistic.ts";
export { histogramsOf, type Lookalike, lookalikes } from "./lookalikes.ts";
export type { Quality } from "./metrics.ts";
export { mask } from "./probes.ts";
export type { Representation } from "./representation.ts";
export type {
  Bar,
  ContestantKind,
  Curve,
  Evaluated,
  Evaluation,
  Figures,
  Group,
  LabelCounts,
  ProbeScore,
  ProbeScores,
} from "./result.ts";
export { fitRidge, type NumberScore, type Ridge, scoreNumbers } from "./ridge.ts";
