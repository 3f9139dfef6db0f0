import { isUtf8 } from "node:buffer";
import { StringDecoder } from "node:string_decoder";
import { errorMessage, FarmError } from "@loc2vec/core";
import { type FileMark, hasMark } from "../marks.ts";
import { type Packing, packingOf, unpack } from "../packing.ts";

/** Bytes and characters that the kind of a file is told from. */
const HEAD = 64 * 1024;
/** Longer lines are refused: no list of locations has them, and a string has an end. */
const MAX_LINE = 64 * 1024 * 1024;

/** A file as its first bytes show it. */
export type Opened =
  | { format: "parquet" }
  | { format: "text"; head: string; text: () => AsyncIterable<string> };

const TO_GEOJSON = "make GeoJSON of it: ogr2ogr -f GeoJSONSeq -t_srs EPSG:4326 OUT.geojsonl FILE";

/** Files that are not read: their kind, what that is, and what mends it. */
const FOREIGN: readonly (readonly [kind: FileMark, what: string, mend: string])[] = [
  ["zip", "an Excel workbook or a ZIP archive", "save the sheet as CSV UTF-8, or unzip it"],
  ["old excel", "an old Excel workbook", "save the sheet as CSV UTF-8"],
  ["sqlite", "a GeoPackage or another SQLite database", TO_GEOJSON],
  ["shapefile", "a shapefile", TO_GEOJSON],
  ["flatgeobuf", "a FlatGeobuf file", TO_GEOJSON],
  ["arrow", "an Arrow (Feather) file", "save it as Parquet"],
  ["encrypted parquet", "an encrypted Parquet file", "decrypt it"],
  ["gzip", "gzip in gzip", "gunzip it"],
  ["bzip2", "compressed with bzip2", "bunzip2 it"],
  ["xz", "compressed with xz", "unxz it"],
  ["zstd", "compressed with Zstandard", "unzstd it"],
  ["tar", "a tar archive", "tar -xf it"],
];

/**
 * Opens a file by what its first bytes are, whatever its name: Parquet, or text in UTF-8 or UTF-16, also gzipped.
 *
 * @param file its name for errors
 * @throws FarmError `input` for what is neither, naming what it is where that can be told
 */
export async function openFile(path: string, file: string): Promise<Opened> {
  const raw = await headOf(bytesOf(path, undefined, file));
  const gzipped = packingOf(raw) === "gzip";
  const bytes = (): AsyncIterable<Buffer> => bytesOf(path, gzipped ? "gzip" : undefined, file);
  const head = gzipped ? await headOf(bytes()) : raw;
  if (hasMark(head, "parquet")) {
    if (gzipped) throw new FarmError("input", `${file}: Parquet in gzip`, "gunzip it");
    return { format: "parquet" };
  }
  const foreign = FOREIGN.find(([kind]) => hasMark(head, kind));
  if (foreign !== undefined) throw new FarmError("input", `${file}: ${foreign[1]}`, foreign[2]);
  const encoding = encodingOf(head, file);
  const text = (): AsyncIterable<string> =>
    encoding.utf16 === undefined ? utf8(bytes(), encoding.bom, file) : utf16(bytes(), encoding, file);
  let start = "";
  for await (const chunk of text()) {
    start += chunk;
    if (start.length >= HEAD) break;
  }
  if (start.includes("\0")) {
    throw new FarmError(
      "input",
      `${file}: holds NUL bytes, so it is no text`,
      "use CSV, GeoJSON, NDJSON or Parquet",
    );
  }
  return { format: "text", head: start.slice(0, HEAD), text };
}

async function headOf(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= HEAD) break;
  }
  return Buffer.concat(chunks);
}

async function* bytesOf(path: string, packing: Packing | undefined, file: string): AsyncGenerator<Buffer> {
  try {
    yield* unpack(path, packing, file);
  } catch (error) {
    if (error instanceof FarmError) throw error;
    throw new FarmError("input", `${file}: ${errorMessage(error)}`, "give a file that can be read");
  }
}

interface Encoding {
  /** Order of its bytes; undefined for UTF-8. */
  utf16?: "le" | "be";
  /** Bytes of the byte order mark. */
  bom: number;
}

/** By the byte order mark; without one, by the NULs beside the first character, which is ASCII in all formats. */
function encodingOf(head: Buffer, file: string): Encoding {
  const [a, b, c, d] = head;
  if (
    (a === 0xff && b === 0xfe && c === 0 && d === 0) ||
    (a === 0 && b === 0) ||
    (a && !b && !c && d === 0 && head.length > 3)
  ) {
    throw new FarmError("input", `${file}: UTF-32`, "save it as UTF-8");
  }
  if (a === 0xff && b === 0xfe) return { utf16: "le", bom: 2 };
  if (a === 0xfe && b === 0xff) return { utf16: "be", bom: 2 };
  if (a === 0xef && b === 0xbb && c === 0xbf) return { bom: 3 };
  if (a === 0 && b) return { utf16: "be", bom: 0 };
  if (a && b === 0) return { utf16: "le", bom: 0 };
  return { bom: 0 };
}

