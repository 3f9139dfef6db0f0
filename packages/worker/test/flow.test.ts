import { spawnSync } from "node:child_process";
import { FarmError, LocationError, type Training } from "@loc2vec/core";
import {
  closeRedis,
  connectRedis,
  enqueueShards,
  finalizeJobId,
  modelJobId,
  retryFailed,
  stageJobs,
} from "@loc2vec/queue";
import { createDataset, openDataset, readArray, readDigests, shardKey } from "@loc2vec/shards";
import { expect, inject, test } from "vitest";
import { type Consumer, type RunWorkerOptions, runWorker, type WorkerSummary } from "../src/index.ts";
import { datasetOf, enqueue, type Farm, freshFarm, hashes, locationsOf } from "./helpers.ts";
import { stripes } from "./rasterizer.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

function run(farm: Farm, options: Partial<RunWorkerOptions> = {}): Promise<WorkerSummary> {
  const { redisUrl, prefix, store } = farm;
  return runWorker({ redisUrl, prefix, store, rasterizer: stripes(), until: "empty", ...options });
}

const stateOf = async (farm: Farm, queue: "finalize" | "train" | "embed", id: string): Promise<string> =>
  farm.queues[queue].getJobState(id);

test("after the last shard the data set is checked, its checksums recorded, and marked complete", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf();
  await enqueue(farm, dataset);
  expect((await openDataset(farm.store, "city")).complete).toBeUndefined();
  expect(await stateOf(farm, "finalize", finalizeJobId({ store: farm.queues.store, dataset: "city" }))).toBe(
    "waiting-children",
  );
  await run(farm);
  const reader = await openDataset(farm.store, "city");
  const digests = await readDigests(farm.store, dataset);
  expect(reader.complete).toEqual({
    shards: 3,
    tiles: 30,
    empty: 0,
    bytes: [...(digests?.values() ?? [])].reduce((sum, { bytes }) => sum + bytes, 0),
    quarantined: 0,
  });
  const found = await hashes(farm.store);
  for (const [shard, { sha256 }] of digests ?? []) expect(sha256).toBe(found[shardKey("city", shard)]);
  expect(digests?.size).toBe(3);

  // All is the same when it is done again.
  await enqueueShards(farm.queues, "city", []);
  expect(await stateOf(farm, "finalize", finalizeJobId({ store: farm.queues.store, dataset: "city" }))).toBe(
    "waiting",
  );
  await run(farm);
  expect(await hashes(farm.store)).toEqual(found);
});

test("zarr-python opens the complete data set by its consolidated metadata alone", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  await run(farm);
  const script = `
import sys, json, zarr
group = zarr.open_consolidated(sys.argv[1], mode="r")
print(json.dumps([sorted(group.array_keys()), list(group["tiles"].shape), group["shard_sha256"][0].tobytes().hex(), group.attrs["complete"]["shards"]]))`;
  const folder = new URL("datasets/city", `${farm.storeUrl}/`).pathname;
  const { stdout, stderr } = spawnSync(inject("python"), ["-c", script, folder], { encoding: "utf8" });
  const digests = await readDigests(farm.store, datasetOf());
  expect(JSON.parse(stdout || "null"), stderr).toEqual([
    ["kind", "lat", "lon", "offset", "rotation", "shard_bytes", "shard_sha256", "tiles"],
    [10, 3, 128, 128, 12],
    digests?.get(0)?.sha256,
    3,
  ]);
});

