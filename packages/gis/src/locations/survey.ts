import {
  type Box,
  FarmError,
  type Location,
  LocationError,
  type LocationKind,
  withinBox,
} from "@loc2vec/core";
import { coordinatesOf, MEND_ROW, onGlobe, type Row, toLocation } from "./location.ts";

export interface ReadOptions {
  /** Kind of locations that name none. Default `visit`. */
  kind?: LocationKind;
  /** The imported area: which locations lie outside is counted, and swapped columns are told by it. */
  bbox?: Box;
  /** How far tiles reach from their location, metres: as near to `bbox` a location lies within it. Default 0. */
  reachM?: number;
  /** So many bad rows, and no more, are left out. Default 0. */
  skipBad?: number;
  signal?: AbortSignal;
}

/** Rows that something is the matter with. */
export interface Exceptions {
  count: number;
  /** The first of them, as text that names the row. */
  first: readonly string[];
}

/** A list of locations that was read once and found usable. It is not held in memory, but read again. */
export interface LocationSource {
  /** File or table. */
  name: string;
  /** Locations that can be used. */
  count: number;
  /** Rows that are left out, as `skipBad` allows; the first ten are named. */
  bad: Exceptions;
  /** Usable locations outside `bbox`; the first three are named. */
  outside: Exceptions & {
    /** Those of them that lie within it with lon and lat swapped. */
    swapped: number;
  };
  /** The usable ones, in their order. */
  read(): AsyncGenerator<Location>;
}

const NAMED_BAD = 10;
const NAMED_OUTSIDE = 3;
/** From this share of rows on that fit only with lon and lat swapped, the columns are. */
const SWAPPED_SHARE = 0.9;
/** Rows between two looks at the signal. */
const BLOCK = 1024;

/**
 * Reads all rows once, to count and judge them.
 *
 * @param name name of the file or table, for errors
 * @param rows begins anew with each call
 * @throws FarmError `input` when more rows than `skipBad` are bad, saying how many, and what is wrong with the first ten; when
 *   (nearly) all fit only with lon and lat swapped; when none is left; `interrupted`
 */
export async function openSource(
  name: string,
  rows: () => AsyncIterable<Row>,
  { kind = "visit", bbox, reachM = 0, skipBad = 0, signal }: ReadOptions,
): Promise<LocationSource> {
  const bad = { count: 0, first: [] as string[] };
  const outside = { count: 0, first: [] as string[], swapped: 0 };
  const swapped = { count: 0, first: "" };
  const mends = new Set<string>();
  let [all, count] = [0, 0];
  for await (const { place, fields } of rows()) {
    if (++all % BLOCK === 0) signal?.throwIfAborted();
    try {
      if (fields instanceof LocationError) throw fields;
      const { lon, lat } = coordinatesOf(fields);
      const [fits, fitsSwapped] = [
        { lon, lat },
        { lon: lat, lat: lon },
      ].map(
        (coordinates) => onGlobe(coordinates) && (bbox === undefined || withinBox(bbox, coordinates, reachM)),
      );
      if (!fits && fitsSwapped && swapped.count++ === 0) swapped.first = `${place} (${lon}, ${lat})`;
      toLocation(fields, { lon, lat }, kind);
      count++;
      if (bbox === undefined || fits) continue;
      outside.count++;
      if (fitsSwapped) outside.swapped++;
      if (outside.first.length < NAMED_OUTSIDE) outside.first.push(`${place} (${lon}, ${lat})`);
    } catch (error) {
      if (!(error instanceof LocationError)) throw error;
      bad.count++;
      if (bad.first.length >= NAMED_BAD) continue;
      bad.first.push(`${place}: ${error.message}`);
      mends.add(error.mend);
    }
  }
  signal?.throwIfAborted();
  if (all === 0) throw new FarmError("input", `${name}: holds no location`, "add at least one row");
  if (swapped.count >= SWAPPED_SHARE * all) {
    throw new FarmError(
      "input",
      `${name}: ${swapped.count} of ${all} locations lie ${bbox ? "in the imported area" : "on the globe"} only with their coordinates swapped, first ${swapped.first}`,
      "the columns seem swapped: swap lon and lat",
    );
  }
  if (bad.count > skipBad || count === 0) {
    const [mend = MEND_ROW] = mends;
    const skip = count > 0 ? `, or leave them out: --skip-bad ${bad.count}` : "";
    throw new FarmError(
      "input",
      describeBad(name, bad, all),
      `${mends.size === 1 ? mend : "mend or drop these rows"}${skip}`,
    );
  }
  return { name, count, bad, outside, read: () => usable(rows(), kind, signal) };
}

async function* usable(
  rows: AsyncIterable<Row>,
  kind: LocationKind,
  signal: AbortSignal | undefined,
): AsyncGenerator<Location> {
  let all = 0;
  for await (const { fields } of rows) {
    if (++all % BLOCK === 0) signal?.throwIfAborted();
    if (fields instanceof LocationError) continue;
    let location: Location;
    try {
      location = toLocation(fields, coordinatesOf(fields), kind);
    } catch (error) {
      if (error instanceof LocationError) continue;
      throw error;
    }
    yield location;
  }
}

/** `a.csv, row 3: …`, or `a.csv: 12 of 40 rows are bad: row 3: …; row 9: …; and 2 more`. */
export function describeBad(name: string, { count, first }: Exceptions, all: number): string {
  if (count === 1) return `${name}, ${first[0]}`;
  const more = count > first.length ? `; and ${count - first.length} more` : "";
  return `${name}: ${count} of ${all} rows are bad: ${first.join("; ")}${more}`;
}
