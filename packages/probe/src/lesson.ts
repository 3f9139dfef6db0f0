import { type Place, Purpose, randomOf } from "@loc2vec/core";
import { gather } from "@loc2vec/space";
import { apartFrom, blocksOf, shareOut } from "./blocks.ts";
import { classesOf, type Fitted, scoresOf } from "./fitted.ts";
import { type Candidate, priorOf } from "./learners.ts";
import { headOf, type Scores, scoreClasses, scoreValues } from "./scores.ts";
import type { Targets } from "./targets.ts";

/** Rows without which nothing is chosen by. */
const LEAST = 5;

/** Rows that are learned from, and how a learner is chosen among them: the same for all that are compared. */
export interface Plan {
  rows: readonly number[];
  /** A third of the blocks is asked for; undefined where there are too few rows or blocks. */
  inner: { learn: readonly number[]; ask: readonly number[] } | undefined;
  seed: number;
}

/** @param rows that are learned from */
export function planLesson(
  places: readonly Place[],
  rows: readonly number[],
  { blockM, borderM }: { blockM: number; borderM: number },
  seed: number,
): Plan {
  const own = rows.map((row) => places[row] as Place);
  const blockOf = blocksOf(own, blockM, seed);
  const partOf = rows.length === 0 ? undefined : shareOut(blockOf, 3, seed);
  if (partOf === undefined) return { rows, inner: undefined, seed };
  const isAsked = (i: number): boolean => partOf[blockOf[i] as number] === 0;
  const ask = rows.filter((_, i) => isAsked(i));
  const learn = apartFrom(
    places,
    rows.filter((_, i) => !isAsked(i)),
    ask,
    borderM,
  );
  const isEnough = Math.min(ask.length, learn.length) >= LEAST;
  return { rows, inner: isEnough ? { learn, ask } : undefined, seed };
}

/** Features of all rows. */
export interface Table {
  /** Float32 [rows, size]. */
  data: Float32Array;
  size: number;
}

/** What was learned of some rows, by which learner. */
export interface Learned {
  learner: string;
  fitted: Fitted;
  /** Share of each class among the rows; undefined where numbers are told. */
  prior: number[] | undefined;
}

/**
 * Chooses the learner by the rows that are learned from alone, and has it learn all of them.
 *
 * @param candidates the first stands where nothing can be chosen by
 */
export function learn(
  { data, size }: Table,
  targets: Targets,
  { rows, inner, seed }: Plan,
  candidates: readonly Candidate[],
): Learned {
  const count = targets.classes?.length;
  const fitTo = (candidate: Candidate, some: readonly number[]): Learned => {
    const values = some.map((row) => targets.values[row] as number);
    return {
      learner: candidate.name,
      fitted: candidate.fit({
        ...{ features: gather(data, size, some), size, targets: values, classes: count, seed },
      }),
      prior: count === undefined ? undefined : priorOf(values, count),
    };
  };
  let chosen = candidates[0] as Candidate;
  const tried = candidates.filter(({ least = 0 }) => (inner?.learn.length ?? 0) >= least);
  if (inner !== undefined && tried.length > 1) {
    const values = inner.ask.map((row) => targets.values[row] as number);
    const marks = tried.map((candidate) => {
      const told = tell(fitTo(candidate, inner.learn), gather(data, size, inner.ask), size);
      return headOf(mark(told, values, count));
    });
    chosen = tried[marks.indexOf(Math.max(...marks))] as Candidate;
  }
  return fitTo(chosen, rows);
}

/** The class or the number of each row. @param features float32 [rows, size] */
export function tell(
  { fitted, prior }: Pick<Learned, "fitted" | "prior">,
  features: Float32Array,
  size: number,
): ArrayLike<number> {
  const scores = scoresOf(fitted, features, size, prior?.length);
  return prior === undefined ? scores : classesOf(scores, prior);
}

/** How well rows were told. @param classes how many; undefined for numbers */
export function mark(
  told: ArrayLike<number>,
  values: readonly number[],
  classes: number | undefined,
): Scores {
  return classes === undefined ? scoreValues(told, values) : scoreClasses(told, values, classes);
}

/** Draws rows, in rising order. */
export function drawRows(rows: readonly number[], count: number, seed: number, ...keys: number[]): number[] {
  if (count >= rows.length) return [...rows];
  return randomOf(seed, Purpose.probe, 4, ...keys)
    .shuffle([...rows])
    .slice(0, count)
    .sort((a, b) => a - b);
}