test("a shard that went missing, one that is damaged, and one that is another's are rendered again", async () => {
  const calm = await freshFarm();
  await enqueue(calm, datasetOf());
  await run(calm);
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  await run(farm, { finalize: false });
  expect(await stateOf(farm, "finalize", finalizeJobId({ store: farm.queues.store, dataset: "city" }))).toBe(
    "waiting",
  );
  const [zero, one, two] = [0, 1, 2].map((shard) => shardKey("city", shard)) as [string, string, string];
  const bytes = (await farm.store.get(one)) as Uint8Array;
  await farm.store.remove(zero);
  await farm.store.put(two, ((await farm.store.get(two)) as Uint8Array).slice(0, -100));
  await farm.store.put(one, bytes.with(77, (bytes[77] as number) ^ 1));
  expect(await run(farm)).toMatchObject({ shards: 3, failures: 0 });
  expect(await hashes(farm.store)).toEqual(await hashes(calm.store));
  // Whole in itself, but not the one that was written.
  await farm.store.put(zero, (await farm.store.get(one)) as Uint8Array);
  await enqueueShards(farm.queues, "city", []);
  expect(await run(farm)).toMatchObject({ shards: 1, failures: 0 });
  expect(await hashes(farm.store)).toEqual(await hashes(calm.store));
});

test("an enqueueing that broke off after some shards is completed by the finalize job", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf();
  await createDataset(farm.store, dataset, locationsOf(dataset));
  await enqueueShards(farm.queues, "city", [1]);
  expect(await run(farm)).toMatchObject({ shards: 3, failures: 0 });
  expect((await openDataset(farm.store, "city")).complete?.shards).toBe(3);
});

test("shards that come back damaged each time end in a failure that names them", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  const failures: string[] = [];
  await run(farm, {
    store: {
      ...farm.store,
      url: farm.store.url,
      get: async (key) => {
        const found = await farm.store.get(key);
        return key === shardKey("city", 1) ? found?.slice(0, 200) : found;
      },
      getRange: (key, range) => farm.store.getRange(key, range),
      put: (key, bytes, options) => farm.store.put(key, bytes, options),
      head: (key) => farm.store.head(key),
      list: (prefix) => farm.store.list(prefix),
      remove: (key) => farm.store.remove(key),
    },
    onFailure: (id, reason, final) => failures.push(`${id} ${final} ${reason}`),
  });
  expect(failures).toHaveLength(1);
  expect(failures[0]).toMatch(
    /^city.finalize true data set city: 1 of 3 shards are wanting .* shard 1: .*tiles\/c\/1/,
  );
  expect(await retryFailed(farm.queues, "city")).toEqual({ raster: 0, finalize: 1, train: 0, embed: 0 });
});

test("a location that cannot be rendered is set aside and listed; its shard is done without it", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  const summary = await run(farm, {
    rasterizer: stripes(({ lon }) => {
      if (Math.abs(lon - 24.905) < 1e-9) throw new LocationError("lies beyond the map", "import more");
    }),
  });
  expect(summary).toMatchObject({ shards: 3, failures: 0, quarantined: 1, empty: 3 });
  const reader = await openDataset(farm.store, "city");
  expect(reader.complete).toMatchObject({ quarantined: 1, empty: 3 });
  expect([...(await reader.quarantine())]).toEqual([
    [
      5,
      "data set city, shard 1, location 5 (lon 24.905, lat 60.1025): lies beyond the map (mend: import more)",
    ],
  ]);
  expect((await reader.openShard(1))?.isEmpty(5, 0)).toBe(true);
  expect((await reader.openShard(1))?.isEmpty(6, 0)).toBe(false);
  // Found there by another worker, it is still told.
  await enqueueShards(farm.queues, "city", [1]);
  expect(await run(farm, { finalize: false })).toMatchObject({ skipped: 1 });
  expect((await farm.queues.raster.getJob(`city.1@${farm.queues.store}`))?.returnvalue).toMatchObject({
    quarantined: 1,
  });
});

test("an error that is of the map, not of a location, sets nothing aside", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  let calls = 0;
  const failures: string[] = [];
  const summary = await run(farm, {
    // In the middle of a shard, so that it is not more than half of its locations.
    rasterizer: stripes(() => {
      if (++calls === 4) throw new FarmError("data", "the map was replaced by another import");
    }),
    onFailure: (id, reason, final) => failures.push(`${id} ${final} ${reason}`),
  });
  expect(failures).toEqual([expect.stringMatching(/^city.0 true .*location 3 .*replaced/)]);
  expect(summary).toMatchObject({ shards: 2, quarantined: 0 });
});

