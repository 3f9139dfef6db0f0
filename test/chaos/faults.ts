import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Random, shardCount } from "@loc2vec/core";
import { listShards, openDataset, shardKey } from "@loc2vec/shards";
import type { S3Fault } from "./proxy.ts";
import { DATASET, type Place, type Pool, type World } from "./world.ts";

export interface Scene {
  world: World;
  place: Place;
  pool: Pool;
  random: Random;
}

const SKEW = join(import.meta.dirname, "skew.mjs");

/** What can go wrong. Each resolves when the fault is over, and says what was done. */
export const FAULTS: Readonly<Record<string, (scene: Scene) => Promise<string>>> = {
  async "kill -9 of a worker"({ pool }) {
    const worker = pool.one();
    worker?.kill("SIGKILL");
    return `process ${worker?.pid}`;
  },
  async "SIGTERM of a worker"({ pool }) {
    const worker = pool.one();
    const ended = worker && once(worker, "exit");
    worker?.kill("SIGTERM");
    const [code] = (await ended) ?? [];
    return `process ${worker?.pid} ended with ${code}`;
  },
  async "two workers with one job"({ pool, random }) {
    // Stopped past its lock, its job goes to another; awake again, it goes on with it.
    const worker = pool.one();
    worker?.kill("SIGSTOP");
    await sleep(6000 + 1000 * random.uniform());
    worker?.kill("SIGCONT");
    return `process ${worker?.pid} slept past its lock`;
  },
  async "Redis killed"({ world, random }) {
    await world.restart("redis", "SIGKILL", 2000 * random.uniform());
    return "kill -9, started again on its append-only file";
  },
  async "PostGIS restarted"({ world, random }) {
    // Fast shutdown: connections are cut.
    await world.restart("database", "SIGINT", 2000 * random.uniform());
    return "fast shutdown, started again";
  },
  "S3 answers 500 and 503": s3("error", 0.6),
  "S3 is slow": s3("slow", 0.7),
  "S3 cuts connections": s3("cut", 0.6),
  "S3 falls silent": s3("stall", 0.4),
  "S3 is full": s3("full", 1),
  "S3 is down": s3("down", 1),
  async "a shard is cut off"({ place, random }) {
    return damage(place, random, (bytes) => bytes.slice(0, Math.floor(bytes.length * random.uniform())));
  },
  async "a bit of a shard flips"({ place, random }) {
    return damage(place, random, (bytes) => {
      const at = random.int(bytes.length);
      return bytes.with(at, (bytes[at] as number) ^ (1 << random.int(8)));
    });
  },
  async "a clock is off by half a minute"({ pool, random }) {
    const skew = random.uniform() < 0.5 ? -30_000 : 30_000;
    const worker = pool.add({ again: false, node: ["--import", SKEW], env: { SKEW_MS: String(skew) } });
    await sleep(5000);
    worker.kill("SIGTERM");
    return `a worker ${skew / 1000} s off joined for a while`;
  },
  async "a clock is off by an hour"({ pool }) {
    const worker = pool.add({ again: false, node: ["--import", SKEW], env: { SKEW_MS: "3600000" } });
    const [code] = await once(worker, "exit");
    if (code !== 4) throw new Error(`a worker whose clock is an hour off ended with ${code}, not 4`);
    return "a worker an hour off was refused";
  },
};

function s3(kind: S3Fault, probability: number): (scene: Scene) => Promise<string> {
  return async ({ world: { proxy }, random }) => {
    const before = proxy.suffered;
    proxy.fault = { kind, probability };
    await sleep(3000 + 2000 * random.uniform());
    proxy.fault = undefined;
    return `${proxy.suffered - before} requests`;
  };
}

/** Damages a shard that is there, behind everybody's back. */
async function damage(
  place: Place,
  random: Random,
  harm: (bytes: Uint8Array) => Uint8Array,
): Promise<string> {
  const { dataset } = await openDataset(place.store, DATASET);
  for (let i = 0; i < 200; i++) {
    const there = [...(await listShards(place.store, dataset))];
    const shard = there[random.int(Math.max(1, there.length))];
    if (shard !== undefined) {
      const key = shardKey(DATASET, shard);
      await place.store.put(key, harm((await place.store.get(key)) as Uint8Array));
      return `shard ${shard} of ${shardCount(dataset)}`;
    }
    await sleep(100);
  }
  throw new Error("no shard was written");
}
