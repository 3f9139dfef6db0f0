import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import { createInterface } from "node:readline";
import {
  type Bbox,
  FarmError,
  isInside,
  LOCATION_KINDS,
  type Location,
  type LocationKind,
} from "@loc2vec/core";
import { parse } from "csv-parse";

/** Web Mercator ends at 85.06°, and a tile reaches beyond its location. */
const MAX_LATITUDE = 85;

const COLUMNS: Readonly<Record<keyof Location, readonly string[]>> = {
  lon: ["lon", "longitude", "lng", "x"],
  lat: ["lat", "latitude", "y"],
  kind: ["kind"],
  weight: ["weight"],
  label: ["label"],
};

export interface ReadOptions {
  /** Kind of locations that name none. Default `visit`. */
  kind?: LocationKind;
  /** The imported area: tells swapped columns where both numbers could be a latitude. */
  bbox?: Bbox;
}

/**
 * Reads locations from a `.csv` (header; columns lon|longitude|lng|x, lat|latitude|y, and optionally kind, weight, label),
 * a `.geojson`/`.json` (FeatureCollection of Points) or a `.ndjson`/`.jsonl` (one object a line: plain, or a GeoJSON Point
 * Feature). CSV and NDJSON are streamed. Order is kept.
 *
 * @throws FarmError `input` naming the file and the row (CSV and NDJSON: line of the file, from 1; GeoJSON: feature, from 1)
 */
export async function* readLocations(path: string, options: ReadOptions = {}): AsyncGenerator<Location> {
  const file = basename(path);
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile())
    throw new FarmError("input", `${path}: no such file`, "give a .csv, .geojson or .ndjson file");
  const rows = READERS[extname(path).toLowerCase()];
  if (rows === undefined)
    throw new FarmError("input", `${file}: unknown kind of file`, "use .csv, .geojson or .ndjson");
  let count = 0;
  for await (const { place, fields } of rows(path, file)) {
    yield toLocation(fields, `${file}, ${place}`, options);
    count++;
  }
  if (count === 0) throw new FarmError("input", `${file}: holds no location`, "add at least one row");
}

export type Fields = Partial<Record<keyof Location, unknown>>;
interface Row {
  /** `row 7` */
  place: string;
  fields: Fields;
}

const READERS: Readonly<Record<string, (path: string, file: string) => AsyncGenerator<Row>>> = {
  ".csv": readCsv,
  ".ndjson": readNdjson,
  ".jsonl": readNdjson,
  ".geojson": readGeoJson,
  ".json": readGeoJson,
};

async function* readCsv(path: string, file: string): AsyncGenerator<Row> {
  const parser = createReadStream(path).pipe(
    parse({ bom: true, trim: true, skip_empty_lines: true, info: true, relax_column_count: true }),
  );
  let columns: Partial<Record<keyof Location, number>> | undefined;
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      if (columns === undefined) {
        columns = findColumns(record, file);
        continue;
      }
      const fields: Fields = {};
      for (const [name, at] of Object.entries(columns)) fields[name as keyof Location] = record[at];
      yield { place: `row ${info.lines}`, fields };
    }
  } catch (error) {
    if (error instanceof FarmError) throw error;
    throw new FarmError(
      "input",
      `${file}: ${(error as Error).message}`,
      "quote fields that hold commas or quotes",
    );
  }
}

function findColumns(header: readonly string[], file: string): Partial<Record<keyof Location, number>> {
  const names = header.map((name) => name.toLowerCase());
  const columns: Partial<Record<keyof Location, number>> = {};
  for (const [field, aliases] of Object.entries(COLUMNS) as [keyof Location, readonly string[]][]) {
    const found = names.flatMap((name, at) => (aliases.includes(name) ? [at] : []));
    if (found.length > 1) {
      throw new FarmError("input", `${file}, row 1: two columns for ${field}`, "keep one of them");
    }
    if (found[0] !== undefined) columns[field] = found[0];
    else if (field === "lon" || field === "lat") {
      throw new FarmError(
        "input",
        `${file}, row 1: no column for ${field} in the header (${header.slice(0, 8).join(", ")})`,
        `name it one of ${aliases.join(", ")}`,
      );
    }
  }
  return columns;
}

async function* readNdjson(path: string, file: string): AsyncGenerator<Row> {
  const input = createReadStream(path);
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    if (text.trim() === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(line === 1 ? text.replace(/^\uFEFF/, "") : text);
    } catch {
      throw new FarmError("input", `${file}, row ${line}: not JSON`, "one object a line");
    }
    yield { place: `row ${line}`, fields: fieldsOf(value, `${file}, row ${line}`) };
  }
}

