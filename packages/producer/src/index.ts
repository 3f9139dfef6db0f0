export * from "./enqueue.ts";
export * from "./status.ts";
export * from "./verify.ts";
