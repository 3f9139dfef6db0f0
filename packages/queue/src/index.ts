export { type ConnectOptions, checkClock, connectRedis } from "./connection.ts";
export {
  countJobs,
  type EnqueueOptions,
  type EnqueueResult,
  enqueueShards,
  type Follow,
  hasOpenJobs,
  type JobState,
  OPEN_STATES,
  otherStores,
  retryFailed,
  shardsInState,
  untilNextLook,
  type Which,
} from "./jobs.ts";
export {
  type DatasetPlace,
  finalizeJobId,
  jobName,
  modelJobId,
  parsePayload,
  rasterJobId,
} from "./payloads.ts";
export {
  type RasterProgress,
  rasterProgress,
  type ShardFailure,
  type StageJob,
  stageJobs,
  type WaitOptions,
} from "./progress.ts";
export {
  ATTEMPTS,
  closeRedis,
  type FarmQueue,
  type FarmQueues,
  type JobResults,
  type OpenQueuesOptions,
  openQueues,
  type Queues,
} from "./queues.ts";
export { explainRefusal, onRedis, placeOf, refusalOf, tryWrites } from "./refusal.ts";
