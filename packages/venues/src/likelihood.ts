import type { Place } from "@loc2vec/core";
import { METRES_PER_DEGREE, type Random } from "@loc2vec/core";

/** What a fix may come from. */
export interface Candidate {
  class: string;
  /** From the fix to the venue's outline, metres on the ground; 0 inside. */
  metres: number;
  /** What the outline encloses, square metres; 0 for a point. */
  areaM2: number;
}

/**
 * How likely a fix is from a venue, per square metre, up to a factor that is the same for all: exp(−d²/2σ²) / (2πσ² + A). From a
 * point that is the normal distribution in two dimensions, so that the fix's distance is Rayleigh distributed; from an area A
 * that is far wider than σ, the share of it that a square metre is.
 *
 * @param sigmaM standard deviation of the fix in each axis, metres. A phone's accuracy of 68 % is 1.5 σ
 */
export function likelihood({ metres, areaM2 }: Pick<Candidate, "metres" | "areaM2">, sigmaM: number): number {
  return Math.exp(-(metres ** 2) / (2 * sigmaM ** 2)) / (2 * Math.PI * sigmaM ** 2 + areaM2);
}

/** How far from a fix venues are looked for, metres: farther ones are a hundredth of all. */
export const reachM = (sigmaM: number): number => 3 * sigmaM + 25;

/** Candidates of one fix, at most. */
export const MOST_CANDIDATES = 500;

/** A place as a receiver would tell it: off by a normal deviate in each axis. */
export function simulateFix<P extends Place>({ lon, lat }: P, sigmaM: number, random: Random): Place {
  const [east, north] = [random.normal() * sigmaM, random.normal() * sigmaM];
  return {
    lon: lon + east / (METRES_PER_DEGREE * Math.cos((lat * Math.PI) / 180)),
    lat: lat + north / METRES_PER_DEGREE,
  };
}
