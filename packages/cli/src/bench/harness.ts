import { cpus, totalmem } from "node:os";
import { resolve } from "node:path";
import { SAMPLES_PER_LOCATION } from "@loc2vec/core";
import { fetchDemoMap } from "@loc2vec/gis";
import type { Context } from "../context.ts";

/** Tiles of the whole job: 1.5 M locations, an anchor and 20 positives each. */
export const JOB_TILES = 1_500_000 * SAMPLES_PER_LOCATION;

/** The map given, or a small one that is fetched. */
export async function mapFile({ config, log }: Context, pbf: string | undefined): Promise<string> {
  return pbf === undefined ? (await fetchDemoMap({ home: config.home, log })).path : resolve(pbf);
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  node: string;
  platform: string;
}

export function machine(): Machine {
  const [first] = cpus();
  return {
    cpu: first?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
}

/**
 * Takes figures of a bench as they come: says them on stderr, and keeps them, so that a bench that is stopped still prints
 * what it had measured. Later ones of the same name replace earlier ones.
 */
export type Report = (figures: Readonly<Record<string, unknown>>) => void;

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
