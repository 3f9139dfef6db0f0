export { type BatchPlan, type BatchShape, type EmptyTiles, isUsable, planBatches } from "./batches.ts";
export { type EmbedOptions, type EmbedResult, embedDataset, embeddingsPrefix } from "./embed.ts";
export { readHistory } from "./history.ts";
export {
  type Checkpoint,
  type HistoryEntry,
  lastCheckpoint,
  listCheckpoints,
  modelPrefix,
  readBest,
  readCheckpoint,
  type Settings,
} from "./model.ts";
export { findEmptyTiles, openTiles, type TileSource } from "./tiles.ts";
export { isPlateau, LIMITS, rateAt, type TrainOptions, type TrainResult, train } from "./train.ts";
