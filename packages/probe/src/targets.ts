import { FarmError, type Place } from "@loc2vec/core";

/** What is to be told of each row: the code of its class, or its number. */
export interface Targets {
  /** Names of the classes, sorted, by code; undefined where numbers are told. */
  classes: readonly string[] | undefined;
  /** Of each row, float64 [rows]. */
  values: Float64Array;
}

/** Labelled points, which may share places: of words, which are classes, or of numbers. */
export type Labelled =
  | { kind: "classes"; points: readonly (Place & { label: string })[] }
  | { kind: "numbers"; points: readonly (Place & { label: number })[] };

/** A class that is left out, and why. */
export interface LeftOutClass {
  name: string;
  rows: number;
  /** Blocks of ground in which it occurs. */
  blocks: number;
}

/** Rows of a class, and of all, without which nothing is said. */
export const LEAST_ROWS = 20;

/** Rows that are judged, in the order of the points that are left. */
export interface Chosen {
  /** Indices of the points. */
  rows: number[];
  targets: Targets;
  /** Sorted by name. */
  leftOut: LeftOutClass[];
}

/**
 * Makes targets of labels. A class of fewer than {@link LEAST_ROWS} rows, or in fewer blocks of ground than there are folds, is
 * left out: some fold would have none to learn it from, or none to ask for.
 *
 * @param blockOf of each point the number of its block
 * @param origin file and column, for errors
 * @throws FarmError `input` where too few rows are left, or one class alone
 */
export function chooseTargets(
  labelled: Labelled,
  { blockOf, folds, origin }: { blockOf: Int32Array; folds: number; origin: string },
): Chosen {
  const all = [...labelled.points.keys()];
  if (labelled.kind === "numbers") {
    checkEnough(all.length, origin, "", "");
    return {
      rows: all,
      targets: { classes: undefined, values: Float64Array.from(labelled.points, ({ label }) => label) },
      leftOut: [],
    };
  }
  const { points } = labelled;
  const seen = new Map<string, { rows: number; blocks: Set<number> }>();
  for (const [row, { label }] of points.entries()) {
    const one = seen.get(label) ?? { rows: 0, blocks: new Set() };
    one.rows++;
    one.blocks.add(blockOf[row] as number);
    seen.set(label, one);
  }
  const isRare = ({ rows, blocks }: { rows: number; blocks: Set<number> }): boolean =>
    rows < LEAST_ROWS || blocks.size < folds;
  const sorted = [...seen].sort(([a], [b]) => (a < b ? -1 : 1));
  const classes = sorted.filter(([, one]) => !isRare(one)).map(([name]) => name);
  const leftOut = sorted
    .filter(([, one]) => isRare(one))
    .map(([name, { rows, blocks }]) => ({ name, rows, blocks: blocks.size }));
  const without = leftOut.length > 0 ? `; left out: ${describeLeftOut(leftOut)}` : "";
  const codes = new Map(classes.map((name, code) => [name, code]));
  const rows = all.filter((row) => codes.has((points[row] as { label: string }).label));
  // Enough rows of a class, on too few blocks: they are too large.
  const isCrowded = leftOut.some((one) => one.rows >= LEAST_ROWS);
  const smaller = isCrowded ? ", or a smaller --block or --folds" : "";
  checkEnough(rows.length, origin, without, smaller);
  if (classes.length < 2)
    throw new FarmError(
      "input",
      `${origin}: one class only, ${JSON.stringify(classes[0])}${without}`,
      `give labels of two classes or more, of each ${LEAST_ROWS} in ${folds} blocks of ground${smaller}`,
    );
  const values = Float64Array.from(
    rows,
    (row) => codes.get((points[row] as { label: string }).label) as number,
  );
  return { rows, targets: { classes, values }, leftOut };
}

function checkEnough(rows: number, origin: string, without: string, smaller: string): void {
  if (rows >= LEAST_ROWS) return;
  throw new FarmError(
    "input",
    `${origin}: ${rows} labelled places are too few, ${LEAST_ROWS} are needed${without}`,
    `give more labels of that ground, or coarser ones${smaller}`,
  );
}

/** `tent (3 rows in 2 blocks), …`, eight at most. */
export function describeLeftOut(leftOut: readonly LeftOutClass[]): string {
  const told = leftOut
    .slice(0, 8)
    .map(({ name, rows, blocks }) => `${name} (${rows} rows in ${blocks} block${blocks === 1 ? "" : "s"})`);
  return `${told.join(", ")}${leftOut.length > 8 ? ` and ${leftOut.length - 8} more` : ""}`;
}
