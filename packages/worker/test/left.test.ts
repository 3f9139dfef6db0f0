import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { FarmError, MismatchError } from "@loc2vec/core";
import {
  enqueueShards,
  openQueues,
  rasterJobId,
  rasterProgress,
  retryFailed,
  stageJobs,
} from "@loc2vec/queue";
import { createDataset, listShards, openDataset, openStore, storeIdentity } from "@loc2vec/shards";
import { expect, onTestFinished, test } from "vitest";
import { ownRedis } from "../../queue/test/helpers.ts";
import { type RunWorkerOptions, runWorker, type TileRenderer, type WorkerSummary } from "../src/index.ts";
import { datasetOf, enqueue, type Farm, freshFarm, hashes, locationsOf } from "./helpers.ts";
import { stripes } from "./rasterizer.ts";

function run(farm: Farm, options: Partial<RunWorkerOptions> = {}): Promise<WorkerSummary> {
  const { redisUrl, prefix, store } = farm;
  return runWorker({ redisUrl, prefix, store, rasterizer: stripes(), until: "empty", ...options });
}

/** Another store, on the same Redis with the same prefix. */
async function otherStore(farm: Farm): Promise<Farm> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-other-"));
  const storeUrl = pathToFileURL(folder).href;
  const store = openStore(storeUrl);
  const { redisUrl, prefix } = farm;
  const queues = await openQueues({ redisUrl, prefix, store: await storeIdentity(store) });
  onTestFinished(async () => {
    await queues.close();
    await rm(folder, { recursive: true });
  });
  return { ...farm, storeUrl, store, queues };
}

test("a worker with another store leaves the jobs alone, says so once, and ends; then their own does them all", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf({ locations: 24 });
  await enqueue(farm, dataset);
  const other = await otherStore(farm);
  const told: string[] = [];
  const failures: string[] = [];
  const summary = await run(other, {
    onLeft: (line) => told.push(line),
    onFailure: (_, reason) => failures.push(reason),
  });
  // It has done all that is its own to do: nothing.
  expect(summary).toMatchObject({ shards: 0, failures: 0, failed: 0, left: [] });
  expect(failures).toEqual([]);
  expect(told).toHaveLength(1);
  expect(told[0]).toContain(`object store ${farm.queues.store}`);
  expect(told[0]).toContain(other.queues.store);
  expect(told[0]).toContain("FARM_QUEUE_PREFIX");
  // One that has no time to meet such a job says it, too.
  await farm.queues.raster.pause();
  told.length = 0;
  await run(other, { onLeft: (line) => told.push(line) });
  expect(told).toEqual([expect.stringContaining(`object store ${farm.queues.store}`)]);
  await farm.queues.raster.resume();
  const jobs = await farm.queues.raster.getJobs(["waiting", "delayed", "active", "failed"]);
  expect(jobs).toHaveLength(6);
  for (const { attemptsMade, failedReason } of jobs)
    expect([attemptsMade, failedReason ?? ""]).toEqual([0, ""]);
  expect(await run(farm)).toMatchObject({ shards: 6, failures: 0, failed: 0 });
  expect((await openDataset(farm.store, "city")).complete?.shards).toBe(6);
});

test("data sets of one name in two stores do not mix, with workers of both at once", async () => {
  const one = await freshFarm();
  const two = await otherStore(one);
  const dataset = datasetOf({ locations: 24 });
  const another = datasetOf({ seed: 8, locations: 12 });
  await enqueue(one, dataset);
  await enqueue(two, another);
  expect(await rasterProgress(one.queues, "city")).toMatchObject({ waiting: 6 });
  expect(await rasterProgress(two.queues, "city")).toMatchObject({ waiting: 3 });
  const [first, second] = await Promise.all([run(one), run(two)]);
  expect(first).toMatchObject({ shards: 6, failures: 0, failed: 0, left: [] });
  expect(second).toMatchObject({ shards: 3, failures: 0, failed: 0, left: [] });
  expect((await openDataset(one.store, "city")).complete?.tiles).toBe(72);
  expect((await openDataset(two.store, "city")).complete?.tiles).toBe(36);
  const alone = await freshFarm();
  await enqueue(alone, another);
  await run(alone);
  expect(await hashes(two.store)).toEqual(await hashes(alone.store));
});

test("what failed in one store is neither listed, nor counted, nor retried in another", async () => {
  const one = await freshFarm();
  const two = await otherStore(one);
  for (const farm of [one, two]) await enqueue(farm, datasetOf());
  const broken = stripes(() => {
    throw new FarmError("data", "no street here");
  });
  expect(await run(one, { rasterizer: broken })).toMatchObject({ failed: 3 });
  expect(await rasterProgress(two.queues, "city")).toMatchObject({ failed: 0 });
  expect(await retryFailed(two.queues, "city")).toMatchObject({ raster: 0 });
  expect((await stageJobs(two.queues, "city")).map(({ id }) => id)).toEqual(["city.finalize"]);
  expect(await run(two)).toMatchObject({ shards: 3, failed: 0 });
  expect(await retryFailed(one.queues, "city")).toMatchObject({ raster: 3 });
});

