import { isUtf8 } from "node:buffer";
import { errorMessage, FarmError, LocationError } from "@loc2vec/core";
import {
  asyncBufferFromFile,
  type FileMetaData,
  type ParquetParsers,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { wkbToGeojson } from "hyparquet/src/wkb.js";
import { compressors } from "hyparquet-compressors";
import { checkLabel, type Fields, matchNames, OTHER_FIELDS, requireColumns } from "./columns.ts";
import { isWgs84, pointsOf } from "./geojson.ts";
import { REPROJECT, type Row } from "./location.ts";

/**
 * The rows of Parquet: points of its geometry column (GeoParquet, WKB or native; Parquet's own GEOMETRY and GEOGRAPHY), else
 * of columns of lon and lat. One row group is held at a time.
 *
 * @param label name of the column that holds labels, where it is another than `label`
 * @throws FarmError `input` for a damaged file, one without such columns, and a reference system that is not WGS 84
 */
export async function* parquetRows(path: string, file: string, label?: string): AsyncGenerator<Row> {
  const buffer = await read(file, () => asyncBufferFromFile(path));
  const metadata = await read(file, () => parquetMetadataAsync(buffer, { parsers: PARSERS }));
  const names = parquetSchema(metadata).children.map(({ element }) => element.name);
  const geometry = geometryOf(metadata, file);
  const columnOf = geometry
    ? matchNames(names, file, OTHER_FIELDS, label)
    : requireColumns(names, file, label);
  checkLabel(names, file, columnOf, label);
  const fields = Object.entries(columnOf).map(
    ([field, at]) => [field as keyof Fields, names[at] as string] as const,
  );
  const columns = [...(geometry ? [geometry.column] : []), ...fields.map(([, column]) => column)];
  let row = 0;
  for (const { num_rows: length } of metadata.row_groups) {
    const [rowStart, rowEnd] = [row, row + Number(length)];
    const values = await read(file, () =>
      parquetReadObjects({
        file: buffer,
        metadata,
        columns,
        rowStart,
        rowEnd,
        compressors,
        parsers: PARSERS,
      }),
    );
    for (const value of values) {
      const place = `row ${++row}`;
      const read: Fields = {};
      for (const [field, column] of fields) read[field] = value[column];
      if (geometry) yield* pointsOf(geometry.decode(value[geometry.column]), place, read);
      else yield { place, fields: read };
    }
  }
}

async function read<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new FarmError(
      "input",
      `${file}: Parquet that cannot be read: ${errorMessage(error)}`,
      "write it again",
    );
  }
}

/** Text that is not UTF-8 stays bytes, which no label is. */
const PARSERS: Partial<ParquetParsers> = {
  stringFromBytes: (bytes) => (bytes && isUtf8(bytes) ? Buffer.from(bytes).toString("utf8") : bytes),
  geometryFromBytes: (bytes) => bytes && geometryFromWkb(bytes),
  geographyFromBytes: (bytes) => bytes && geometryFromWkb(bytes),
};

/** A GeoJSON geometry of well-known binary: ISO's, and a point in PostGIS's extended one. */
function geometryFromWkb(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const little = view.getUint8(0) === 1;
    const type = view.getUint32(1, little);
    // The extended one flags heights, measures and a reference system in the uppermost bits.
    if ((type & 0xffff) % 1000 !== 1) return wkbToGeojson({ view, offset: 0 });
    const at = type & 0x20000000 ? 9 : 5;
    const point = [view.getFloat64(at, little), view.getFloat64(at + 8, little)];
    return { type: "Point", coordinates: point.some(Number.isNaN) ? [] : point };
  } catch (error) {
    return new LocationError(`geometry that is no WKB (${errorMessage(error)})`, "write it again");
  }
}

interface GeometryColumn {
  column: string;
  /** A GeoJSON geometry of what the file holds. */
  decode: (value: unknown) => unknown;
}

type Native = { x: number; y: number };
const positionOf = ({ x, y }: Native): number[] => [x, y];

/** The encodings of GeoParquet 1.1 that hold points. */
const ENCODINGS: Readonly<Record<string, (value: never) => unknown>> = {
  WKB: (value: unknown) => value,
  point: (value: Native) => ({ type: "Point", coordinates: positionOf(value) }),
  multipoint: (value: Native[]) => ({ type: "MultiPoint", coordinates: value.map(positionOf) }),
};

/** The geometry column, if there is one. @throws FarmError `input` when it is not in WGS 84 */
function geometryOf(metadata: FileMetaData, file: string): GeometryColumn | undefined {
  const pairs = new Map((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ""]));
  const geo = pairs.get("geo");
  if (geo !== undefined) {
    const { primary_column: column, columns } = JSON.parse(geo);
    const { encoding, crs } = columns?.[column] ?? {};
    checkCrs(crs, `${file}, column ${column}`);
    const decode = ENCODINGS[encoding] as ((value: unknown) => unknown) | undefined;
    if (decode === undefined) {
      throw new FarmError(
        "input",
        `${file}, column ${column}: encoding ${encoding} holds no points`,
        "write points",
      );
    }
    return { column, decode: (value) => value && decode(value) };
  }
  for (const { element } of parquetSchema(metadata).children) {
    const type = element.logical_type;
    if (type?.type !== "GEOMETRY" && type?.type !== "GEOGRAPHY") continue;
    const { crs } = type;
    const projjson = crs?.startsWith("projjson:") ? pairs.get(crs.slice("projjson:".length)) : crs;
    checkCrs(projjson?.startsWith("{") ? JSON.parse(projjson) : projjson, `${file}, column ${element.name}`);
    return { column: element.name, decode: (value) => value };
  }
  return undefined;
}

/** @param crs its name, or PROJJSON; undefined and null say nothing, which is WGS 84 */
function checkCrs(crs: unknown, where: string): void {
  if (crs === undefined || crs === null) return;
  const { id, name } = crs as { id?: { authority: string; code: string | number }; name?: string };
  const said =
    typeof crs === "string" ? crs.replace(/^srid:/i, "EPSG:") : id ? `${id.authority}:${id.code}` : name;
  if (said !== undefined && isWgs84(said)) return;
  throw new FarmError(
    "input",
    `${where}: crs ${said}${id && name ? ` (${name})` : ""} is not WGS 84`,
    REPROJECT,
  );
}
