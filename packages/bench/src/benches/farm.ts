import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { FARM_MAIN } from "@loc2vec/cli";
import { type Dataset, FarmError, type Location, QUEUE_NAMES, randomOf, shardCount } from "@loc2vec/core";
import { describeDataset, type FarmContext, machine } from "@loc2vec/farm";
import { sampleLocations } from "@loc2vec/gis";
import { closeRedis, connectRedis, enqueueShards, openQueues } from "@loc2vec/queue";
import { createRasterizer } from "@loc2vec/rasterizer";
import {
  checkShards,
  completeDataset,
  createDataset,
  type ObjectStore,
  openStore,
  type ShardFacts,
  storeIdentity,
} from "@loc2vec/shards";
import { renderShard } from "@loc2vec/worker";
import { Queue } from "bullmq";
import {
  defineBench,
  locationsOption,
  type MapOptions,
  mapOption,
  type Report,
  repeatsOption,
} from "../bench.ts";
import { answer, forkTied, withChildren } from "../children.ts";
import { medianOf, withFolder } from "../harness.ts";
import { withMap } from "../map.ts";
import { withBenchServices } from "../services.ts";
import type { FarmTask, SleepReport } from "./farm-part.ts";

const PART = new URL("./farm-part.js", import.meta.url);

interface FarmOptions extends MapOptions {
  locations: number;
  repeats: number;
}

export const farm = defineBench({
  name: "farm",
  description: "what the queue costs, and a thousand workers on one Redis",
  options: (command) =>
    command.addOption(mapOption()).addOption(locationsOption(1920)).addOption(repeatsOption()),
  measure: (context, { pbf, locations, repeats }: FarmOptions, report) =>
    withMap(context, pbf, ({ databaseUrl, rasterizer }) =>
      withBenchServices(context, ["redis"], async ({ redisUrl }) => {
        const sampled = await sampleLocations({ databaseUrl, count: locations, seed: 1 });
        const chosen = { name: "bench", seed: 1, positives: 20, shardLocations: 32 };
        const dataset = describeDataset(await context.profile(), rasterizer.source, sampled.length, chosen);
        const subject = { context, redisUrl, databaseUrl, dataset, locations: sampled };
        return measureFarm({ ...subject, repeats, report });
      }),
    ),
});

interface FarmSubject {
  context: FarmContext;
  redisUrl: string;
  databaseUrl: string;
  dataset: Dataset;
  locations: readonly Location[];
  repeats: number;
  report: Report;
}

/**
 * What the queue costs: the same shards rendered by one and two `farm work` processes, and by one and two processes
 * without any queue; then a thousand workers whose jobs sleep, on one Redis.
 */
async function measureFarm(bench: FarmSubject): Promise<object> {
  const { context, dataset, repeats, report } = bench;
  const rounds: Rounds = { farm: [[], []], direct: [[], []] };
  const begun = {
    machine: machine(),
    shards: shardCount(dataset),
    locations_per_shard: dataset.shardLocations,
  };
  report(begun);
  for (let run = 0; run < repeats; run++) {
    context.log(
      `bench: ${begun.shards} shards by one and two workers, with and without queue (${run + 1} of ${repeats})`,
    );
    for (const [at, workers] of [1, 2].entries()) {
      rounds.farm[at]?.push(await throughQueue(bench, workers));
      report(figures(rounds));
    }
    for (const [at, processes] of [1, 2].entries()) rounds.direct[at]?.push(await direct(bench, processes));
    report(figures(rounds));
  }
  context.log("bench: requests to the store");
  const requests = await countRequests(bench);
  report({ requests });
  context.log("bench: 1000 workers whose jobs sleep");
  return { ...begun, ...figures(rounds), requests, simulation: await simulate(bench) };
}

/** What one, and what two processes did in each round. */
interface Rounds {
  farm: [Run[], Run[]];
  /** Shards per second. */
  direct: [number[], number[]];
}