/** Draws one map only, as a worker whose database holds it. */
function onMap(map: string): TileRenderer {
  return stripes(() => {
    if (map === "A") return;
    const message = `data set city is drawn from the map A; this worker has ${map}`;
    throw new MismatchError("map-mismatch", message, "import that map");
  });
}

test("jobs that only another worker can do are left without the loss of an attempt, and named at the end", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf({ locations: 24 });
  await enqueue(farm, dataset);
  const told: string[] = [];
  const begin = performance.now();
  const wrong = await run(farm, { rasterizer: onMap("B"), onLeft: (line) => told.push(line) });
  expect(performance.now() - begin).toBeLessThan(15_000);
  const reason = expect.stringMatching(/map A; this worker has B \(mend: import that map\)$/);
  expect(told).toEqual([reason]);
  expect(wrong).toMatchObject({ shards: 0, failures: 0, failed: 0 });
  expect(wrong.left).toEqual([{ queue: "raster", dataset: "city", jobs: 6, reason }]);
  const { failed, delayed, failures } = await rasterProgress(farm.queues, "city");
  expect({ failed, some: delayed > 0 }).toEqual({ failed: 0, some: true });
  expect(failures[0]?.reason).toMatch(/^left for another worker: .* map A; this worker has B/);
  for (let shard = 0; shard < 6; shard++) {
    const id = rasterJobId({ store: farm.queues.store, dataset: "city", shard });
    expect((await farm.queues.raster.getJob(id))?.attemptsMade).toBe(0);
  }
  // One that has the map does them, whatever the other did.
  expect(await run(farm, { rasterizer: onMap("A") })).toMatchObject({ shards: 6, failed: 0, left: [] });
  expect((await openDataset(farm.store, "city")).complete?.shards).toBe(6);
});

test("of two workers at once the one that has the map does it all; the other one is not in its way", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf({ locations: 24 }));
  const town = datasetOf({ name: "town", locations: 8 });
  await createDataset(farm.store, town, locationsOf(town));
  await enqueueShards(farm.queues, "town", [0, 1]);
  let asked = 0;
  const wrong = stripes(() => {
    asked++;
    throw new MismatchError("map-mismatch", "data set city is drawn from the map A; this worker has B");
  });
  const right = stripes(async () => void (await sleep(60)));
  const [idle, busy] = await Promise.all([
    run(farm, { rasterizer: wrong }),
    run(farm, { rasterizer: right }),
  ]);
  expect(idle).toMatchObject({ shards: 0, failures: 0 });
  expect(busy).toMatchObject({ shards: 8, failures: 0, failed: 0, left: [] });
  expect(asked).toBeLessThan(100);
  expect((await listShards(farm.store, datasetOf({ locations: 24 }))).size).toBe(6);
});

test("until empty: jobs that failed are counted, by whomever they were given up, of the data set that is watched", async () => {
  const farm = await freshFarm();
  const town = datasetOf({ name: "town" });
  await enqueue(farm, datasetOf());
  await createDataset(farm.store, town, locationsOf(town));
  await enqueueShards(farm.queues, "town", [0, 1, 2]);
  const broken = stripes(() => {
    throw new FarmError("data", "no street here");
  });
  // Every shard fails at once.
  expect(await run(farm, { rasterizer: broken, dataset: "city" })).toMatchObject({ failed: 3 });
  // The next worker has nothing to do, and says the same.
  expect(await run(farm, { dataset: "city" })).toMatchObject({ failures: 0, failed: 3 });
  await retryFailed(farm.queues, "town");
  expect(await run(farm, { dataset: "town" })).toMatchObject({ failed: 0 });
  expect(await run(farm)).toMatchObject({ failed: 3 });
  expect(await run(farm, { rasterizer: undefined })).toMatchObject({ failed: 0 });
});

test("a worker that waits for one data set reads the ids of all jobs seldom, the more there are the less often", {
  timeout: 120_000,
}, async () => {
  // A server of its own: what is counted are its commands, whoever gives them.
  const farm = await freshFarm(await ownRedis());
  await enqueue(farm, datasetOf({ locations: 4 }));
  const { connection, finalize, store } = farm.queues;
  // Waiting in a queue that is watched, and of no interest to the worker.
  const names = Array.from({ length: 20_000 }, (_, i) => `other${i}`);
  for (let i = 0; i < names.length; i += 2000) {
    await finalize.addBulk(
      names.slice(i, i + 2000).map((dataset) => ({
        name: "finalize",
        data: { store, dataset },
        opts: { jobId: `${dataset}.finalize@${store}` },
      })),
    );
  }
  await finalize.pause();
  const looks = async (): Promise<number> =>
    Number(/^cmdstat_lrange:calls=(\d+)/m.exec(await connection.info("commandstats"))?.[1] ?? 0);
  const stopped = new AbortController();
  const done = run(farm, {
    dataset: "city",
    signal: stopped.signal,
    rasterizer: stripes(() => sleep(500)),
  });
  await sleep(1000);
  const before = await looks();
  await sleep(3000);
  const seen = (await looks()) - before;
  stopped.abort();
  await done;
  // Every 300 ms it would be 10 looks of several reads each.
  expect(seen).toBeLessThan(20);
});
