import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Figure, renderPage, type Svg } from "@loc2vec/atlas";
import type { Place } from "@loc2vec/core";
import type { Judgement } from "./judge.ts";
import { curves, errorMap, nameOf, ranking, SCORE_WORDS } from "./pictures.ts";
import type { Targets } from "./targets.ts";

export interface ReportOptions {
  /** What is told: `price of lodging.csv`. */
  meaning: string;
  judgement: Judgement;
  /** Of the rows. */
  places: readonly Place[];
  targets: Targets;
  /** Pairs of name and value for the head of the page. */
  facts: readonly (readonly [string, string])[];
  attribution: string;
}

/**
 * Writes a page of what was found, with its pictures: who tells it how well, how many labels it takes, where it errs.
 *
 * @returns paths of the files, the page first
 */
export async function writeReport(folder: string, options: ReportOptions): Promise<string[]> {
  const { meaning, judgement, places, targets, facts, attribution } = options;
  await mkdir(folder, { recursive: true });
  const { folds, seeds, border_m: borderM } = judgement;
  const how = `Cross-validated in blocks of ground: ${folds} folds, split ${seeds === 1 ? "once" : `${seeds} times`}; what was learned from lies at least ${borderM} m from what was asked for. Intervals hold the mean in 95 of 100 cases, corrected for folds that share rows.`;
  const drawn: readonly (Omit<Figure, "pictures"> & { svg: Svg })[] = [
    {
      ...{ id: "ranking", title: "Who tells it how well", made: how },
      caption: `What is asked: ${meaning}. Each line is a way to describe a place, learned from as many labels; blue has our vectors in it, alone or beside a rival.`,
      look: "A blue line that ends right of the grey one of the same name: there our vectors add something. Where they overlap, it cannot be told.",
      svg: ranking(judgement, targets),
    },
    {
      ...{ id: "labels", title: "How many labels it takes" },
      caption: "The same score, by the number of labels that were learned from.",
      look: "Which line rises first: with few labels, few numbers that are well chosen are worth more than many.",
      svg: curves(judgement, targets),
    },
    {
      ...{ id: "errors", title: "Where it errs" },
      caption:
        "Each labelled place as our vectors alone told it, from ground that it was not learned on, with the most labels.",
      look: "Whole neighbourhoods of one colour: what is told there hangs on something that the map does not show.",
      svg: errorMap(places, targets, judgement.told),
    },
  ];
  const files = await Promise.all(
    drawn.map(async ({ id, svg: { text } }) => {
      await writeFile(join(folder, `${id}.svg`), text);
      return join(folder, `${id}.svg`);
    }),
  );
  const figures = drawn.map(({ svg: { description, width, height }, ...figure }) => ({
    ...figure,
    pictures: [{ file: `${figure.id}.svg`, alt: description, width, height }],
  }));
  const page = join(folder, "index.html");
  await writeFile(page, renderPage({ title: `Probe: ${meaning}`, facts, figures, attribution }));
  return [page, ...files];
}

/** A judgement as a table for people: a line for each entrant. */
export function tableOf({ results }: Pick<Judgement, "results">): string[] {
  const names = Object.keys(results[0]?.curve[0]?.scores ?? {});
  const head = names[0] as string;
  const counts = (results[0]?.curve ?? []).map(({ labels }) => labels);
  const cells = results.map((result) => {
    const last = result.curve.at(-1)?.scores ?? {};
    const [chosen = ""] = Object.entries(result.learners).sort(([, a], [, b]) => b - a)[0] ?? [];
    return [
      nameOf(result),
      String(result.size),
      ...result.curve.slice(0, -1).map(({ scores }) => number(scores[head]?.mean)),
      ...names.map((name, at) => {
        const { mean, low, high } = last[name] ?? { mean: Number.NaN, low: Number.NaN, high: Number.NaN };
        return at === 0 ? `${number(mean)} (${number(low)} to ${number(high)})` : number(mean);
      }),
      result.gain === undefined
        ? ""
        : `${signed(result.gain.mean)} (${signed(result.gain.low)} to ${signed(result.gain.high)})`,
      chosen,
    ];
  });
  const titles = [
    ...["", "numbers", ...counts.slice(0, -1).map((count) => `${count} labels`)],
    ...names.map((name, at) => `${at === 0 ? `${counts.at(-1)} labels: ` : ""}${SCORE_WORDS[name]}`),
    ...["ours is better by, or adds", "learner, mostly"],
  ];
  const all = [titles, ...cells];
  const widths = titles.map((_, k) => Math.max(...all.map((row) => (row[k] as string).length)));
  return all.map((row) =>
    row
      .map((cell, k) =>
        k === 0 || k === row.length - 1
          ? cell.padEnd(widths[k] as number)
          : cell.padStart(widths[k] as number),
      )
      .join("  ")
      .trimEnd(),
  );
}

const number = (value: number | undefined): string => (value ?? Number.NaN).toFixed(3).replace("-", "−");
const signed = (value: number): string => `${value >= 0 ? "+" : ""}${number(value)}`;
