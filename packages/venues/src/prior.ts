import { FarmError } from "@loc2vec/core";
import { cholesky, columnMeans, solveLower, solveTransposed } from "@loc2vec/numeric";
import { z } from "zod";
import { type Candidate, likelihood } from "./likelihood.ts";

/** A visit whose venue's class is known. */
export interface Visit {
  /** Of the fix's surroundings, float32 [size]. */
  embedding: Float32Array;
  /** Hour of the day, 0 to below 24, local time; undefined where it is not known. */
  hour?: number | undefined;
  /** Standard deviation of the fix in each axis, metres. */
  sigmaM: number;
  /** What lies around the fix. */
  candidates: readonly Candidate[];
  /** Class of the venue that was visited. */
  class: string;
}

export const priorSchema = z.strictObject({
  kind: z.literal("loc2vec venue prior"),
  version: z.literal(1),
  model: z.string().meta({ description: "Whose embeddings it was learnt from" }),
  weights_sha256: z.string(),
  hidden: z.array(z.string()).meta({ description: "Channels that were switched off in its tiles" }),
  visits: z.int(),
  mean: z.array(z.number()),
  scale: z.array(z.number()),
  classes: z.record(z.string(), z.array(z.number())).meta({
    description: "Of each class the weights: constant, embedding, sine and cosine of the hour",
  }),
});

/** How much likelier a class is visited at a place than its venues' distances say, by the place's embedding and the hour. */
export type Prior = z.infer<typeof priorSchema>;

/** Visits that a prior is learnt from, at least. */
export const LEAST_VISITS = 20;
const ITERATIONS = 400;
/** Learning ends when no weight changes by more in an iteration. */
const TOLERANCE = 1e-4;
/** Punishments of the weights that are tried, of which the visits themselves choose; the last leaves next to nothing. */
const PUNISHMENTS = [1, 10, 100, 1000, 10_000] as const;
/** Parts of the visits, of which each is asked of what the others teach. */
const FOLDS = 5;
/** Punishment of the constants: it keeps those of classes apart that occur together only. */
const OF_CONSTANTS = 0.01;

/**
 * Learns a prior by a conditional logit (McFadden 1974): a venue i of class c is chosen with a probability proportional to
 * likelihood(i) × exp(w_c · x), with x = 1, the standardized embedding, and sine and cosine of the hour. As weights are those of
 * classes, this is a multinomial logistic regression whose offsets are the logarithms of the classes' summed likelihoods, and so
 * convex. The minimum of Σ −log p(class) + ½λ‖w‖², λ chosen by
 * cross-validation in five parts, found as `fitProbe` of evaluation finds it: each iteration divides the gradient
 * by an upper bound of the Hessian (Böhning & Lindsay 1988), with Nesterov's momentum.
 *
 * Where all venues of a place are visited alike, all weights are 0, and what remains is the distance.
 *
 * @param about what the embeddings were made with
 * @param blind whether the embedding is left out, as a rival does that knows the classes alone
 * @throws FarmError `input` for fewer than {@link LEAST_VISITS} visits that have a venue of their class near, or of one class
 */
export function fitPrior(
  visits: readonly Visit[],
  about: Pick<Prior, "model" | "weights_sha256" | "hidden">,
  { blind = false }: { blind?: boolean } = {},
): Prior {
  const usable = visits.filter(({ candidates, class: visited }) =>
    candidates.some((candidate) => candidate.class === visited),
  );
  const visited = new Set(usable.map((visit) => visit.class));
  if (usable.length < LEAST_VISITS || visited.size < 2) {
    const what =
      usable.length < LEAST_VISITS
        ? `${usable.length} of ${visits.length} visits have a venue of their class near them, where ${LEAST_VISITS} are needed`
        : `all ${usable.length} visits are of one class, ${JSON.stringify([...visited][0])}`;
    throw new FarmError(
      "input",
      what,
      "give more visits, name classes as the map's venues are called, or import the map where they lie",
    );
  }
  const names = [...new Set(usable.flatMap(({ candidates }) => candidates.map((one) => one.class)))].sort();
  const size = (usable[0] as Visit).embedding.length;
  const standard = standardOf(usable, size);
  const rows = usable.map((visit) => {
    const sums = classSums(visit.candidates, visit.sigmaM);
    return {
      x: blind ? [1] : inputOf(visit, standard),
      offsets: Float64Array.from(names, (name) => Math.log(sums.get(name) ?? 0)),
      label: names.indexOf(visit.class),
    };
  });
  const weights = minimize(rows, names.length, blind ? 1 : choosePunishment(rows, names.length));
  const width = 1 + size + 2;
  return {
    kind: "loc2vec venue prior",
    version: 1,
    ...about,
    visits: usable.length,
    ...standard,
    classes: Object.fromEntries(
      names.map((name, c) => [
        name,
        Array.from({ length: width }, (_, k) => (weights[c] as Float64Array)[k] ?? 0),
      ]),
    ),
  };
}

/** Likelihoods of a fix's candidates, summed by class. */
function classSums(candidates: readonly Candidate[], sigmaM: number): Map<string, number> {
  const sums = new Map<string, number>();
  for (const candidate of candidates)
    sums.set(candidate.class, (sums.get(candidate.class) ?? 0) + likelihood(candidate, sigmaM));
  return sums;
}

function standardOf(visits: readonly Visit[], size: number): Pick<Prior, "mean" | "scale"> {
  const all = new Float32Array(visits.length * size);
  for (const [i, { embedding }] of visits.entries()) all.set(embedding, i * size);
  const mean = Array.from(columnMeans(all, size));
  const scale = mean.map((middle, k) => {
    const squares = visits.reduce((sum, { embedding }) => sum + ((embedding[k] as number) - middle) ** 2, 0);
    return 1 / Math.max(Math.sqrt(squares / visits.length), 1e-6);
  });
  return { mean, scale };
}