/** Medians over the rounds so far. */
function figures({ farm, direct }: Rounds): Record<string, number> {
  const [one, two] = farm;
  const [bareOne, bareTwo] = direct;
  const rates = two.map((run, i) => run.shardsPerSecond / (2 * (one[i] as Run).shardsPerSecond));
  const bareRates = bareTwo.map((rate, i) => rate / (2 * (bareOne[i] as number)));
  const median = (values: readonly number[], digits = 3): number | undefined =>
    values.length === 0 ? undefined : Number(medianOf(values, (value) => value).toFixed(digits));
  const all = {
    repeats: bareTwo.length,
    shards_per_s_1: median(one.map((run) => run.shardsPerSecond)),
    shards_per_s_2: median(two.map((run) => run.shardsPerSecond)),
    // Two processes share two cores with PostgreSQL and Redis: what they lose without a queue is not the queue's.
    efficiency_2:
      bareRates.length === 0
        ? undefined
        : median([medianOf(rates, (rate) => rate) / medianOf(bareRates, (rate) => rate)]),
    efficiency_2_gross: median(rates),
    efficiency_2_without_queue: median(bareRates),
    queue_overhead_pct: median(
      one.map((run) => run.overheadPct),
      2,
    ),
  };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}

interface Run {
  shardsPerSecond: number;
  /** Part of a worker's time that was not spent within shards, percent. */
  overheadPct: number;
}

