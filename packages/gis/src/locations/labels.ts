import { FarmError, LocationError, type Place } from "@loc2vec/core";
import { openRows } from "./index.ts";
import { absent, coordinatesOf, hasComma, number, toLocation } from "./location.ts";
import { type Exceptions, openSource, type ReadOptions } from "./survey.ts";

/** A place, and what is said of it. */
export interface LabelledPoint<Label> extends Place {
  label: Label;
}

/** A column of a file of points: words, which are classes, or numbers. */
export type LabelColumn = {
  /** Name of the file, without folders. */
  file: string;
  column: string;
  /** Whether numbers are the natural logarithms of those in the file. */
  isLogarithm: boolean;
  /** Rows that were left out, as `skipBad` allows. */
  bad: Exceptions;
} & (
  | { kind: "classes"; points: readonly LabelledPoint<string>[] }
  | { kind: "numbers"; points: readonly LabelledPoint<number>[] }
);

export interface LabelOptions extends Pick<ReadOptions, "skipBad" | "signal"> {
  /** Takes the natural logarithm of a column of numbers. */
  logarithm?: boolean;
}

/** From this share of values on that are numbers, a column is one of numbers, and what is none in it is a mistake. */
const NUMBERS_SHARE = 0.9;

interface Read {
  /** `row 7` */
  place: string;
  at: Place;
  text: string;
  /** Why it is no number, where it is none. */
  value: number | LocationError;
}

/**
 * Reads labelled points: places, found as {@link openLocationFile} finds them, and one column or key beside them. Rows without
 * a value in it are not labelled, and passed over. A column is of numbers when all its values are, else of words.
 *
 * @param path CSV, GeoJSON, NDJSON or Parquet
 * @param column its name, as it is written in the file, or in another case
 * @throws FarmError `input` naming file, row and column: see {@link openLocationFile}; also when there is no such column, when
 *   none of its rows has a value, when few values among numbers are none, when a number has no logarithm, and when all
 *   values are the same
 */
export async function readLabels(
  path: string,
  column: string,
  { logarithm = false, skipBad = 0, signal }: LabelOptions = {},
): Promise<LabelColumn> {
  const { file, rows } = await openRows(path, column);
  const { bad, count } = await openSource(file, rows, { skipBad, ...(signal && { signal }) });
  const read: Read[] = [];
  for await (const { place, fields } of rows()) {
    signal?.throwIfAborted();
    if (fields instanceof LocationError || absent(fields.label)) continue;
    const located = tryTo(() => toLocation(fields, coordinatesOf(fields), "visit"));
    if (located instanceof LocationError) continue;
    const { lon, lat, label } = located;
    const text = label?.trim() ?? "";
    if (text === "") continue;
    const commas = hasComma(fields.lon) || hasComma(fields.lat);
    read.push({ place, at: { lon, lat }, text, value: tryTo(() => number(column, fields.label, commas)) });
  }
  const where = `${file}, column ${column}`;
  if (read.length === 0) {
    throw new FarmError(
      "input",
      `${where}: none of ${count} rows has a value`,
      "name the one that holds the labels",
    );
  }
  if (new Set(read.map(({ text }) => text)).size === 1) {
    const value = JSON.stringify(read[0]?.text);
    throw new FarmError(
      "input",
      `${where}: all values are ${value}`,
      "there is nothing to learn: name another",
    );
  }
  const about = { file, column, bad };
  const numbers = numbersOf(read, file);
  if (numbers === undefined) {
    if (logarithm) {
      const first = read.find(({ value }) => value instanceof LocationError) as Read;
      throw new FarmError(
        "input",
        `${file}, ${first.place}: ${(first.value as LocationError).message}, and has no logarithm`,
        "name a column of numbers",
      );
    }
    const points = read.map(({ at, text }) => ({ ...at, label: text }));
    return { ...about, isLogarithm: false, kind: "classes", points };
  }
  const low = read.filter((_, i) => (numbers[i] as number) <= 0);
  if (logarithm && low.length > 0) {
    const of = low.length > 1 ? `, the first of ${low.length},` : "";
    throw new FarmError(
      "input",
      `${file}, ${low[0]?.place}: ${column} ${low[0]?.text}${of} has no logarithm`,
      "leave such cells empty, or learn the numbers themselves",
    );
  }
  const points = read.map(({ at }, i) => {
    const value = numbers[i] as number;
    return { ...at, label: logarithm ? Math.log(value) : value };
  });
  return { ...about, isLogarithm: logarithm, kind: "numbers", points };
}

/** Undefined for a column of words. @throws FarmError `input` when it is one of numbers, but for a few */
function numbersOf(read: readonly Read[], file: string): number[] | undefined {
  const wrong = read.filter(({ value }) => value instanceof LocationError);
  const right = read.length - wrong.length;
  if (wrong.length > 0 && right >= NUMBERS_SHARE * read.length) {
    const [{ place, value }] = wrong as [Read];
    const others = wrong.length > 1 ? `, and so ${wrong.length - 1} more` : "";
    throw new FarmError(
      "input",
      `${file}, ${place}: ${(value as LocationError).message}${others}; ${right} values are numbers`,
      "leave such cells empty",
    );
  }
  return wrong.length === 0 ? read.map(({ value }) => value as number) : undefined;
}

/** What a function returns, or the reason that it throws of why a location cannot be used. */
function tryTo<T>(work: () => T): T | LocationError {
  try {
    return work();
  } catch (error) {
    if (error instanceof LocationError) return error;
    throw error;
  }
}
