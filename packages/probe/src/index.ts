export { blocksOf, type Fold, type GroundOptions, splitGround } from "./blocks.ts";
export { type Interval, intervalOf } from "./intervals.ts";
export {
  type Described,
  type Judged,
  type Judgement,
  type JudgeOptions,
  judge,
  type Point,
  type Role,
} from "./judge.ts";
export { candidatesFor } from "./learners.ts";
export { drawRows, type Learned, learn, planLesson, type Table, tell } from "./lesson.ts";
export { type ReportOptions, tableOf, writeReport } from "./report.ts";
export { openProbe, type Prediction, predict, type SavedProbe, saveProbe } from "./saved.ts";
export { type Chosen, chooseTargets, describeLeftOut, type Labelled, type Targets } from "./targets.ts";