async function* readGeoJson(path: string, file: string): AsyncGenerator<Row> {
  let value: unknown;
  try {
    value = JSON.parse((await readFile(path, "utf8")).replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new FarmError("input", `${file}: not JSON: ${(error as Error).message}`);
  }
  const features = (value as { features?: unknown } | null)?.features;
  if (!Array.isArray(features)) {
    throw new FarmError(
      "input",
      `${file}: not a GeoJSON FeatureCollection`,
      "use .ndjson for one object a line",
    );
  }
  for (const [at, feature] of features.entries()) {
    const place = `feature ${at + 1}`;
    yield { place, fields: fieldsOf(feature, `${file}, ${place}`) };
  }
}

/** The fields of a plain object (column aliases allowed) or of a GeoJSON Point Feature. */
function fieldsOf(value: unknown, where: string): Fields {
  if (value === null || typeof value !== "object") throw new FarmError("input", `${where}: not an object`);
  const { type, geometry, properties } = value as Record<string, unknown>;
  if (type === "Feature") {
    const point = geometry as { type?: unknown; coordinates?: unknown } | null | undefined;
    if (point?.type !== "Point" || !Array.isArray(point.coordinates)) {
      throw new FarmError("input", `${where}: geometry ${String(point?.type ?? "none")} is not a Point`);
    }
    const { kind, weight, label } = (properties ?? {}) as Fields;
    return { lon: point.coordinates[0], lat: point.coordinates[1], kind, weight, label };
  }
  const fields: Fields = {};
  for (const [name, given] of Object.entries(value)) {
    for (const [field, aliases] of Object.entries(COLUMNS)) {
      if (aliases.includes(name.toLowerCase())) fields[field as keyof Location] = given;
    }
  }
  return fields;
}

const absent = (value: unknown): boolean => value === undefined || value === null || value === "";

/** A location from its fields as they were read. @param where names the place, for errors */
export function toLocation(fields: Fields, where: string, options: ReadOptions): Location {
  const number = (name: string, value: unknown): number => {
    const result =
      typeof value === "number" || (typeof value === "string" && !absent(value)) ? Number(value) : Number.NaN;
    if (Number.isFinite(result)) return result;
    throw new FarmError(
      "input",
      `${where}: ${name} ${absent(value) ? "is missing" : `${JSON.stringify(value)} is not a number`}`,
      "mend or drop the row",
    );
  };
  const lon = number("longitude", fields.lon);
  const lat = number("latitude", fields.lat);
  const swapped = "the columns seem swapped: swap lon and lat";
  if (Math.abs(lat) > 90) {
    const mend = Math.abs(lat) <= 180 && Math.abs(lon) <= 90 ? swapped : "mend or drop the row";
    throw new FarmError("input", `${where}: latitude ${lat} is not within ±90`, mend);
  }
  if (Math.abs(lon) > 180) {
    throw new FarmError("input", `${where}: longitude ${lon} is not within ±180`, "mend or drop the row");
  }
  const { bbox } = options;
  if (bbox && !isInside(bbox, { lon, lat }) && isInside(bbox, { lon: lat, lat: lon })) {
    throw new FarmError(
      "input",
      `${where}: (${lon}, ${lat}) lies in the imported area only as (${lat}, ${lon})`,
      swapped,
    );
  }
  if (Math.abs(lat) > MAX_LATITUDE) {
    throw new FarmError(
      "input",
      `${where}: latitude ${lat} is beyond ±${MAX_LATITUDE}, where Web Mercator ends`,
      "drop the row",
    );
  }
  const kind = absent(fields.kind) ? (options.kind ?? "visit") : fields.kind;
  if (!LOCATION_KINDS.includes(kind as LocationKind)) {
    throw new FarmError(
      "input",
      `${where}: unknown kind ${JSON.stringify(kind)}`,
      `one of ${LOCATION_KINDS.join(", ")}`,
    );
  }
  const location: Location = { lon, lat, kind: kind as LocationKind };
  if (!absent(fields.weight)) {
    location.weight = number("weight", fields.weight);
    if (location.weight < 0) throw new FarmError("input", `${where}: weight ${location.weight} is negative`);
  }
  if (!absent(fields.label)) location.label = String(fields.label);
  return location;
}
