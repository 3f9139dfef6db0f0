export {
  type Config,
  describeConfig,
  readConfig,
  type SettingDescription,
  type SettingName,
} from "./config.ts";
export {
  DATASET_VERSION,
  type Dataset,
  datasetSchema,
  kindCode,
  locationTransforms,
  OSM_ATTRIBUTION,
  shardCount,
  shardOf,
  shardRange,
} from "./dataset.ts";
export {
  type ErrorCode,
  type ErrorKind,
  EXIT_CODES,
  errorMessage,
  FarmError,
  LocationError,
  MismatchError,
} from "./errors.ts";
export { apartM, type Footprint, footprint } from "./footprint.ts";
export {
  type Box,
  DEFAULT_HOLDOUT,
  distanceM,
  HALF_WORLD_M,
  type Holdout,
  METRES_PER_DEGREE,
  type NearestPlace,
  nearestOf,
  type Part,
  type Place,
  partOf,
  withinBox,
} from "./geo.ts";
export {
  CHECKPOINT_SCHEMA,
  type CheckpointChoice,
  type Completion,
  JOB_SCHEMAS,
  type JobPayload,
  QUEUE_NAMES,
  type Quarantined,
  type QueueName,
  type RasterJob,
  type ShardResult,
  type Training,
  type TrainJob,
} from "./jobs.ts";
export { checkName, NAME, STORE_ID } from "./names.ts";
export { processStart } from "./process.ts";
export {
  formatDuration,
  onceAMinute,
  type Progress,
  type ProgressOptions,
  startProgress,
} from "./progress.ts";
export { hashKeys, Purpose, type Random, randomOf } from "./random.ts";
export { redact, redactText } from "./secrets.ts";
export {
  checkSource,
  type DatasetIdentity,
  datasetIdentitySchema,
  describeIdentity,
  sameDataset,
  type TileSource,
} from "./source.ts";
export {
  type AugmentationOptions,
  DEFAULT_AUGMENTATION,
  type Levels,
  LOCATION_KINDS,
  type Location,
  type LocationKind,
  MAX_OFFSET_M,
  SAMPLES_PER_LOCATION,
  TILE_PIXELS,
  TILE_RADIUS_M,
  type TileTransform,
  tileTransform,
} from "./tile.ts";
export { readStoreUrl, type StorePlace } from "./urls.ts";
