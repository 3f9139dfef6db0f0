import { mean } from "@loc2vec/numeric";

/** What was said of a fix: of each candidate a score, higher for likelier ones, and which of them it was. */
export interface Answer {
  scores: readonly number[];
  /** Index of the true venue; −1 where it is none of the candidates. */
  truth: number;
}

/** How well venues are told. */
export interface VenueScore {
  fixes: number;
  /** Share whose true venue is the likeliest; of equals each counts a part. */
  top_1: number;
  top_3: number;
  /** Mean of −ln p(true venue), p at least {@link FLOOR}. */
  log_loss: number;
  /** How far the likeliest venue's probability is from how often it is right: mean of ten bins, by their fixes (Naeini et al. 2015). */
  calibration_error: number;
}

const FLOOR = 1e-4;
const BINS = 10;

/** Judges answers whose scores are probabilities. */
export function judge(answers: readonly Answer[]): VenueScore {
  const bins = Array.from({ length: BINS }, () => ({ said: 0, right: 0 }));
  for (const answer of answers) {
    const said = Math.max(0, ...answer.scores);
    const bin = bins[Math.min(BINS - 1, Math.floor(said * BINS))] as (typeof bins)[number];
    bin.said += said;
    bin.right += within(answer, 1);
  }
  const losses = answers.map(({ scores, truth }) => -Math.log(Math.max(FLOOR, scores[truth] ?? 0)));
  return {
    fixes: answers.length,
    ...topOf(answers),
    log_loss: mean(losses),
    calibration_error:
      bins.reduce((sum, { said, right }) => sum + Math.abs(said - right), 0) / answers.length,
  };
}

/** Judges an order alone, as that of distances. */
export function topOf(answers: readonly Answer[]): Pick<VenueScore, "top_1" | "top_3"> {
  return {
    top_1: mean(answers.map((answer) => within(answer, 1))),
    top_3: mean(answers.map((answer) => within(answer, 3))),
  };
}

/** The probability that the true venue is among the first k, equals being in any order. */
function within({ scores, truth }: Answer, k: number): number {
  const own = scores[truth];
  if (own === undefined) return 0;
  const better = scores.filter((score) => score > own).length;
  const equal = scores.filter((score) => score === own).length;
  return Math.min(1, Math.max(0, (k - better) / equal));
}
