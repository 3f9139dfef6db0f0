import { errorMessage, FarmError } from "@loc2vec/core";
import { none } from "stream-chain/defs.js";
import { Assembler } from "stream-json/core/assembler.js";
import { jsonParser, type Token } from "stream-json/core/parser.js";
import { checkCrs, rowsOf } from "./geojson.ts";
import type { Row } from "./location.ts";

/** Members of a top-level object whose elements are rows, and what one of them is called. */
const LISTS = new Map([
  ["features", "feature"],
  ["geometries", "geometry"],
]);
/** Characters that are parsed at once when it is looked for the place where JSON is none. */
const STEP = 64;

/**
 * The rows of JSON that goes over lines as it likes: a FeatureCollection, a GeometryCollection, an array, one object, or
 * several after each other. One feature or element is held at a time: the file's size does not matter.
 *
 * @param text begins anew with each call
 * @param label key that holds labels, where it is another than `label`
 * @throws FarmError `input` for what is not JSON, naming the row, and for a reference system that is not WGS 84
 */
export async function* documentRows(
  text: () => AsyncIterable<string>,
  file: string,
  label?: string,
): AsyncGenerator<Row> {
  const parse = openParser();
  const reader = new Reader(file, label);
  for await (const chunk of text()) {
    yield* reader.take(await tokensOf(() => parse(chunk), text, file));
  }
  yield* reader.take(await tokensOf(() => parse(none), text, file));
}

async function tokensOf(
  parse: () => Token[],
  text: () => AsyncIterable<string>,
  file: string,
): Promise<Token[]> {
  try {
    return parse();
  } catch (error) {
    throw await faultOf(text(), file, errorMessage(error));
  }
}

function openParser(): (chunk: string | typeof none) => Token[] {
  const parse = jsonParser({ streamValues: false, jsonStreaming: true });
  return (chunk) => {
    const tokens = parse(chunk as string);
    return tokens === none ? [] : tokens.values;
  };
}

/** Makes rows of tokens. */
class Reader {
  /** Place of the last row; empty before the first. */
  last = "";
  /** Top-level values begun. */
  private values = 0;
  /** Members so far of the top-level object that is open. */
  private members: Record<string, unknown> | undefined;
  private key = "";
  /** The list that is open: a top-level array, or that of a top-level object. */
  private list: { name: string; count: number } | undefined;
  private hadList = false;
  /** Assembles a member or an element. */
  private readonly part = new Assembler();

  private readonly file: string;
  private readonly label: string | undefined;

  constructor(file: string, label?: string) {
    this.file = file;
    this.label = label;
  }

  take(tokens: readonly Token[]): Row[] {
    const rows: Row[] = [];
    for (const token of tokens) {
      if (!this.part.done || !this.isStructure(token, rows)) {
        this.part.consume(token);
        if (this.part.done) this.finish(this.part.current, rows);
      }
    }
    return rows;
  }

  /** Whether a token opens or closes what is not held as a whole. */
  private isStructure({ name, ...token }: Token, rows: Row[]): boolean {
    const isTop = this.members === undefined && this.list === undefined;
    if (isTop && name !== "keyValue") this.values++;
    if (name === "startObject" && isTop) {
      this.members = {};
      this.hadList = false;
    } else if (name === "startArray" && isTop) {
      this.list = { name: "element", count: 0 };
    } else if (name === "keyValue") {
      this.key = (token as { value: string }).value;
    } else if (name === "startArray" && this.list === undefined && LISTS.has(this.key)) {
      this.list = { name: LISTS.get(this.key) as string, count: 0 };
      this.hadList = true;
    } else if (name === "endArray") {
      this.list = undefined;
    } else if (name === "endObject") {
      const members = this.members;
      this.members = undefined;
      if (!this.hadList) this.add(members, `object ${this.values}`, rows);
    } else {
      return false;
    }
    return true;
  }

  private finish(value: unknown, rows: Row[]): void {
    const before = this.values > 1 ? `object ${this.values}, ` : "";
    if (this.list !== undefined) {
      this.add(value, `${before}${this.list.name} ${++this.list.count}`, rows);
    } else if (this.members !== undefined) {
      if (this.key === "crs") checkCrs(value, this.file);
      this.members[this.key] = value;
    } else {
      this.add(value, `value ${this.values}`, rows);
    }
  }

  private add(value: unknown, place: string, rows: Row[]): void {
    rows.push(...rowsOf(value, place, this.file, this.label));
    this.last = place;
  }
}

/** Reads again, in small steps, up to where the text is no JSON. */
async function faultOf(text: AsyncIterable<string>, file: string, message: string): Promise<FarmError> {
  const parse = openParser();
  const reader = new Reader(file);
  let row = 1;
  const where = (): string => (reader.last === "" ? "" : `, after ${reader.last}`);
  for await (const chunk of text) {
    for (const line of chunk.split(/(?<=\n|\r(?!\n))/)) {
      try {
        for (let at = 0; at < line.length; at += STEP) reader.take(parse(line.slice(at, at + STEP)));
      } catch {
        const why = message.replace(/^Parser (cannot parse input: |has )?/, "");
        return new FarmError("input", `${file}, row ${row}${where()}: not JSON (${why})`, "write it anew");
      }
      if (/[\r\n]$/.test(line)) row++;
    }
  }
  return new FarmError(
    "input",
    `${file}, row ${row}${where()}: the JSON is cut off`,
    "fetch or write it again",
  );
}
