import { score, scoreNumbers } from "@loc2vec/evaluation";

/** How well classes are told. */
export interface ClassScores {
  /** Mean over the classes asked for of the share that is recognized. */
  balanced_accuracy: number;
  /** Mean over the classes asked for of F1, the harmonic mean of precision and recall. */
  macro_f1: number;
  accuracy: number;
}

/** How well numbers are told. */
export interface NumberScores {
  /** Share of the variance of those asked for that is told; below 0, naming their mean would be better. */
  r2: number;
  mean_absolute_error: number;
}

export type Scores = ClassScores | NumberScores;

/** What is compared first: balanced accuracy, or R². */
export const headOf = (scores: Scores): number => ("r2" in scores ? scores.r2 : scores.balanced_accuracy);

/** @param predicted class of each row @param classes how many there are */
export function scoreClasses(
  predicted: ArrayLike<number>,
  codes: ArrayLike<number>,
  classes: number,
): ClassScores {
  const [right, named, asked] = [0, 1, 2].map(() => new Float64Array(classes)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let row = 0; row < codes.length; row++) {
    const [is, said] = [codes[row] as number, predicted[row] as number];
    asked[is] = (asked[is] as number) + 1;
    named[said] = (named[said] as number) + 1;
    if (is === said) right[is] = (right[is] as number) + 1;
  }
  const f1 = [...right].flatMap((count, c) =>
    (asked[c] as number) > 0 ? [(2 * count) / ((asked[c] as number) + (named[c] as number))] : [],
  );
  const { balanced_accuracy, accuracy } = score(predicted, codes, classes);
  // In this order they are told: what is compared first stands first.
  return {
    balanced_accuracy,
    macro_f1: f1.reduce((sum, value) => sum + value, 0) / f1.length,
    accuracy,
  };
}

export function scoreValues(predicted: ArrayLike<number>, values: readonly number[]): NumberScores {
  return scoreNumbers(predicted, values);
}