/** A constant, the standardized embedding, and the hour as a point on a circle: its middle where it is not known. */
function inputOf(
  { embedding, hour }: Pick<Visit, "embedding" | "hour">,
  { mean, scale }: Pick<Prior, "mean" | "scale">,
): number[] {
  const angle = ((hour ?? 0) / 24) * 2 * Math.PI;
  return [
    1,
    ...mean.map((middle, k) => ((embedding[k] as number) - middle) * (scale[k] as number)),
    ...(hour === undefined ? [0, 0] : [Math.sin(angle), Math.cos(angle)]),
  ];
}

interface Row {
  x: readonly number[];
  /** −∞ for a class without a candidate. */
  offsets: Float64Array;
  label: number;
}

/** The punishment whose weights tell the visits best that they were not learnt from. */
function choosePunishment(rows: readonly Row[], classes: number): number {
  const losses = PUNISHMENTS.map((punishment) => {
    let loss = 0;
    for (let fold = 0; fold < FOLDS; fold++) {
      const weights = minimize(
        rows.filter((_, i) => i % FOLDS !== fold),
        classes,
        punishment,
      );
      for (const [i, row] of rows.entries())
        if (i % FOLDS === fold) loss -= Math.log(Math.max(1e-12, chances(weights, row)[row.label] as number));
    }
    return loss;
  });
  return PUNISHMENTS[losses.indexOf(Math.min(...losses))] as number;
}

/** Probability of each class. */
function chances(weights: readonly Float64Array[], { x, offsets }: Row): Float64Array {
  const scores = Float64Array.from(weights, (of, c) => (offsets[c] as number) + dot(of, x));
  const top = Math.max(...scores);
  const exps = scores.map((score) => Math.exp(score - top));
  const total = exps.reduce((sum, each) => sum + each, 0);
  return exps.map((each) => each / total);
}

/** @returns weights of each class */
function minimize(rows: readonly Row[], classes: number, punishment: number): Float64Array[] {
  const width = (rows[0] as Row).x.length;
  const bound = Array.from({ length: width }, (_, a) =>
    Float64Array.from({ length: width }, (_, b) => {
      const sum = rows.reduce((all, { x }) => all + (x[a] as number) * (x[b] as number), 0);
      return 0.5 * sum + (a === b ? (a === 0 ? OF_CONSTANTS : punishment) : 0);
    }),
  );
  const lower = cholesky(bound, (pivot) => Math.max(pivot, 1e-12));
  const none = (): Float64Array[] => Array.from({ length: classes }, () => new Float64Array(width));
  let [weights, before, momentum] = [none(), none(), 1];
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const next = (1 + Math.sqrt(1 + 4 * momentum ** 2)) / 2;
    const share = (momentum - 1) / next;
    momentum = next;
    const last = before;
    const ahead = weights.map((of, c) =>
      of.map((value, k) => value + share * (value - (last[c]?.[k] as number))),
    );
    const gradient = gradientAt(ahead, rows, punishment);
    before = weights;
    let [largest, uphill] = [0, 0];
    weights = ahead.map((of, c) => {
      const step = solveTransposed(lower, solveLower(lower, gradient[c] as Float64Array));
      return of.map((value, k) => {
        const moved = value - (step[k] as number);
        largest = Math.max(largest, Math.abs(step[k] as number));
        uphill += (gradient[c]?.[k] as number) * (moved - (before[c]?.[k] as number));
        return moved;
      });
    });
    if (largest < TOLERANCE) break;
    if (uphill > 0) momentum = 1;
  }
  return weights;
}

function gradientAt(
  weights: readonly Float64Array[],
  rows: readonly Row[],
  punishment: number,
): Float64Array[] {
  const gradient = weights.map((of) => of.map((value, k) => value * (k === 0 ? OF_CONSTANTS : punishment)));
  for (const row of rows) {
    const p = chances(weights, row);
    for (const [c, of] of gradient.entries()) {
      const residual = (p[c] as number) - (c === row.label ? 1 : 0);
      if (residual !== 0)
        for (let k = 0; k < row.x.length; k++) (of[k] as number) += residual * (row.x[k] as number);
    }
  }
  return gradient;
}

function dot(a: ArrayLike<number>, b: readonly number[]): number {
  let sum = 0;
  for (let k = 0; k < b.length; k++) sum += (a[k] as number) * (b[k] as number);
  return sum;
}

/**
 * The factor by which a class's venues are likelier than their distances say, up to one that is the same for all; 1 for a class that
 * the prior does not know.
 *
 * @throws FarmError `data` for an embedding of another size
 */
export function factorsOf(prior: Prior, at: Pick<Visit, "embedding" | "hour">): (name: string) => number {
  if (at.embedding.length !== prior.mean.length)
    throw new FarmError(
      "data",
      `the prior was learnt from embeddings of ${prior.mean.length} numbers, not ${at.embedding.length}`,
      "learn it anew with this model",
    );
  const x = inputOf(at, prior);
  return (name) => {
    const weights = prior.classes[name];
    return weights === undefined ? 1 : Math.exp(dot(weights, x));
  };
}

/** @param origin its file, for messages @throws FarmError `input` for what is no prior */
export function parsePrior(text: string, origin: string): Prior {
  try {
    return priorSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new FarmError(
      "input",
      `${origin}: is no prior of venues`,
      "write one with pnpm farm:venues --save",
      {
        cause,
      },
    );
  }
}
