import { FarmError } from "@loc2vec/core";
import { rowsOf } from "./geojson.ts";
import type { Row } from "./location.ts";
import { badRow } from "./location.ts";
import { linesOf } from "./text.ts";

/** Begins each text of a sequence (RFC 8142). */
export const RECORD_SEPARATOR = "\x1e";
/** Bytes at most of one text, which may go over lines. */
const MAX_TEXT = 64 * 1024 * 1024;

/**
 * The rows of JSON texts, one a line, or each after a record separator (RFC 8142, GeoJSON text sequences). A row is named by
 * the line its text begins in. A text that is not JSON is a bad row.
 *
 * @param separated whether texts begin with a record separator, and may go over several lines
 * @param label key that holds labels, where it is another than `label`
 */
export async function* sequenceRows(
  text: AsyncIterable<string>,
  file: string,
  separated: boolean,
  label?: string,
): AsyncGenerator<Row> {
  let begun = { row: 1, text: "" };
  for await (const lines of linesOf(text, file)) {
    for (const { row, text: line } of lines) {
      const [rest = "", ...texts] = line.split(RECORD_SEPARATOR);
      if (separated) begun.text += `\n${rest}`;
      else {
        yield* rowsOfText(begun, file, label);
        begun = { row, text: rest };
      }
      for (const text of texts) {
        yield* rowsOfText(begun, file, label);
        begun = { row, text };
      }
      if (begun.text.length > MAX_TEXT)
        throw new FarmError(
          "input",
          `${file}, row ${begun.row}: a text of more than 64 MiB`,
          "one location a text",
        );
    }
  }
  yield* rowsOfText(begun, file, label);
}

function* rowsOfText(
  { row, text }: { row: number; text: string },
  file: string,
  label: string | undefined,
): Generator<Row> {
  const place = `row ${row}`;
  if (text.trim() === "") return;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    yield badRow(place, "not JSON", "one object a line");
    return;
  }
  yield* rowsOf(value, place, file, label);
}
