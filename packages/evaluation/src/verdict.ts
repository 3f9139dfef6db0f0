import type { Bar, Evaluated, Figures, ProbeScore } from "./result.ts";
import { LONG_BAG } from "./words.ts";

/** Recall@10, as so many times that of the bag of 64 words: at least, and what is hoped for. */
const [BAG, AIM] = [1.15, 1.3];
/** Recall@10, as so many times that of the best rival of as many numbers, or fewer. */
const EQUALS = 1.5;
const EFFECTIVE_RANK = 8;
/** Right triplets with random negatives, as a share. */
const TRIPLETS = 0.98;
/** Labels that the probes' bars are for, where probes learned from so many. */
const LABELS = ["100", "1000"] as const;

/** What a bar is held to: a model's figures, or a group's. */
export type Judged = Figures & Pick<Evaluated, "size">;

/**
 * Whether a model meets what it is held to. The bag of 64 words has more numbers than most models, so that it is told apart from
 * rivals that have as many: more numbers tell more places apart.
 *
 * @param results of all contestants; models among them are no rivals
 */
export function barsOf(judged: Judged, results: readonly Evaluated[]): Bar[] {
  const rivals = results.filter(({ kind }) => kind !== "model");
  const equals = rivals.filter(({ size }) => size <= judged.size);
  const bags = rivals.filter(({ words }) => words !== undefined);
  const bag = bags.find(({ size, words }) => size === LONG_BAG && words === LONG_BAG) as Evaluated;
  return [
    {
      ...atLeast(`recall@10, ${BAG} × the bag of ${LONG_BAG} words`, at10(judged), BAG * at10(bag)),
      aim: AIM * at10(bag),
      rival: bag.name,
    },
    timesBest(`recall@10, ${EQUALS} × the best of as many numbers or fewer`, judged, equals),
    aboveBest("hard triplets, above every bag of words", judged, bags, hard),
    atLeast("effective rank", judged.effective_rank, EFFECTIVE_RANK),
    atLeast("right triplets, random negatives", judged.triplet_accuracy, TRIPLETS),
    ...probeBars(judged, rivals),
  ];
}

function probeBars(judged: Judged, rivals: readonly Evaluated[]): Bar[] {
  return Object.entries(judged.probes ?? {}).flatMap(([name, scores]) =>
    LABELS.flatMap((count) => {
      const score = scores[count];
      if (score === undefined) return [];
      const told = (figures: Figures): number => toldBy(figures.probes?.[name]?.[count] as ProbeScore);
      const what = "r2" in score ? "R²" : "accuracy";
      return [aboveBest(`probe ${name}, ${count} labels: ${what} above every rival`, judged, rivals, told)];
    }),
  );
}

/** What one looks at first: the share of right classes, or R². */
const toldBy = (score: ProbeScore): number => ("r2" in score ? score.r2 : score.accuracy);
const at10 = (figures: Figures): number => figures.recall_at_10;
const hard = (figures: Figures): number => figures.triplet_accuracy_hard;

function bestOf(rivals: readonly Evaluated[], value: (figures: Figures) => number): Evaluated {
  return rivals.reduce((best, rival) => (value(rival) > value(best) ? rival : best));
}

function atLeast(bar: string, value: number, least: number): Bar {
  return { bar, value, least, met: value >= least };
}

function timesBest(bar: string, judged: Judged, rivals: readonly Evaluated[]): Bar {
  const best = bestOf(rivals, at10);
  return { ...atLeast(bar, at10(judged), EQUALS * at10(best)), rival: best.name };
}

function aboveBest(
  bar: string,
  judged: Judged,
  rivals: readonly Evaluated[],
  value: (figures: Figures) => number,
): Bar {
  const best = bestOf(rivals, value);
  const least = value(best);
  return { bar, value: value(judged), least, rival: best.name, met: value(judged) > least };
}
