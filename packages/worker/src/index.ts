export * from "./rasterizer.ts";
export * from "./shard.ts";
export * from "./worker.ts";
