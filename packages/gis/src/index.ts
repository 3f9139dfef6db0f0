export { ensureDatabase } from "./database.ts";
export * from "./demo.ts";
export * from "./import.ts";
export * from "./locations.ts";
export { checkOsmFile, type OsmFile, type OsmFormat } from "./osmfile.ts";
export * from "./profile.ts";
export * from "./sample.ts";
export * from "./style.ts";
export * from "./table.ts";
