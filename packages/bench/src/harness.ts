import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SAMPLES_PER_LOCATION } from "@loc2vec/core";

/** Tiles of the whole job: 1.5 M locations, an anchor and 20 positives each. */
export const JOB_TILES = 1_500_000 * SAMPLES_PER_LOCATION;

export interface Measurement {
  /** Wall time of one run, seconds: median, least and most. */
  seconds: { median: number; min: number; max: number };
  /** Units done per second, at the median. */
  rate: number;
  unit: string;
  repeats: number;
}

/** One warm-up, then `repeats` runs. @param count units that a run does */
export async function measure(
  { unit, count, repeats }: { unit: string; count: number; repeats: number },
  run: () => Promise<void> | void,
): Promise<Measurement> {
  await run();
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const begin = performance.now();
    await run();
    times.push((performance.now() - begin) / 1000);
  }
  times.sort((a, b) => a - b);
  const middle = times.length >> 1;
  const median =
    times.length % 2 === 1
      ? (times[middle] as number)
      : ((times[middle - 1] as number) + (times[middle] as number)) / 2;
  return {
    seconds: { median, min: times[0] as number, max: times.at(-1) as number },
    rate: count / median,
    unit,
    repeats,
  };
}

/** The run whose value is in the middle (of an even number the lower one). */
export function medianOf<T>(runs: readonly T[], value: (run: T) => number): T {
  return [...runs].sort((a, b) => value(a) - value(b))[(runs.length - 1) >> 1] as T;
}

/** Runs `work` with a folder that is removed afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
