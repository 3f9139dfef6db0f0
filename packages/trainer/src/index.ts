export {
  type BatchPlan,
  type BatchShape,
  type EmptyTiles,
  isUsable,
  keepDrawn,
  planBatches,
} from "./batches.ts";
export { type EmbedOptions, type EmbedResult, embedDataset, embeddingsPrefix } from "./embed.ts";
export { readHistory } from "./history.ts";
export {
  type Best,
  type Checkpoint,
  type HeldoutFigures,
  type HistoryEntry,
  listCheckpoints,
  modelPrefix,
  openCheckpoint,
  readBest,
  readCheckpoint,
  type Settings,
} from "./model.ts";
export {
  chooseMinDistance,
  type Split,
  shareOfNearPairs,
  splitPlaces,
  warnOfBatches,
  warnOfHoldout,
} from "./overlap.ts";
export { findEmptyTiles, openTiles, type TileReader } from "./tiles.ts";
export { isPlateau, LIMITS, rateAt, type TrainOptions, type TrainResult, train } from "./train.ts";
