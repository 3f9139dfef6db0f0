export { type EnqueueDatasetOptions, type EnqueueDatasetResult, enqueueDataset } from "./enqueue.ts";
export { type DatasetStatus, datasetStatus } from "./status.ts";
export { type VerifyOptions, type VerifyResult, verifyDataset } from "./verify.ts";
