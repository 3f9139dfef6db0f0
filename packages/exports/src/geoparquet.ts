import { zstdCompressSync } from "node:zlib";

import { ByteWriter, type ColumnSource, ParquetWriter, type SchemaElement } from "hyparquet-writer";
import { arrowSchemaText } from "./arrow.ts";
import type { EmbeddingTable, TableBlock } from "./table.ts";

/** Bytes of a point in well-known binary: order of bytes, type, x, y (OGC 06-103r4, 8.2). */
const POINT_BYTES = 21;

/**
 * GeoParquet 1.1: the columns of a table, `embedding` as a list of float32 and, last, `geometry`: points in well-known
 * binary, longitude first, degrees. Without a `crs` that is OGC:CRS84, which is WGS 84. A block is a row group.
 */
export async function* encodeGeoParquet(table: EmbeddingTable): AsyncGenerator<Uint8Array> {
  const bytes = new ByteWriter();
  const writer = new ParquetWriter({
    writer: bytes,
    schema: schemaOf(table),
    codec: "ZSTD",
    compressors: { ZSTD: (input) => zstdCompressSync(input) },
    createdBy: "loc2vec-farm",
  });
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for await (const block of table.blocks()) {
    for (const [i, lon] of block.lon.entries()) {
      const lat = block.lat[i] as number;
      for (const [at, value] of [lon, lat].entries()) {
        box[at] = Math.min(box[at] as number, value);
        box[at + 2] = Math.max(box[at + 2] as number, value);
      }
    }
    await writer.write({ columnData: columnsOf(table, block), rowGroupSize: block.location.length });
    yield taken(bytes);
  }
  writer.kvMetadata = [
    { key: "geo", value: JSON.stringify(geoMetadata(box)) },
    { key: "loc2vec", value: JSON.stringify(table.origin) },
    { key: "ARROW:schema", value: arrowSchemaText(table, "geometry") },
  ];
  await writer.finish();
  yield taken(bytes);
}

/** What was written since the last call. Offsets go on being those of the whole file. */
function taken(bytes: ByteWriter): Uint8Array {
  const written = bytes.getBytes().slice();
  bytes.index = 0;
  return written;
}

/** https://geoparquet.org/releases/v1.1.0/ @param bbox west, south, east, north */
const geoMetadata = (bbox: readonly number[]) => ({
  version: "1.1.0",
  primary_column: "geometry",
  columns: { geometry: { encoding: "WKB", geometry_types: ["Point"], bbox } },
});

function schemaOf({ labelled }: EmbeddingTable): SchemaElement[] {
  const text = { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } } as const;
  const required = "REQUIRED" as const;
  const columns: SchemaElement[] = [
    { name: "location", type: "INT32", repetition_type: required },
    { name: "lon", type: "DOUBLE", repetition_type: required },
    { name: "lat", type: "DOUBLE", repetition_type: required },
    { name: "kind", ...text, repetition_type: required },
    ...(labelled ? [{ name: "label", ...text, repetition_type: "OPTIONAL" as const }] : []),
    {
      ...{ name: "embedding", repetition_type: required, num_children: 1 },
      ...{ converted_type: "LIST", logical_type: { type: "LIST" } },
    },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", type: "FLOAT", repetition_type: required },
    { name: "geometry", type: "BYTE_ARRAY", repetition_type: required },
  ];
  const children = columns.filter(({ name }) => name !== "list" && name !== "element").length;
  return [{ name: "root", num_children: children }, ...columns];
}

function columnsOf(
  { size, labelled }: EmbeddingTable,
  { location, lon, lat, kind, label, vectors }: TableBlock,
): ColumnSource[] {
  const rows = Array.from(location.keys());
  return [
    { name: "location", data: location },
    { name: "lon", data: lon },
    { name: "lat", data: lat },
    { name: "kind", data: [...kind] },
    ...(labelled ? [{ name: "label", data: [...label] }] : []),
    {
      name: "embedding",
      data: rows.map((row) => Array.from(vectors.subarray(row * size, (row + 1) * size))),
      // Bytes of one significance lie together, which compresses better, and no dictionary is tried.
      encoding: "BYTE_STREAM_SPLIT",
      statistics: false,
    },
    {
      ...{ name: "geometry", statistics: false },
      data: rows.map((row) => pointOf(lon[row] as number, lat[row] as number)),
    },
  ];
}

function pointOf(lon: number, lat: number): Uint8Array {
  const point = new DataView(new ArrayBuffer(POINT_BYTES));
  point.setUint8(0, 1); // little-endian
  point.setUint32(1, 1, true); // a point
  point.setFloat64(5, lon, true);
  point.setFloat64(13, lat, true);
  return new Uint8Array(point.buffer);
}
