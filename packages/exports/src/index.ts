export {
  EXPORT_FORMATS,
  type ExportFormat,
  FILE_FORMATS,
  type FileFormat,
  type FileFormatName,
  isFileFormat,
} from "./formats.ts";
export { type VectorTableOptions, type WrittenTable, writeVectorTable } from "./pgvector.ts";
export { MOST_PROJECTED, type Projected, writeProjector } from "./projector.ts";
export {
  type Columns,
  type EmbeddingTable,
  type Origin,
  openTable,
  type TableBlock,
  type TableOptions,
  toBlock,
} from "./table.ts";
export { writeWholeFile } from "./whole.ts";
