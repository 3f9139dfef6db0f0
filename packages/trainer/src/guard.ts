import type { HistoryEntry } from "./figures.ts";

/**
 * Beyond these a training has exploded, whatever its loss says, which SoftPN keeps within 0 and 1. Healthy ones have mean
 * distances of a few units and gradients of norms below ten.
 */
export const LIMITS = { distance: 1000, gradientNorm: 10_000 } as const;

/** What shows that the training has exploded, for people; undefined while it has not. */
export function explosion(
  entry: Pick<HistoryEntry, "loss" | "positive" | "negative" | "gradientNorm">,
): string | undefined {
  if (!Number.isFinite(entry.loss)) return `the loss is ${entry.loss}`;
  for (const [what, value, limit] of [
    ["mean distance to positives", entry.positive, LIMITS.distance],
    ["mean distance to negatives", entry.negative, LIMITS.distance],
    ["norm of the gradients", entry.gradientNorm, LIMITS.gradientNorm],
  ] as const) {
    if (!((value ?? 0) <= limit)) return `the ${what} is ${value}, above ${limit}`;
  }
  return undefined;
}

/** Steps whose mean loss is compared. */
const SMOOTH = 50;

/** Follows the mean loss of {@link SMOOTH} steps. */
export interface Plateau {
  add(loss: number): void;
  /** Steps since the mean was lowest. */
  length(): number;
}

/** @param history of the steps before */
export function watchPlateau(history: readonly Pick<HistoryEntry, "loss">[]): Plateau {
  const recent: number[] = [];
  let [sum, best, at, count] = [0, Number.POSITIVE_INFINITY, SMOOTH, 0];
  const add = (loss: number): void => {
    count++;
    recent.push(loss);
    sum += loss - (recent.length > SMOOTH ? (recent.shift() as number) : 0);
    if (count >= SMOOTH && sum < best) [best, at] = [sum, count];
  };
  for (const { loss } of history) add(loss);
  return { add, length: () => count - at };
}
