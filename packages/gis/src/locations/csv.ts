import { FarmError } from "@loc2vec/core";
import { CsvError, parse } from "csv-parse/sync";
import { type Fields, matchNames, requireColumns } from "./columns.ts";
import { badRow, type Row } from "./location.ts";
import { type Line, linesOf } from "./text.ts";

const SEPARATORS = [",", ";", "\t", "|"];
/** Excel's first line, which names the separator. */
const SEP_LINE = /^\s*"?sep=([^"])"?[\s,;|]*$/i;
/** Only a cell that begins with a quote is quoted: elsewhere quotes stand for themselves, as of inches. */
const hasQuotedCell = (text: string, separators: string): boolean =>
  text.includes('"') && new RegExp(`(?:^|[${separators.replace(/[\]\\^-]/g, "\\$&")}])\\s*"`).test(text);
/** Characters after which a quote that was opened is taken to be never closed. */
const MAX_QUOTED = 64 * 1024;
const MEND_QUOTES = "quote cells that hold quotes, and double the quotes in them";

/**
 * The rows of CSV with a header: cells separated by commas, semicolons, tabs or bars, as the header shows or a line `sep=`
 * says. Rows without any value are left out. A row is named by the line it begins in.
 *
 * @param label name of the column that holds labels, where it is another than `label`
 * @throws FarmError `input` when the header does not name lon and lat, each by one column, or not that of the labels
 */
export async function* csvRows(
  text: AsyncIterable<string>,
  file: string,
  label?: string,
): AsyncGenerator<Row> {
  const format: Format = { separator: undefined };
  let header: { columns: ReturnType<typeof requireColumns>; width: number } | undefined;
  for await (const record of recordsOf(text, file, format)) {
    if (header !== undefined) {
      const row = rowOf(record, header.columns, header.width);
      if (row !== undefined) yield row;
      continue;
    }
    const declared = format.separator === undefined ? SEP_LINE.exec(record.text)?.[1] : undefined;
    if (declared !== undefined) format.separator = declared;
    else if (/[^\s,;|"]/.test(record.text)) {
      format.separator ??= separatorOf(record.text);
      const names = headerOf(record, format.separator, file);
      const columns = requireColumns(names, `${file}, row ${record.row}`, label);
      header = { columns, width: names.length };
    }
  }
}

interface Format {
  /** Known from the header on. */
  separator: string | undefined;
}

/** A line, or several where a quoted cell holds line breaks. */
interface CsvRecord extends Line {
  /** Undefined where the quotes do not fit. */
  cells: string[] | undefined;
}

async function* recordsOf(
  text: AsyncIterable<string>,
  file: string,
  format: Format,
): AsyncGenerator<CsvRecord> {
  let lines: Line[] = [];
  function* whole(atEnd: boolean): Generator<CsvRecord> {
    let from = 0;
    while (from < lines.length) {
      const parsed = recordAt(lines, from, atEnd, format.separator);
      if (parsed === undefined) break;
      yield parsed.record;
      from += parsed.length;
    }
    lines = lines.slice(from);
  }
  for await (const block of linesOf(text, file)) {
    lines = lines.length === 0 ? block : [...lines, ...block];
    yield* whole(false);
  }
  yield* whole(true);
}

/**
 * The record that begins in a line, and its length in lines; undefined when its end is not among them yet. Where quotes do
 * not fit, it is that line alone: what follows is read for itself.
 */
function recordAt(
  lines: readonly Line[],
  from: number,
  atEnd: boolean,
  separator: string | undefined,
): { record: CsvRecord; length: number } | undefined {
  const { row, text: first } = lines[from] as Line;
  let text = first;
  let open = hasQuotedCell(first, separator ?? SEPARATORS.join("")) && hasOddQuotes(first);
  for (let length = 1; ; length++) {
    if (!open) {
      const cells = separator === undefined ? [] : cellsOf(text, separator);
      if (cells === undefined) break;
      return { record: { row, text, cells }, length };
    }
    const next = lines[from + length];
    if (text.length > MAX_QUOTED || (next === undefined && atEnd)) break;
    if (next === undefined) return undefined;
    text += `\n${next.text}`;
    if (hasOddQuotes(next.text)) open = !open;
  }
  return { record: { row, text: first, cells: undefined }, length: 1 };
}

const hasOddQuotes = (text: string): boolean => text.split('"').length % 2 === 0;

/** The cells of one record, trimmed; undefined where the quotes do not fit. */
function cellsOf(text: string, separator: string): string[] | undefined {
  if (!hasQuotedCell(text, separator)) return text.split(separator).map((cell) => cell.trim());
  try {
    const records: string[][] = parse(text, {
      delimiter: separator,
      trim: true,
      relax_column_count: true,
      record_delimiter: "\n",
    });
    return records.length === 1 ? records[0]?.map((cell) => cell.trim()) : undefined;
  } catch (error) {
    if (error instanceof CsvError) return undefined;
    throw error;
  }
}

/** The separator by which a header names lon and lat, else the one that it has most of. */
function separatorOf(header: string): string {
  const headers = SEPARATORS.map((separator) => ({ separator, names: cellsOf(header, separator) ?? [] }));
  const naming = headers.find(({ names }) => {
    try {
      const { lon, lat } = matchNames(names, "");
      return lon !== undefined && lat !== undefined;
    } catch {
      return true;
    }
  });
  return (
    naming ??
    headers.reduce((best, candidate) => (candidate.names.length > best.names.length ? candidate : best))
  ).separator;
}

function headerOf({ row, text }: CsvRecord, separator: string, file: string): string[] {
  const names = cellsOf(text, separator);
  if (names === undefined) {
    throw new FarmError("input", `${file}, row ${row}: the header's quotes do not fit`, MEND_QUOTES);
  }
  if (names.length > 1 && names.some((name) => /^[+-]?\d+[.,]\d+$/.test(name))) {
    throw new FarmError(
      "input",
      `${file}, row ${row}: no header, but values (${names.slice(0, 8).join(", ")})`,
      "name the columns in the first row, e.g. lon,lat,label",
    );
  }
  if (names.length === 1) {
    throw new FarmError(
      "input",
      `${file}, row ${row}: one column only, ${text.trim().slice(0, 60)}`,
      "separate columns by commas, semicolons or tabs, and name them in the first row, e.g. lon,lat,label",
    );
  }
  return names;
}

function rowOf(
  { row, cells }: CsvRecord,
  columns: Partial<{ [K in keyof Fields]: number }>,
  width: number,
): Row | undefined {
  const place = `row ${row}`;
  if (cells === undefined) return badRow(place, "its quotes do not fit", MEND_QUOTES);
  if (cells.every((cell) => cell === "")) return undefined;
  if (cells.length > width && cells.slice(width).some((cell) => cell !== "")) {
    return badRow(
      place,
      `${cells.length} cells, where the header names ${width}`,
      "quote cells that hold the separator, decimal commas too",
    );
  }
  const fields: Fields = {};
  for (const [field, at] of Object.entries(columns)) fields[field as keyof Fields] = cells[at];
  return { place, fields };
}
