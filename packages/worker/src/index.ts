export { type Consumer, GO_ON_LATER, type Task, WAIT_FOR_SHARDS } from "./consumer.ts";
export { type RenderedShard, type RenderShardOptions, renderShard } from "./shard.ts";
export type { TileRenderer } from "./tile-renderer.ts";
export { type RunWorkerOptions, runWorker, type WorkerSummary } from "./worker.ts";
