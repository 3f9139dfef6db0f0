import type { Settings } from "./settings.ts";

/**
 * What the learning rate is multiplied by at a step.
 *
 * @param step from 1
 */
export function rateAt({ warmup, halveEvery }: Settings["schedule"], step: number): number {
  const rise = warmup > 0 ? Math.min(1, step / warmup) : 1;
  return rise * (halveEvery > 0 ? 0.5 ** (Math.max(0, step - warmup) / halveEvery) : 1);
}
