import { FarmError, type Place } from "@loc2vec/core";
import { gather } from "@loc2vec/space";
import { splitGround } from "./blocks.ts";
import { type Interval, intervalOf } from "./intervals.ts";
import { candidatesFor, constant } from "./learners.ts";
import { drawRows, learn, mark, planLesson, type Table, tell } from "./lesson.ts";
import { beside } from "./rows.ts";
import { headOf, type Scores } from "./scores.ts";
import type { Targets } from "./targets.ts";

/** Labels that are learned from, by and by; the last are as many as each fold has, or as are asked for. */
const COUNTS = [10, 30, 100, 300, 1000, 3000, 10_000] as const;

export interface JudgeOptions {
  /** Side of a block of ground, metres. */
  blockM: number;
  /** What is learned from lies at least so far from what is asked for, metres. */
  borderM: number;
  folds: number;
  /** How often the ground is split anew. */
  seeds: number;
  /** Labels that are learned from, at most. */
  most: number;
  seed: number;
  signal?: AbortSignal | undefined;
  progress?: ((done: number, total: number) => void) | undefined;
}

/** Something that describes places: ours, or a rival. */
export interface Described extends Table {
  name: string;
}

/**
 * `model`: the vectors alone; `rival`: what they are compared with; `beside`: a rival with the vectors beside it; `naive`: who
 * looks at nothing, and names the mean, or the most frequent class.
 */
export type Role = "model" | "rival" | "beside" | "naive";

export interface Point {
  labels: number;
  /** By name, e.g. `r2`. */
  scores: Record<string, Interval>;
}

export interface Judged {
  name: string;
  role: Role;
  /** Numbers of a row. */
  size: number;
  /** By rising number of labels. */
  curve: Point[];
  /** How often each learner was chosen, with the most labels. */
  learners: Record<string, number>;
  /**
   * With the most labels, in balanced accuracy or R², fold by fold: of a rival, how much more the vectors tell; of what is
   * beside it, how much the vectors add to it.
   */
  gain?: Interval;
}

export interface Judgement {
  results: Judged[];
  folds: number;
  seeds: number;
  /** What the model said of each row that it did not learn from, when the ground was first split: class or number. */
  told: Float64Array;
  /** Least distance, metres, from a place that is learned from to one that is asked for: the border. */
  border_m: number;
}

interface Entrant extends Described {
  role: Role;
}

/**
 * Cross-validates in blocks of ground. All entrants have the same folds, the same rows to learn from, and the same choice of
 * learners, by the rows that are learned from alone.
 *
 * @param model the vectors that are judged
 * @param places of the rows @param targets of the rows
 * @throws FarmError `input` where there is too little ground for blocks and border
 */
export async function judge(
  model: Described,
  rivals: readonly Described[],
  places: readonly Place[],
  targets: Targets,
  options: JudgeOptions,
): Promise<Judgement> {
  const { folds, seeds, seed, signal, progress } = options;
  const entrants: Entrant[] = [
    { ...model, role: "model" },
    ...rivals.map((rival) => ({ ...rival, role: "rival" as const })),
    ...rivals.map((rival) => ({ name: rival.name, ...beside(rival, model), role: "beside" as const })),
    { name: naiveName(targets), data: new Float32Array(places.length), size: 1, role: "naive" },
  ];
  const rounds = Array.from({ length: seeds }, (_, round) =>
    splitGround(places, { ...options, seed: seed + round }).map((fold, at) => ({ ...fold, round, at })),
  ).flat();
  const counts = countsFor(Math.min(...rounds.map((fold) => fold.learn.length)), options);
  const marks = entrants.map(() => counts.map((): Scores[] => []));
  const learners = entrants.map((): Record<string, number> => ({}));
  const told = new Float64Array(places.length);
  const candidates = candidatesFor(targets.classes?.length);
  let done = 0;
  for (const { learn: learnable, ask, round, at } of rounds) {
    const values = ask.map((row) => targets.values[row] as number);
    for (const [c, count] of counts.entries()) {
      const rows = drawRows(learnable, count, seed, round, at, count);
      const plan = planLesson(places, rows, options, seed + round);
      for (const [e, entrant] of entrants.entries()) {
        signal?.throwIfAborted();
        const isLast = c === counts.length - 1;
        const learned = learn(entrant, targets, plan, entrant.role === "naive" ? [constant] : candidates);
        const said = tell(learned, gather(entrant.data, entrant.size, ask), entrant.size);
        marks[e]?.[c]?.push(mark(said, values, targets.classes?.length));
        if (isLast) {
          const of = learners[e] as Record<string, number>;
          of[learned.learner] = (of[learned.learner] ?? 0) + 1;
        }
        if (isLast && e === 0 && round === 0)
          for (const [i, row] of ask.entries()) told[row] = said[i] as number;
        // Learning blocks the event loop: signals have their turn.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    progress?.(++done, rounds.length);
  }
  const results = entrants.map(({ name, role, size }, e): Judged => {
    const curve = counts.map((labels, c) => ({ labels, scores: summarize(marks[e]?.[c] ?? [], folds) }));
    const gain = gainOf(entrants, marks, e, folds);
    return { name, role, size, curve, learners: learners[e] ?? {}, ...(gain && { gain }) };
  });
  return { results, folds, seeds, told, border_m: options.borderM };
}

const naiveName = ({ classes }: Targets): string =>
  classes === undefined ? "the mean" : "the most frequent";

/** @param least rows that any fold can learn from */
function countsFor(least: number, { most, borderM }: JudgeOptions): number[] {
  const top = Math.min(least, most);
  if (top >= (COUNTS[0] as number)) return [...COUNTS.filter((count) => count < 0.8 * top), top];
  throw new FarmError(
    "input",
    `a fold has ${least} labelled places to learn from that lie ${borderM} m from those asked for; ${COUNTS[0]} are needed`,
    "give labels of more ground, or a larger --block",
  );
}

function summarize(scores: readonly Scores[], folds: number): Record<string, Interval> {
  const names = Object.keys(scores[0] as Scores);
  return Object.fromEntries(
    names.map((name) => [
      name,
      intervalOf(
        scores.map((one) => (one as unknown as Record<string, number>)[name] as number),
        folds,
      ),
    ]),
  );
}

function gainOf(
  entrants: readonly Entrant[],
  marks: readonly (readonly (readonly Scores[])[])[],
  e: number,
  folds: number,
): Interval | undefined {
  const { role, name } = entrants[e] as Entrant;
  const headsOf = (at: number): number[] => (marks[at]?.at(-1) ?? []).map(headOf);
  const minus = (a: readonly number[], b: readonly number[]): Interval =>
    intervalOf(
      a.map((value, i) => value - (b[i] as number)),
      folds,
    );
  if (role === "rival") return minus(headsOf(0), headsOf(e));
  if (role !== "beside") return undefined;
  const alone = entrants.findIndex((other) => other.role === "rival" && other.name === name);
  return minus(headsOf(e), headsOf(alone));
}
