export * from "./enqueue.ts";
export * from "./status.ts";
