import { existsSync } from "node:fs";
import { basename } from "node:path";
import { FarmError } from "@loc2vec/core";
import { type Labels, labelsOfPoints } from "@loc2vec/evaluation";
import type { FarmContext } from "@loc2vec/farm";
import { channelsOfVenues, describeBad, nearestVenues, type Profile, readLabels } from "@loc2vec/gis";

/** What labels are read from, but for the imported map. */
export interface LabelFile {
  path: string;
  column: string;
}

/** What `--labels` names. */
export interface LabelSources {
  isMap: boolean;
  files: readonly LabelFile[];
}

/**
 * Reads `map`, `none` and `FILE:COLUMN`. A colon may be of the file's name or of the column's: the first one counts that has a
 * file before it.
 *
 * @throws FarmError `usage` for what is none of these, and for the same one twice
 */
export function parseSources(texts: readonly string[]): LabelSources {
  const wrong = (what: string): FarmError =>
    new FarmError("usage", `--labels ${what}`, "map, none, or FILE:COLUMN, e.g. lodging.csv:price");
  const twice = texts.find((text, at) => texts.indexOf(text) < at);
  if (twice !== undefined) throw wrong(`${twice}: named twice`);
  if (texts.includes("none") && texts.length > 1) throw wrong(`${texts.join(" ")}: none stands alone`);
  const files = texts
    .filter((text) => text !== "map" && text !== "none")
    .map((text) => {
      const parts = [...text.matchAll(/:/g)].map(({ index }) => ({
        path: text.slice(0, index),
        column: text.slice(index + 1),
      }));
      const file = parts.find(({ path }) => existsSync(path)) ?? parts.at(-1);
      if (file === undefined) throw wrong(`${text}: names no column`);
      if (file.path === "" || file.column === "") throw wrong(`${text}: is not FILE:COLUMN`);
      return file;
    });
  return { isMap: texts.includes("map"), files };
}

export interface FileLabelOptions {
  /** Points farther from a location do not count, metres. */
  within: number;
  /** Columns of numbers whose logarithm is learned. */
  logLabels: readonly string[];
  skipBad: number;
}

/**
 * Reads the labels of files. Each is called by its column, and by its file, too, where several have one of that name.
 *
 * @throws FarmError `usage` when a logarithm is to be taken of a column that no file is asked for; `input` for what cannot be
 *   read, naming file, row and column
 */
export async function readFileLabels(
  { signal, log }: Pick<FarmContext, "signal" | "log">,
  files: readonly LabelFile[],
  { within, logLabels, skipBad }: FileLabelOptions,
): Promise<Labels[]> {
  const unknown = logLabels.find((name) => !files.some(({ column }) => column === name));
  if (unknown !== undefined) {
    const named = files.map(({ column }) => column).join(", ") || "none";
    throw new FarmError("usage", `--log-labels ${unknown}: --labels names ${named}`, "name one of these");
  }
  const labels: Labels[] = [];
  for (const { path, column } of files) {
    const logarithm = logLabels.includes(column);
    const read = await readLabels(path, column, { logarithm, skipBad, signal });
    const { file, bad, points, isLogarithm } = read;
    if (bad.count > 0) log(`left out: ${describeBad(file, bad, points.length + bad.count)}`);
    const isAlone = column !== "map" && files.filter((other) => other.column === column).length === 1;
    const withFile = `${basename(path)}:${column}`;
    labels.push(
      labelsOfPoints(read, {
        name: isAlone
          ? column
          : labels.some(({ name }) => name === withFile)
            ? `${path}:${column}`
            : withFile,
        meaning: `${isLogarithm ? "logarithm of " : ""}${column} of ${file}, of the nearest point within ${within} m`,
        origin: `${file}, column ${column}`,
        withinM: within,
      }),
    );
  }
  return labels;
}

/** The venues of the imported map as labels; the channels that draw them are switched off. */
export function venueLabels(databaseUrl: string, profile: Profile, within: number): Labels {
  return {
    name: "map",
    kind: "classes",
    meaning: `class of the nearest venue within ${within} m`,
    of: (places) => nearestVenues({ databaseUrl, profile, places, withinM: within }),
    masked: channelsOfVenues(profile),
  };
}
