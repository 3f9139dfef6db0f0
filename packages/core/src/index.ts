export * from "./config.ts";
export * from "./dataset.ts";
export * from "./errors.ts";
export * from "./jobs.ts";
export * from "./names.ts";
export * from "./progress.ts";
export * from "./random.ts";
export * from "./tile.ts";
