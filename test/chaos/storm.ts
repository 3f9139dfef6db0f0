import { setTimeout as sleep } from "node:timers/promises";
import { type Random, randomOf } from "@loc2vec/core";
import { FAULTS } from "./faults.ts";
import { DATASET, type Place, type Pool, type Size, type World } from "./world.ts";

export interface Outcome {
  faults: { fault: string; detail: string; recovery_s: number }[];
  /** Shards, and the job that completes the data set. */
  jobs: number;
  /** Shards that are not in the store at the end. */
  lost: number;
  /** Shards that were stored more than once with different bytes. */
  duplicated: number;
  /** Shards that were stored more than once, whatever the bytes. */
  rendered_again: number;
  /** Whether every object is the one of the undisturbed run. */
  bytes_equal: boolean;
  /** The longest time from the end of a fault to the next shard. */
  recovery_s: number;
  /** Jobs that had used up their attempts, and were put back by `farm retry`. */
  retried: number;
  seconds: number;
}

/** Renders a data set undisturbed: what every other run is compared with. */
export async function calmRun(world: World, size: Size): Promise<Record<string, string>> {
  const place = world.place(`calm-${size.shards}`);
  await place.enqueue(size);
  const pool = place.workers(2);
  try {
    await completed(place, pool);
  } finally {
    await pool.stop();
  }
  const hashes = await place.hashes();
  await place.clear();
  return hashes;
}

/** Renders the same data set while the faults happen, one after the other. */
export async function stormRun(
  world: World,
  size: Size,
  faults: readonly string[],
  calm: Readonly<Record<string, string>>,
  { name, random, workers = 2, thenVerify = false, log = () => {} }: StormOptions,
): Promise<Outcome> {
  const begin = performance.now();
  const place = world.place(name);
  await place.enqueue(size);
  const pool = place.workers(workers);
  const happened: Outcome["faults"] = [];
  let retried = 0;
  try {
    await progressed(place, pool, 0);
    for (const fault of faults) {
      await sleep(1500 * random.uniform());
      const detail = await (FAULTS[fault] as (typeof FAULTS)[string])({ world, place, pool, random });
      const recovery = await progressed(place, pool, performance.now());
      happened.push({ fault, detail, recovery_s: Number(recovery.toFixed(2)) });
      const status = await place.status();
      log(
        `chaos: ${status?.done} of ${status?.shards} shards; ${fault} (${detail}): the next shard after ${recovery.toFixed(1)} s`,
      );
    }
    retried = await completed(place, pool);
    if (thenVerify) {
      // Damage after all was checked is found, and mended, by farm verify.
      await FAULTS["a bit of a shard flips"]?.({ world, place, pool, random });
      const found = await place.farm("verify", "--dataset", DATASET, "--repair");
      // A fault that came when all was complete has left its own damage.
      if (found.damaged.length === 0) throw new Error(`farm verify found ${JSON.stringify(found.damaged)}`);
      retried += await completed(place, pool);
    }
  } finally {
    await pool.stop();
  }
  const hashes = await place.hashes();
  const stored = [...world.proxy.stored].filter(
    ([key]) => key.startsWith(`/chaos/${name}/`) && key.includes("/tiles/c/"),
  );
  const shards = Object.keys(calm).filter((key) => key.includes("/tiles/c/"));
  await place.clear();
  return {
    faults: happened,
    jobs: shards.length + 1,
    lost: shards.filter((key) => hashes[key] === undefined).length,
    duplicated: stored.filter(([, digests]) => new Set(digests).size > 1).length,
    rendered_again: stored.filter(([, digests]) => digests.length > 1).length,
    bytes_equal: JSON.stringify(hashes) === JSON.stringify(calm),
    recovery_s: Math.max(0, ...happened.map((each) => each.recovery_s)),
    retried,
    seconds: Number(((performance.now() - begin) / 1000).toFixed(1)),
  };
}

export interface StormOptions {
  /** Of its place: no two runs may share one. */
  name: string;
  random: Random;
  workers?: number;
  /** Whether a bit is flipped after completion too, for `farm verify --repair` to find. */
  thenVerify?: boolean;
  log?: (line: string) => void;
}

/** The faults of a storm: all of them in a drawn order. */
export function drawStorm(seed: number): string[] {
  return randomOf(seed, 2).shuffle(Object.keys(FAULTS));
}

const PATIENCE_MS = 240_000;

/** Waits until one more shard is done than now, or all. @returns seconds since `from` */
async function progressed(place: Place, pool: Pool, from: number): Promise<number> {
  const begin = performance.now();
  let first: number | undefined;
  while (performance.now() - begin < PATIENCE_MS) {
    const status = await place.status();
    if (status !== undefined) {
      first ??= status.done;
      // When all are there, only the last checks are to be done.
      const all = status.complete !== undefined || status.done === status.shards;
      if (all || status.done > first) return (performance.now() - from) / 1000;
    }
    await sleep(100);
  }
  throw new Error(`no shard was done for ${PATIENCE_MS / 1000} s; the workers said: ${pool.output}`);
}

/** Waits until the data set is complete; what has used up its attempts is put back. @returns how many were */
async function completed(place: Place, pool: Pool): Promise<number> {
  const begin = performance.now();
  let retried = 0;
  while (performance.now() - begin < PATIENCE_MS) {
    const status = await place.status();
    const finalize = status?.stages.find(({ queue }) => queue === "finalize");
    if (status?.complete && status.done === status.shards && finalize?.state === "completed") return retried;
    if (status && status.failed > 0 && status.waiting + status.active + status.delayed === 0) {
      const { retried: put } = await place.farm("retry", "--dataset", DATASET);
      retried += put.raster + put.finalize;
    }
    await sleep(200);
  }
  const status = await place.status();
  throw new Error(
    `not complete after ${PATIENCE_MS / 1000} s: ${JSON.stringify(status)}; the workers said: ${pool.output}`,
  );
}
