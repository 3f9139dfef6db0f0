import { z } from "zod";
import { outputsOf, scoreMlp } from "./mlp.ts";

// What learners learn: plain numbers, which are written down as they are.

const numbers = z.array(z.number());

export const fittedSchema = z.discriminatedUnion("learner", [
  /** The same for every row: 1 for the most frequent class, or the mean. */
  z.object({ learner: z.literal("constant"), outputs: numbers }),
  /** [outputs, size + 1], the intercept last; of classes the exponents. */
  z.object({ learner: z.literal("linear"), weights: numbers }),
  /** Rows that were learned from, standardized, float [rows, size], and the target of each. */
  z.object({
    learner: z.literal("neighbours"),
    k: z.int().min(1),
    ...{ mean: numbers, scale: numbers, rows: numbers, targets: numbers, prior: numbers },
  }),
  /** One hidden layer; its inputs are standardized. */
  z.object({
    learner: z.literal("mlp"),
    ...{ mean: numbers, scale: numbers, hidden: z.int().min(1), weights: numbers },
    /** Of numbers: what outputs are multiplied by, and what is added. */
    unit: z.tuple([z.number(), z.number()]),
  }),
]);

/** What was learned. */
export type Fitted = z.infer<typeof fittedSchema>;

/**
 * What was learned, asked about rows.
 *
 * @param features float32 [rows, size]
 * @param classes how many; undefined where numbers are told
 * @returns float64 [rows, classes], the likelihood of each class; or [rows], the numbers
 */
export function scoresOf(
  fitted: Fitted,
  features: Float32Array,
  size: number,
  classes: number | undefined,
): Float64Array {
  const [rows, outputs] = [features.length / size, classes ?? 1];
  const scores = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    const [given, into] = [
      features.subarray(row * size, (row + 1) * size),
      scores.subarray(row * outputs, (row + 1) * outputs),
    ];
    scoreRow(fitted, given, into);
    if (classes !== undefined && fitted.learner !== "constant" && fitted.learner !== "neighbours")
      softmax(into);
  }
  return scores;
}

function scoreRow(fitted: Fitted, given: Float32Array, into: Float64Array): void {
  switch (fitted.learner) {
    case "constant":
      into.set(fitted.outputs);
      break;
    case "linear":
      outputsOf(fitted.weights, given, into);
      break;
    case "mlp":
      scoreMlp(fitted, given, into);
      break;
    case "neighbours":
      scoreNeighbours(fitted, given, into);
      break;
  }
}

type Neighbours = Extract<Fitted, { learner: "neighbours" }>;

/**
 * The mean of the k nearest rows; of classes their shares among these, and one more row of all classes as they are usually.
 */
function scoreNeighbours(
  { k, mean, scale, rows, targets, prior }: Neighbours,
  given: Float32Array,
  into: Float64Array,
): void {
  const size = given.length;
  const asked = Float64Array.from(given, (value, i) => (value - (mean[i] as number)) * (scale[i] as number));
  // The k nearest so far, the farthest of them first to go: ascending by distance.
  const nearest = new Int32Array(k).fill(-1);
  const distances = new Float64Array(k).fill(Number.POSITIVE_INFINITY);
  for (let row = 0; row < targets.length; row++) {
    let distance = 0;
    const farthest = distances[k - 1] as number;
    for (let i = 0; i < size && distance < farthest; i++)
      distance += ((rows[row * size + i] as number) - (asked[i] as number)) ** 2;
    if (distance >= farthest) continue;
    let at = k - 1;
    for (; at > 0 && (distances[at - 1] as number) > distance; at--) {
      distances[at] = distances[at - 1] as number;
      nearest[at] = nearest[at - 1] as number;
    }
    distances[at] = distance;
    nearest[at] = row;
  }
  const found = nearest.filter((row) => row >= 0);
  if (prior.length === 0) {
    into[0] = found.reduce((sum, row) => sum + (targets[row] as number), 0) / found.length;
    return;
  }
  for (let c = 0; c < into.length; c++) into[c] = (prior[c] as number) / (found.length + 1);
  for (const row of found) {
    const c = targets[row] as number;
    into[c] = (into[c] as number) + 1 / (found.length + 1);
  }
}

function softmax(scores: Float64Array): void {
  const top = Math.max(...scores);
  let total = 0;
  for (let c = 0; c < scores.length; c++) {
    scores[c] = Math.exp((scores[c] as number) - top);
    total += scores[c] as number;
  }
  for (let c = 0; c < scores.length; c++) scores[c] = (scores[c] as number) / total;
}

/**
 * The class of each row: that which is likelier by the largest factor than it is usually. This rule is right most often on the
 * mean over classes (Bayes' rule for balanced accuracy); naming the likeliest would leave rare classes out.
 *
 * @param scores float64 [rows, classes]
 * @param prior share of each class among the rows that were learned from
 */
export function classesOf(scores: Float64Array, prior: ArrayLike<number>): Int32Array {
  const classes = prior.length;
  return Int32Array.from({ length: scores.length / classes }, (_, row) => {
    let best = 0;
    let most = -1;
    for (let c = 0; c < classes; c++) {
      const share = prior[c] as number;
      const lift = share > 0 ? (scores[row * classes + c] as number) / share : 0;
      if (lift > most) [best, most] = [c, lift];
    }
    return best;
  });
}
