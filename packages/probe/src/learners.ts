import { Purpose, randomOf } from "@loc2vec/core";
import { fitProbe, fitRidge } from "@loc2vec/evaluation";
import { columnMeans, mean as meanOf } from "@loc2vec/numeric";
import type { Fitted } from "./fitted.ts";
import { trainMlp } from "./mlp.ts";

/** What a learner learns from. */
export interface Lesson {
  /** Float32 [rows, size]. */
  features: Float32Array;
  size: number;
  /** Class of each row, or its number. */
  targets: readonly number[];
  /** How many classes; undefined where numbers are told. */
  classes: number | undefined;
  seed: number;
}

/** A learner with its settings: one of those that are chosen from. */
export interface Candidate {
  /** `logistic, punishment 1` */
  name: string;
  /** Rows without which it is not tried. */
  least?: number;
  fit(lesson: Lesson): Fitted;
}

const logistic = (punishment: number): Candidate => ({
  name: `logistic, punishment ${punishment}`,
  fit({ features, size, targets, classes = 1 }) {
    const { weights } = fitProbe(features, size, targets, classes, punishment);
    return { learner: "linear", weights: Array.from(weights) };
  },
});

/** Its punishment is chosen by leaving one row out, of those that are learned from. */
const ridge: Candidate = {
  name: "ridge",
  fit: ({ features, size, targets }) => ({
    learner: "linear",
    weights: Array.from(fitRidge(features, size, targets).weights),
  }),
};

const neighbours = (k: number): Candidate => ({
  name: `${k} neighbours`,
  fit({ features, size, targets, classes }) {
    const { mean, scale, rows } = standardized(features, size);
    return {
      learner: "neighbours",
      k: Math.min(k, targets.length),
      ...{ mean, scale, rows: Array.from(rows), targets: [...targets] },
      prior: classes === undefined ? [] : priorOf(targets, classes),
    };
  },
});

const mlp: Candidate = {
  name: "mlp",
  least: 60,
  fit({ features, size, targets, classes, seed }) {
    const { mean, scale, rows } = standardized(features, size);
    const random = randomOf(seed, Purpose.probe, 3);
    if (classes !== undefined) {
      const { hidden, weights } = trainMlp(rows, size, targets, classes, random);
      return { learner: "mlp", mean, scale, hidden, weights: Array.from(weights), unit: [1, 0] };
    }
    const middle = meanOf(targets);
    const spread = Math.sqrt(meanOf(targets.map((target) => (target - middle) ** 2)));
    const unit = spread > 0 ? spread : 1;
    const standard = targets.map((target) => (target - middle) / unit);
    const { hidden, weights } = trainMlp(rows, size, standard, undefined, random);
    return { learner: "mlp", mean, scale, hidden, weights: Array.from(weights), unit: [unit, middle] };
  },
};

/** Those that are chosen from, the simplest first: it stands where there is too little to choose by. */
export function candidatesFor(classes: number | undefined): readonly Candidate[] {
  const first = classes === undefined ? [ridge] : [logistic(30), logistic(1)];
  return [...first, neighbours(10), neighbours(40), mlp];
}

/** Who looks at nothing: names the most frequent class, or the mean. */
export const constant: Candidate = {
  name: "constant",
  fit({ targets, classes }) {
    if (classes === undefined) return { learner: "constant", outputs: [meanOf(targets)] };
    const shares = priorOf(targets, classes);
    const most = shares.indexOf(Math.max(...shares));
    return { learner: "constant", outputs: shares.map((_, code) => (code === most ? 1 : 0)) };
  },
};

/** The share of each class. */
export function priorOf(targets: readonly number[], classes: number): number[] {
  const shares = new Array<number>(classes).fill(0);
  for (const code of targets) shares[code] = (shares[code] as number) + 1 / targets.length;
  return shares;
}

function standardized(
  features: Float32Array,
  size: number,
): { mean: number[]; scale: number[]; rows: Float64Array } {
  const mean = columnMeans(features, size);
  const variance = new Float64Array(size);
  const rows = features.length / size;
  for (let i = 0; i < features.length; i++)
    variance[i % size] =
      (variance[i % size] as number) + ((features[i] as number) - (mean[i % size] as number)) ** 2 / rows;
  const scale = variance.map((value) => (value > 1e-20 ? 1 / Math.sqrt(value) : 0));
  return {
    mean: Array.from(mean),
    scale: Array.from(scale),
    rows: Float64Array.from(
      features,
      (value, i) => (value - (mean[i % size] as number)) * (scale[i % size] as number),
    ),
  };
}
