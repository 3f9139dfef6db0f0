export * from "./connection.ts";
export * from "./jobs.ts";
export * from "./payloads.ts";
export * from "./progress.ts";
export * from "./queues.ts";
export * from "./refusal.ts";
