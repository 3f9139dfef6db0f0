export { planBatches } from "./batches.ts";
export { type Best, openCheckpoint, readBest } from "./best.ts";
export { type Checkpoint, listCheckpoints, readCheckpoint } from "./checkpoint.ts";
export { describeNames, oneOrAll } from "./corpus.ts";
export { type EmbedOptions, type EmbedResult, embedDataset } from "./embed.ts";
export { type EmptyTiles, findEmptyTiles, isUsable } from "./empty.ts";
export { type Feed, type MiniBatch, openFeed } from "./feed.ts";
export type { HeldoutFigures, HistoryEntry } from "./figures.ts";
export { readHistory } from "./history.ts";
export { choicesOf, type Knob, readKnob, standardText, usageOf } from "./knobs.ts";
export { checkTrainable, PRETRAINED } from "./model.ts";
export { openPretrained } from "./pretrained.ts";
export {
  aboutRecipe,
  composeRecipe,
  KNOBS,
  parseRecipe,
  RECIPE_NAMES,
  RECIPES,
  type Recipe,
  type RecipeInput,
  type RecipeName,
} from "./recipe.ts";
export { type TrainOptions, type TrainResult, train } from "./session.ts";
export { checkCartography, datasetsOf, type Settings, sameDatasets, settle } from "./settings.ts";
export { partTogether } from "./split.ts";
export { type StepFigures, takeStep } from "./step.ts";
export { openTiles, type TileOptions, type TileReader } from "./tiles.ts";
