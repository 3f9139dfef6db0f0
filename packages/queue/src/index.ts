export * from "./connection.ts";
export * from "./jobs.ts";
export * from "./progress.ts";
export * from "./raster-queue.ts";