const TRAIN: Training = {
  dataset: "city",
  model: "m1",
  steps: 2,
  seed: 0,
  batch: { locations: 2, pairs: 1 },
  loss: "softpn",
  learningRate: 0.001,
  checkpointEvery: 1,
  empty: "skip",
};

test("training waits for the complete data set, embedding for the training; a stopped training goes back at once", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf();
  await createDataset(farm.store, dataset, locationsOf(dataset));
  const done: string[] = [];
  const stop = new AbortController();
  let stopped = false;
  const train: Consumer<"train"> = {
    queue: "train",
    handBack: "at once",
    async process({ model, dataset: name }, { signal, progress }) {
      expect((await openDataset(farm.store, name)).complete?.shards).toBe(3);
      progress({ step: 1, of: 2, loss: 0.3 }, true);
      if (!stopped) {
        stopped = true;
        stop.abort();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        throw signal.reason;
      }
      done.push(`train ${model}`);
      return { step: 2, loss: 0.2 };
    },
  };
  const embed: Consumer<"embed"> = {
    queue: "embed",
    async process({ model, dataset: name }) {
      done.push(`embed ${model} ${name}`);
      return { locations: 10, prefix: "x", step: 2 };
    },
  };
  await enqueueShards(farm.queues, "city", [0, 1, 2], { follow: { train: TRAIN, embed: true } });
  const stages = (await stageJobs(farm.queues, "city")).map(
    ({ queue, id, state }) => `${queue} ${id} ${state}`,
  );
  expect(stages).toEqual([
    "finalize city.finalize waiting-children",
    "train m1@city waiting-children",
    "embed m1@city waiting-children",
  ]);
  const consumers = [train, embed] as Consumer[];
  const begin = performance.now();
  const summary = await run(farm, { consumers, signal: stop.signal, until: "forever" });
  expect(summary).toMatchObject({ shards: 3, handedBack: 1, interrupted: true });
  expect(performance.now() - begin).toBeLessThan(10_000);
  expect(done).toEqual([]);
  expect(await stateOf(farm, "train", modelJobId({ ...TRAIN, store: farm.queues.store }))).toBe("waiting");
  await run(farm, { rasterizer: undefined, finalize: false, consumers });
  expect(done).toEqual(["train m1", "embed m1 city"]);
  expect(await stateOf(farm, "embed", modelJobId({ ...TRAIN, store: farm.queues.store }))).toBe("completed");
});

test("a worker whose clock is an hour off is refused, and told so", async () => {
  const { checkClock } = await import("@loc2vec/queue");
  const client = await connectRedis(inject("redisUrl"));
  const now = Date.now;
  try {
    expect(Math.abs(await checkClock(client, "Redis"))).toBeLessThan(5000);
    for (const [skew, words] of [
      [3600_000, "3600 s ahead of"],
      [-3600_000, "3600 s behind"],
    ] as const) {
      Date.now = () => now() + skew;
      await expect(checkClock(client, "Redis")).rejects.toThrow(words);
    }
  } finally {
    Date.now = now;
    await closeRedis(client);
  }
});

test("the quarantine of a data set is an array of it", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  await run(farm, {
    rasterizer: stripes(({ lon }) => {
      if (Math.abs(lon - 24.9) < 1e-9) throw new LocationError("self-intersection");
    }),
  });
  const stored = await readArray(farm.store, "datasets/city/quarantine", "uint8");
  expect(new TextDecoder().decode(stored?.data)).toMatch(
    /^\[0,"data set city, shard 0, .* self-intersection"\]\n$/,
  );
});
