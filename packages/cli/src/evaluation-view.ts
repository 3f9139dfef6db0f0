import type {
  Bar,
  Evaluated,
  Evaluation,
  Figures,
  Group,
  LabelCounts,
  ProbeScore,
} from "@loc2vec/evaluation";

/** What an evaluation found, as lines for people. */
export function linesOfEvaluation(evaluation: Evaluation): string[] {
  const { locations, geography, positives, ground, labels, bars } = evaluation;
  const rows = rowsOf(evaluation);
  return [
    `${locations.evaluated} locations of ${locations.heldout} held out${elsewhere(geography)}, ${positives} positives each; trained near ${locations.train} others, the nearest ${distance(geography.nearest_trained_m)} away${geography.overlaps ? ": their tiles can show the same ground" : ""}`,
    ...align([QUALITY_HEAD, ...rows.map(qualityCells)]),
    `who knows where every tile was taken: recall@1 ${percent(ground.recall_at_1)}, @10 ${percent(ground.recall_at_10)}; the nearest other location is ${evaluation.nearest_m.toFixed(0)} m away (median)`,
    ...labels.flatMap((counts) => [aboutLabels(counts), ...probeTable(counts.name, rows)]),
    ...bars.map(barLine),
  ];
}

/** Where models are judged, if not on squares of what they were trained on. */
function elsewhere({ kind, trained_on, seen }: Evaluation["geography"]): string {
  if (kind === "squares") return "";
  const names = [trained_on].flat().join(", ");
  return seen === undefined
    ? `, all of another data set than ${names}`
    : `, of another data set than ${names}, without ${seen} whose tiles can show ground that was trained on`;
}

const distance = (metres: number): string =>
  metres < 10_000 ? `${metres.toFixed(0)} m` : `${(metres / 1000).toFixed(0)} km`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

interface Row {
  name: string;
  size: string;
  figures: Figures;
}

/** Contestants, and after a group's last model what is said of all of it. */
function rowsOf({ results, groups }: Evaluation): Row[] {
  const models = results.filter(({ kind }) => kind === "model");
  const others = results.filter(({ kind }) => kind !== "model");
  const own = (result: Evaluated): Row => ({
    name: result.kind === "model" ? `${result.name}, ${result.loss}, step ${result.step}` : result.name,
    size: String(result.size),
    figures: result,
  });
  return [...models.map(own), ...groups.flatMap(groupRows), ...others.map(own)];
}

function groupRows({ models, size, mean, deviation, minimum, maximum }: Group): Row[] {
  const row = (name: string, figures: Figures): Row => ({ name, size: String(size), figures });
  return [
    row(`${models.length} seeds (${models.join(", ")}): mean`, mean),
    row("  standard deviation", deviation),
    row("  minimum", minimum),
    row("  maximum", maximum),
  ];
}

const QUALITY_HEAD = ["", "size", "triplets", "hard", "recall@1", "@10", "rank", "align", "uniform"];

function qualityCells({ name, size, figures }: Row): string[] {
  return [
    name,
    size,
    percent(figures.triplet_accuracy),
    percent(figures.triplet_accuracy_hard),
    percent(figures.recall_at_1),
    percent(figures.recall_at_10),
    figures.effective_rank.toFixed(2),
    figures.alignment.toFixed(3),
    figures.uniformity.toFixed(2),
  ];
}

function aboutLabels(counts: LabelCounts): string {
  const { name, meaning, masked, train, heldout } = counts;
  const asked = `probe ${name}: ${meaning}${masked.length > 0 ? `, without ${masked.join(", ")}` : ""}; ${train} to learn from, ${heldout} held out`;
  if (counts.kind === "numbers")
    return `${asked}, ${counts.mean.toPrecision(4)} ± ${counts.deviation.toPrecision(3)}`;
  const left = Object.keys(counts.left_out);
  return `${asked}, ${Object.keys(counts.classes).length} classes, the most frequent ${percent(counts.majority)}${left.length > 0 ? `; too rare: ${left.slice(0, 8).join(", ")}${left.length > 8 ? ` and ${left.length - 8} more` : ""}` : ""}`;
}

/** A row for each contestant, and for each number of labels what comes of it; nothing where there were too few labels. */
function probeTable(name: string, rows: readonly Row[]): string[] {
  const counts = Object.keys(rows[0]?.figures.probes?.[name] ?? {});
  if (counts.length === 0) return [];
  const scores = (row: Row): ProbeScore[] =>
    counts.map((count) => row.figures.probes?.[name]?.[count] as ProbeScore);
  const units = scores(rows[0] as Row).flatMap((score) =>
    "r2" in score ? ["R²", "error"] : ["right", "balanced"],
  );
  const head = units.map((unit, at) => (at % 2 === 0 ? `${counts[at / 2]}: ${unit}` : unit));
  return align([
    ["", ...head],
    ...rows.map((row) => [
      row.name,
      ...scores(row).flatMap((score) =>
        "r2" in score
          ? [score.r2.toFixed(3), score.mean_absolute_error.toPrecision(3)]
          : [percent(score.accuracy), percent(score.balanced_accuracy)],
      ),
    ]),
  ]);
}

function barLine({ bar, value, least, aim, rival, met }: Bar): string {
  const notes = [
    ...(rival === undefined ? [] : [`by ${rival}`]),
    ...(aim === undefined ? [] : [`aim ${aim.toFixed(3)}`]),
  ];
  return `${met ? "met   " : "MISSED"} ${bar}: ${value.toFixed(3)}, bar ${least.toFixed(3)}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`;
}

/** Columns as wide as their widest cell; the first flush left, the others right. */
function align(table: readonly (readonly string[])[]): string[] {
  const widths = (table[0] as readonly string[]).map((_, column) =>
    Math.max(...table.map((row) => (row[column] ?? "").length)),
  );
  return table.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
}
