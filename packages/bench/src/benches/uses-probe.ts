import { basename, extname, join } from "node:path";
import { apartM, FarmError, MAX_OFFSET_M, TILE_RADIUS_M } from "@loc2vec/core";
import { type FarmContext, type ProbeOutcome, probe } from "@loc2vec/farm";

/** Labels that lie beyond the map are left out, at most so many: cities end elsewhere than extracts. */
const MOST_BEYOND = 1000;

/** Labels that are probed. */
export interface ProbedColumn {
  labels: string;
  column: string;
  isLogarithm: boolean;
}

/** @throws FarmError `usage` for what is not FILE:COLUMN or log:FILE:COLUMN */
export function parseProbed(text: string): ProbedColumn {
  const { file, column, log } = /^(?<log>log:)?(?<file>.+):(?<column>[^:]+)$/.exec(text)?.groups ?? {};
  if (file === undefined || column === undefined)
    throw new FarmError("usage", `--labels ${text}: is not FILE:COLUMN`, "e.g. log:lodging.csv:price");
  return { labels: file, column, isLogarithm: log !== undefined };
}

export interface ProbeBenchOptions {
  model: string;
  limit: number;
  seeds: number;
  most: number;
  /** Folder of the pages. */
  out: string;
}

/** What the probe of one column found, and the lines of the table in docs/quality.md that tell it. */
export async function measureProbe(
  context: FarmContext,
  databaseUrl: string,
  { labels, column, isLogarithm }: ProbedColumn,
  { model, limit, seeds, most, out }: ProbeBenchOptions,
): Promise<{ seconds: number; table: string[] } & Pick<ProbeOutcome, "meaning" | "rows" | "judgement">> {
  const begin = performance.now();
  const { meaning, rows, judgement } = await probe(context, databaseUrl, {
    ...{ labels, column, isLogarithm, model, limit, seeds, most },
    ...{ within: 100, skipBad: MOST_BEYOND, blockM: 2000, borderM: apartM(TILE_RADIUS_M, MAX_OFFSET_M) },
    ...{ folds: 5, seed: 0, out: join(out, nameOf(labels, column)) },
  });
  const seconds = Math.round((performance.now() - begin) / 1000);
  return { meaning, rows, seconds, table: tableOf(meaning, rows, judgement), judgement };
}

/** What figures of a column are filed under: `lodging-price`. */
export const nameOf = (labels: string, column: string): string =>
  `${basename(labels, extname(labels))}-${column}`.replace(/[^\w-]+/g, "-");

/** A table of Markdown: each rival, alone and beside our numbers. */
function tableOf(meaning: string, rows: number, { results }: ProbeOutcome["judgement"]): string[] {
  const ours = results.filter(({ role }) => role === "model" || role === "naive");
  const rivals = results.filter(({ role }) => role === "rival");
  const last = (one: (typeof results)[number]) => one.curve.at(-1);
  const head = Object.keys(last(results[0] as (typeof results)[number])?.scores ?? {})[0] as string;
  const score = (one: (typeof results)[number] | undefined): string => {
    const found = one && last(one)?.scores[head];
    return found === undefined ? "" : `${digits(found.mean)} (${digits(found.low)} to ${digits(found.high)})`;
  };
  const few = (one: (typeof results)[number]): string =>
    digits(one.curve.find(({ labels }) => labels === 100)?.scores[head]?.mean ?? Number.NaN);
  const gain = (one: (typeof results)[number] | undefined): string =>
    one?.gain === undefined
      ? ""
      : `${signed(one.gain.mean)} (${signed(one.gain.low)} to ${signed(one.gain.high)})`;
  const labels = last(results[0] as (typeof results)[number])?.labels;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line([
      `${meaning}, ${rows} labels: ${head === "r2" ? "R²" : "balanced accuracy"}`,
      "numbers",
      "100 labels",
      `${labels} labels`,
      "beside ours",
      "ours adds",
    ]),
    "| --- | --- | --- | --- | --- | --- |",
    ...ours.map((one) => line([one.name, String(one.size), few(one), score(one), "", ""])),
    ...rivals.map((one) => {
      const beside = results.find(({ role, name }) => role === "beside" && name === one.name);
      return line([one.name, String(one.size), few(one), score(one), score(beside), gain(beside)]);
    }),
  ];
}

const digits = (value: number): string => value.toFixed(3).replace("-", "−");
const signed = (value: number): string => `${value >= 0 ? "+" : ""}${digits(value)}`;
