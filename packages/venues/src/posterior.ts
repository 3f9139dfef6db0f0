import { type Candidate, likelihood } from "./likelihood.ts";
import { factorsOf, type Prior, type Visit } from "./prior.ts";

/** A candidate, and how probable it is that the fix comes from it. */
export type Ranked<C extends Candidate = Candidate> = C & {
  /** Of all candidates together 1. */
  probability: number;
  /** What it would be by distance alone. */
  by_distance: number;
};

/**
 * The posterior of a fix over the venues around it: likelihood of the distance × prior of the class at this place. Without a prior
 * it is that of the distance alone. That the fix comes from none of them is not considered.
 *
 * @param candidates what lies around the fix
 * @returns the likeliest first
 * @throws FarmError `data` for an embedding of another size than the prior's
 */
export function mapVenue<C extends Candidate>(
  fix: Pick<Visit, "hour" | "sigmaM"> & { embedding?: Float32Array | undefined },
  candidates: readonly C[],
  prior: Prior | undefined,
): Ranked<C>[] {
  const { embedding, hour, sigmaM } = fix;
  const factorOf =
    prior === undefined || embedding === undefined ? () => 1 : factorsOf(prior, { embedding, hour });
  const near = shares(candidates.map((candidate) => likelihood(candidate, sigmaM)));
  const weighed = shares(candidates.map((one, i) => (near[i] as number) * factorOf(one.class)));
  return candidates
    .map((candidate, i) => ({
      ...candidate,
      probability: weighed[i] as number,
      by_distance: near[i] as number,
    }))
    .sort((a, b) => b.probability - a.probability || a.metres - b.metres);
}

function shares(values: readonly number[]): number[] {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => (total > 0 ? value / total : 1 / values.length));
}
