export { type EvaluateOptions, evaluate } from "./evaluate.ts";
export type { Score } from "./logistic.ts";
export type { Lookalike } from "./lookalikes.ts";
export type { Quality } from "./metrics.ts";
export type { Labels } from "./probes.ts";
export type {
  Bar,
  ContestantKind,
  Curve,
  Evaluated,
  Evaluation,
  LabelCounts,
  ProbeScores,
} from "./result.ts";
