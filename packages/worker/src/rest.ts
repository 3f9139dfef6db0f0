/** Rests that grow with each in a row. */
export interface GrowingRest {
  /** How long the next one takes, milliseconds. */
  nextMs(): number;
  /** The next one is a first again. */
  reset(): void;
}

/** Rests of so many milliseconds at first, and at most: each twice as long as the one before. */
export function growingRest([first, most]: readonly [number, number]): GrowingRest {
  let restMs = first;
  return {
    nextMs() {
      const rest = jittered(restMs);
      restMs = Math.min(2 * restMs, most);
      return rest;
    },
    reset() {
      restMs = first;
    },
  };
}

/** Half of it is random, so that many do not come back at once. */
export function jittered(ms: number): number {
  return ms * (0.5 + 0.5 * Math.random());
}