/** Counts lines as editors do: CRLF, LF and CR end one. */
class LineCounter {
  /** From 1. */
  line = 1;
  private afterCr = false;

  count(units: Iterable<number>): void {
    for (const unit of units) {
      if (unit === 13 || (unit === 10 && !this.afterCr)) this.line++;
      this.afterCr = unit === 13;
    }
  }
}

async function* utf8(bytes: AsyncIterable<Buffer>, bom: number, file: string): AsyncGenerator<string> {
  const lines = new LineCounter();
  let rest: Buffer = Buffer.alloc(0);
  let skip = bom;
  const check = (whole: Buffer): void => {
    if (!isUtf8(whole)) throw notUtf8(whole, lines, file);
    lines.count(whole);
  };
  for await (const chunk of bytes) {
    const joined = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const end = joined.length - unfinished(joined);
    const whole = joined.subarray(Math.min(skip, end), end);
    skip -= Math.min(skip, end);
    rest = joined.subarray(end);
    check(whole);
    if (whole.length > 0) yield whole.toString("utf8");
  }
  check(rest);
}

/** Bytes at the end that begin a character of more. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}

function notUtf8(bytes: Buffer, lines: LineCounter, file: string): FarmError {
  let [from, to] = [0, 0];
  for (; ; from = to + 1) {
    to = bytes.subarray(from).findIndex((byte) => byte === 10 || byte === 13);
    to = to < 0 ? bytes.length : from + to;
    if (!isUtf8(bytes.subarray(from, to)) || to === bytes.length) break;
  }
  lines.count(bytes.subarray(0, from));
  const line = bytes.subarray(from, to);
  const shown = Math.max(0, line.findIndex((byte) => byte >= 0x80) - 20);
  const text = new TextDecoder("windows-1252").decode(line.subarray(shown, shown + 40));
  return new FarmError(
    "input",
    `${file}, row ${lines.line}: not UTF-8 (as Windows-1252 it reads ${JSON.stringify(text)})`,
    "save as UTF-8, e.g. iconv -f WINDOWS-1252 -t UTF-8",
  );
}

async function* utf16(
  bytes: AsyncIterable<Buffer>,
  { utf16: order, bom }: Encoding,
  file: string,
): AsyncGenerator<string> {
  const lines = new LineCounter();
  const decoder = new StringDecoder("utf16le");
  let rest: Buffer = Buffer.alloc(0);
  let skip = bom;
  const bad = (): FarmError =>
    new FarmError("input", `${file}, row ${lines.line}: UTF-16 with half a character`, "save as UTF-8");
  for await (const chunk of bytes) {
    const joined = Buffer.concat([rest, chunk]);
    const end = joined.length - (joined.length % 2);
    rest = joined.subarray(end);
    const units = joined.subarray(Math.min(skip, end), end);
    skip -= Math.min(skip, end);
    const text = decoder.write(order === "be" ? units.swap16() : units);
    for (const half of text.matchAll(/\p{Surrogate}/gu)) {
      lines.count(codes(text.slice(0, half.index)));
      throw bad();
    }
    lines.count(codes(text));
    if (text !== "") yield text;
  }
  if (rest.length > 0 || decoder.end() !== "") throw bad();
}

function* codes(text: string): Generator<number> {
  for (let at = 0; at < text.length; at++) yield text.charCodeAt(at);
}

export interface Line {
  /** Number of the line in the file, from 1. */
  row: number;
  text: string;
}

/**
 * The lines of a text, whichever of CRLF, LF and CR ends each of them, in blocks.
 *
 * @throws FarmError `input` for a line of more than 64 MiB
 */
export async function* linesOf(chunks: AsyncIterable<string>, file: string): AsyncGenerator<Line[]> {
  let row = 1;
  let parts: string[] = [];
  let size = 0;
  let carriage = false;
  for await (const chunk of chunks) {
    // A CR that ends a chunk may be half of a CRLF.
    const text: string = carriage ? `\r${chunk}` : chunk;
    carriage = text.endsWith("\r");
    const pieces = (carriage ? text.slice(0, -1) : text).split(/\r\n|\n|\r/);
    const lines: Line[] = [];
    for (const [at, piece] of pieces.entries()) {
      parts.push(piece);
      size += piece.length;
      if (size > MAX_LINE)
        throw new FarmError("input", `${file}, row ${row}: longer than 64 MiB`, "one location a line");
      if (at === pieces.length - 1) break;
      lines.push({ row: row++, text: parts.length === 1 ? piece : parts.join("") });
      parts = [];
      size = 0;
    }
    yield lines;
  }
  yield [{ row, text: parts.join("") }];
}
