import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { FarmError } from "@loc2vec/core";
import { csvRows } from "./csv.ts";
import { documentRows } from "./document.ts";
import type { Row } from "./location.ts";
import { parquetRows } from "./parquet.ts";
import { RECORD_SEPARATOR, sequenceRows } from "./sequence.ts";
import { type LocationSource, openSource, type ReadOptions } from "./survey.ts";
import { type Opened, openFile } from "./text.ts";

export { describeBad, type Exceptions, type LocationSource, type ReadOptions } from "./survey.ts";

/** What a file of locations may be. */
const FORMATS = "give a file of CSV, GeoJSON, NDJSON or Parquet";

/**
 * Opens a file of locations, reads it once to judge it, and streams it then: CSV, GeoJSON (a FeatureCollection, a Feature, a
 * geometry, or a sequence of them), NDJSON, a JSON array of objects, Parquet and GeoParquet; text may be gzipped. What the
 * file holds decides, not its name. Order is kept.
 *
 * @throws FarmError `input` naming file and row (CSV, NDJSON: line of the file, from 1; GeoJSON: feature, from 1; Parquet: row,
 *   from 1); see {@link openSource}
 */
export async function openLocationFile(path: string, options: ReadOptions = {}): Promise<LocationSource> {
  const { file, rows } = await openRows(path);
  return openSource(file, rows, options);
}

/** A file of locations, whose rows nobody has judged yet. */
export interface RowFile {
  /** Its name, without folders. */
  file: string;
  /** Begins anew with each call. */
  rows: () => AsyncIterable<Row>;
}

/**
 * Opens what {@link openLocationFile} reads.
 *
 * @param label name of the column or key that holds labels, where it is another than `label`
 * @throws FarmError `input` for what is no file, or of no such format
 */
export async function openRows(path: string, label?: string): Promise<RowFile> {
  const file = basename(path);
  if (path === "-")
    throw new FarmError("input", "standard input cannot be read twice", `save it to a file; ${FORMATS}`);
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) throw new FarmError("input", `${path}: no such file`, FORMATS);
  if (info.isDirectory()) throw new FarmError("input", `${path}: a folder`, FORMATS);
  if (!info.isFile())
    throw new FarmError(
      "input",
      `${path}: a pipe or device, which cannot be read twice`,
      "save it to a file",
    );
  const opened = await openFile(path, file);
  return { file, rows: () => rowsOfFile(path, file, opened, label) };
}

function rowsOfFile(
  path: string,
  file: string,
  opened: Opened,
  label: string | undefined,
): AsyncIterable<Row> {
  if (opened.format === "parquet") return parquetRows(path, file, label);
  const { head, text } = opened;
  const begin = head.trimStart();
  if (begin.startsWith(RECORD_SEPARATOR)) return sequenceRows(text(), file, true, label);
  if (/^[[{]/.test(begin)) {
    return isObjectPerLine(begin)
      ? sequenceRows(text(), file, false, label)
      : documentRows(text, file, label);
  }
  if (begin.startsWith("<")) {
    const mend = "of KML or GPX, make GeoJSON: ogr2ogr -f GeoJSONSeq OUT.geojsonl FILE";
    throw new FarmError("input", `${file}: XML or HTML`, mend);
  }
  return csvRows(text(), file, label);
}

/** Whether a text has several lines and at least half of them are JSON objects: not those of one that goes over lines. */
function isObjectPerLine(head: string): boolean {
  const lines = head.split(/\r\n|\n|\r/).filter((line) => line.trim() !== "");
  const isObject = (line: string): boolean => {
    if (!line.trimStart().startsWith("{")) return false;
    try {
      JSON.parse(line);
      return true;
    } catch {
      return false;
    }
  };
  return lines.length > 1 && 2 * lines.filter(isObject).length >= lines.length;
}
