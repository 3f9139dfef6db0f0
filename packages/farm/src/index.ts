export { type AtlasSettings, atlas } from "./atlas.ts";
export { benchConfig, createFarmContext, type FarmContext, ROOT, withServices } from "./context.ts";
export {
  type CurrentSource,
  currentSource,
  describeDataset,
  enqueue,
  type NewDataset,
} from "./dataset.ts";
export { type EmbedSettings, embed } from "./embed.ts";
export { type ExplorerFileSettings, writeExplorer } from "./explore.ts";
export { type Exported, type ExportSettings, exportVectors } from "./export.ts";
export { type LocationChoice, openLocations } from "./locations.ts";
export { type Machine, machine } from "./machine.ts";
export { type ProbeOutcome, type ProbeSettings, probe } from "./probe.ts";
export { withQueues } from "./queues.ts";
export { readPrior, type ServeSettings, serve } from "./serve.ts";
export { openSpots, type Spots, type SpotsOptions } from "./spots.ts";
export { type TrainingView, type TrainSettings, type TrainWatch, trainModel } from "./train.ts";
export { type WorkOptions, work } from "./work.ts";
