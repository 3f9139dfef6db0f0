import type { EmbeddingTable } from "./table.ts";

/** A format that is one file. */
export interface FileFormat {
  /** What it is and who reads it, for people who choose. */
  about: string;
  /** Of its files' names, without a dot. */
  extension: string;
  mediaType: string;
  /** The bytes of a file, in pieces: no more than a block of the table is held. */
  encode(table: EmbeddingTable): AsyncIterable<Uint8Array>;
}

/** Loads what a format needs when it is used: every command of the farm would wait for it otherwise, and use none. */
const later = (load: () => Promise<FileFormat["encode"]>): FileFormat["encode"] =>
  async function* encode(table) {
    yield* (await load())(table);
  };

export const FILE_FORMATS = {
  geoparquet: {
    about: "GeoParquet, for GeoPandas, DuckDB, QGIS",
    extension: "parquet",
    mediaType: "application/vnd.apache.parquet",
    encode: later(async () => (await import("./geoparquet.ts")).encodeGeoParquet),
  },
  arrow: {
    about: "Arrow IPC, for pandas, Polars, R",
    extension: "arrow",
    mediaType: "application/vnd.apache.arrow.file",
    encode: later(async () => (await import("./arrow.ts")).encodeArrow),
  },
  csv: {
    about: "text, for whatever reads tables",
    extension: "csv",
    mediaType: "text/csv",
    encode: later(async () => (await import("./csv.ts")).encodeCsv),
  },
} as const satisfies Record<string, FileFormat>;

export type FileFormatName = keyof typeof FILE_FORMATS;

/** Every format that vectors are exported in, and what it is. */
export const EXPORT_FORMATS = {
  geoparquet: FILE_FORMATS.geoparquet.about,
  arrow: FILE_FORMATS.arrow.about,
  csv: FILE_FORMATS.csv.about,
  pgvector: "a table in FARM_DATABASE_URL with PostGIS and pgvector",
  projector: "a folder with pictures of the tiles, for TensorBoard's Embedding Projector",
} as const;

export type ExportFormat = keyof typeof EXPORT_FORMATS;

export function isFileFormat(format: ExportFormat): format is FileFormatName {
  return format in FILE_FORMATS;
}
