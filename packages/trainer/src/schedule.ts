import type { Settings } from "./settings.ts";

/** What annealing leaves of the learning rate. */
const FLOOR = 0.02;

/**
 * What the learning rate is multiplied by at a step: it rises in a line, then halves by and by, or falls along a half cosine
 * (Loshchilov & Hutter, SGDR, arXiv 1608.03983, eq. 5, without a restart).
 *
 * @param step from 1
 */
export function rateAt({ warmup, halveEvery, anneal }: Settings["schedule"], step: number): number {
  const rise = warmup > 0 ? Math.min(1, step / warmup) : 1;
  const after = Math.max(0, step - warmup);
  const halved = halveEvery > 0 ? 0.5 ** (after / halveEvery) : 1;
  if (anneal === 0) return rise * halved;
  const fallen = Math.min(1, after / Math.max(1, anneal - warmup));
  return rise * halved * (FLOOR + (1 - FLOOR) * 0.5 * (1 + Math.cos(Math.PI * fallen)));
}
