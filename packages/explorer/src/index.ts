export { type About, type Arranging, METHODS, type Method } from "./about.ts";
export { type Embedded, openEmbedded } from "./embedded.ts";
export { type Exploration, type ExploreOptions, explore } from "./exploration.ts";
export { type ExportOptions, exportPage, MOST_EXPORTED } from "./export.ts";
export { PAGE_FILES, PAGE_POLICY, type PageFile, pageFile } from "./page-files.ts";
export { decodeTensors, encodeTensors, type Tensor, type Tensors } from "./tensors.ts";
