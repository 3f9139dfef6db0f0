export { type Consumer, GO_ON_LATER, type Task, WAIT_FOR_SHARDS } from "./consumer.ts";
export * from "./shard.ts";
export * from "./tile-renderer.ts";
export * from "./worker.ts";