async function throughQueue(
  { context, redisUrl, databaseUrl, dataset, locations }: FarmSubject,
  workers: number,
): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  const url = pathToFileURL(folder).href;
  const prefix = `bench-${process.pid}`;
  const store = openStore(url);
  const queues = await openQueues({ redisUrl, prefix, store: await storeIdentity(store) });
  try {
    await createDataset(store, dataset, locations);
    // The workers start first, so that none has an advantage.
    const settings = {
      FARM_HOME: context.config.home,
      FARM_REDIS_URL: redisUrl,
      FARM_DATABASE_URL: databaseUrl,
      FARM_STORE: url,
      FARM_QUEUE_PREFIX: prefix,
    };
    const children = Array.from({ length: workers }, () =>
      forkTied(FARM_MAIN, ["work", "--queues", "raster", "--quiet"], {
        env: { ...process.env, ...settings },
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      }),
    );
    try {
      while ((await queues.raster.getWorkersCount()) < workers) {
        context.signal.throwIfAborted();
        await sleep(50);
      }
      const shards = shardCount(dataset);
      await enqueueShards(queues, dataset.name, Array(shards).keys());
      while ((await queues.raster.getCompletedCount()) < shards) {
        context.signal.throwIfAborted();
        if ((await queues.raster.getFailedCount()) > 0) {
          const [failed] = await queues.raster.getFailed(0, 0);
          throw new FarmError("internal", `the bench's ${failed?.id} failed: ${failed?.failedReason}`);
        }
        await sleep(50);
      }
    } finally {
      const ended = children.map((child) => new Promise((resolve) => child.once("close", resolve)));
      for (const child of children) child.kill("SIGTERM");
      await Promise.all(ended);
    }
    const jobs = await queues.raster.getCompleted(0, -1);
    const begin = Math.min(...jobs.map((job) => job.processedOn ?? 0));
    const end = Math.max(...jobs.map((job) => job.finishedOn ?? 0));
    const within = jobs.reduce((sum, job) => sum + job.returnvalue.ms, 0);
    return {
      shardsPerSecond: jobs.length / ((end - begin) / 1000),
      overheadPct: 100 * (1 - within / (workers * (end - begin))),
    };
  } finally {
    for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
    await queues.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns shards per second */
async function direct(
  { context, databaseUrl, dataset, locations }: FarmSubject,
  processes: number,
): Promise<number> {
  return withFolder(async (folder) => {
    const store = pathToFileURL(folder).href;
    await createDataset(openStore(store), dataset, locations);
    const all = [...Array(shardCount(dataset)).keys()];
    const tasks = Array.from({ length: processes }, (_, process): FarmTask => {
      const shards = all.filter((shard) => shard % processes === process);
      return {
        kind: "render",
        databaseUrl,
        style: context.config.style,
        store,
        dataset: dataset.name,
        shards,
      };
    });
    return withChildren(PART, tasks, context.signal, async (children) => {
      const ends = children.map(answer);
      const begin = performance.now();
      for (const child of children) child.send("go");
      await Promise.all(ends);
      return all.length / ((performance.now() - begin) / 1000);
    });
  });
}

/** Shards that requests are counted over. */
const COUNTED = 8;

/** What the store is asked for: for each shard, and to check each when all are there. */
async function countRequests({ context, databaseUrl, dataset, locations }: FarmSubject): Promise<object> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  const count = { put: 0, get: 0, head: 0, list: 0 };
  const store = counting(openStore(pathToFileURL(folder).href), count);
  const taken = (shards: number): object => {
    const perShard = Object.entries(count).map(([name, value]) => [name, value / shards]);
    Object.assign(count, { put: 0, get: 0, head: 0, list: 0 });
    return Object.fromEntries(perShard);
  };
  const counted = { ...dataset, locations: COUNTED * dataset.shardLocations };
  const profile = await context.profile();
  const rasterizer = await createRasterizer({ databaseUrl, profile, kind: "fast" });
  try {
    await createDataset(store, counted, locations.slice(0, counted.locations));
    taken(1);
    for (let shard = 0; shard < COUNTED; shard++) {
      context.signal.throwIfAborted();
      await renderShard({ store, job: { dataset: counted.name, shard }, rasterizer });
    }
    const perShard = taken(COUNTED);
    const begin = performance.now();
    const facts: ShardFacts[] = [];
    for await (const finding of checkShards(store, counted))
      if (finding.state === "whole") facts.push(finding);
    const checkSeconds = (performance.now() - begin) / 1000;
    const check = taken(COUNTED);
    const { bytes } = await completeDataset(store, counted, facts);
    return {
      per_shard: perShard,
      check_per_shard: check,
      complete: taken(1),
      check_mb_per_s: Math.round(bytes / 1e6 / checkSeconds),
    };
  } finally {
    await rasterizer.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The store, counting what it is asked for. */
function counting(store: ObjectStore, count: Record<"put" | "get" | "head" | "list", number>): ObjectStore {
  const counted = <A extends unknown[], R>(name: keyof typeof count, call: (...args: A) => R) => {
    return (...args: A): R => {
      count[name]++;
      return call(...args);
    };
  };
  return {
    url: store.url,
    get: counted("get", (key) => store.get(key)),
    getRange: counted("get", (key, range) => store.getRange(key, range)),
    put: counted("put", (key, bytes, options) => store.put(key, bytes, options)),
    head: counted("head", (key) => store.head(key)),
    list: counted("list", (prefix) => store.list(prefix)),
    remove: (key) => store.remove(key),
  };
}

const SIMULATED = { workers: 1000, processes: 4, jobs: 20_000, ms: 2000 };

/** Real workers of BullMQ, each with its connections, on one Redis; only the jobs are not real: they sleep. */
async function simulate({ context: { signal }, redisUrl }: FarmSubject): Promise<object> {
  const { workers, processes, jobs, ms } = SIMULATED;
  const prefix = `bench-sleep-${process.pid}`;
  const connection = await connectRedis(redisUrl);
  const queue = new Queue("sleep", { connection, prefix });
  const cpu = async (): Promise<number> => {
    const info = await connection.info("cpu");
    const seconds = (name: string): number => Number(new RegExp(`^${name}:(.*)`, "m").exec(info)?.[1]);
    return seconds("used_cpu_user") + seconds("used_cpu_sys");
  };
  try {
    const random = randomOf(1);
    const opts = { attempts: 5, removeOnComplete: { age: 86_400, count: 1000 } };
    for (let first = 0; first < jobs; first += 1000) {
      await queue.addBulk(
        Array.from({ length: 1000 }, () => ({
          name: "sleep",
          data: { ms: ms * (0.8 + 0.4 * random.uniform()) },
          opts,
        })),
      );
    }
    const task: FarmTask = { kind: "sleep", redisUrl, prefix, workers: workers / processes };
    return await withChildren(PART, Array(processes).fill(task), signal, async (children) => {
      const [begin, cpuBegin] = [performance.now(), await cpu()];
      for (const child of children) child.send("go");
      while ((await queue.getJobCountByTypes("waiting", "active")) > 0) {
        signal.throwIfAborted();
        await sleep(100);
      }
      const seconds = (performance.now() - begin) / 1000;
      const used = (await cpu()) - cpuBegin;
      const answers = children.map(answer);
      for (const child of children) child.send("stop");
      const reports = (await Promise.all(answers)) as SleepReport[];
      const gaps = reports.flatMap((report) => report.gaps).sort((a, b) => a - b);
      const at = (share: number): number =>
        Number((gaps[Math.floor(share * (gaps.length - 1))] ?? 0).toFixed(1));
      const done = reports.reduce((sum, report) => sum + report.jobs, 0);
      return {
        workers,
        jobs: done,
        job_ms: ms,
        jobs_per_s: Math.round(done / seconds),
        // All workers busy all the time.
        ideal_jobs_per_s: Math.round(workers / (ms / 1000)),
        redis_cpu_pct: Math.round((100 * used) / seconds),
        // From the end of a job to the beginning of the worker's next.
        claim_ms: { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) },
      };
    });
  } finally {
    await queue.obliterate({ force: true });
    await queue.close();
    await closeRedis(connection);
  }
}
