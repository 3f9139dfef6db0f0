import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FarmError, MismatchError, shardCount } from "@loc2vec/core";
import { ATTEMPTS, enqueueShards, rasterProgress } from "@loc2vec/queue";
import { createDataset, listShards, shardKey } from "@loc2vec/shards";
import { expect, onTestFinished, test } from "vitest";
import {
  type RunWorkerOptions,
  renderShard,
  runWorker,
  type TileRenderer,
  type WorkerSummary,
} from "../src/index.ts";
import { CHANNELS, datasetOf, enqueue, type Farm, freshFarm, hashes, locationsOf } from "./helpers.ts";
import { SOURCE, stripes } from "./rasterizer.ts";

function run(farm: Farm, options: Partial<RunWorkerOptions> = {}): Promise<WorkerSummary> {
  const { redisUrl, prefix, store } = farm;
  return runWorker({ redisUrl, prefix, store, rasterizer: stripes(), until: "empty", ...options });
}

/** The bytes of a run that nothing disturbed. */
async function undisturbed(dataset = datasetOf()): Promise<Record<string, string>> {
  const farm = await freshFarm();
  await enqueue(farm, dataset);
  await run(farm);
  return hashes(farm.store);
}

test("renders all shards of the queue, then ends; told again, finds them there", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf();
  await enqueue(farm, dataset);
  const written: number[] = [];
  const summary = await run(farm, {
    onShard: ({ shard }, { sha256, bytes, skipped, empty }) => {
      expect({ sha256: sha256.length, skipped, empty }).toEqual({ sha256: 64, skipped: false, empty: 0 });
      expect(bytes).toBeGreaterThan(0);
      written.push(shard);
    },
  });
  expect(summary).toMatchObject({
    shards: 3,
    skipped: 0,
    failures: 0,
    handedBack: 0,
    tiles: 30,
    interrupted: false,
  });
  expect(written.sort()).toEqual([0, 1, 2]);
  expect(await listShards(farm.store, dataset)).toEqual(new Set([0, 1, 2]));
  const before = await hashes(farm.store);

  await enqueueShards(farm.queues, dataset.name, [0, 1, 2]);
  const refuse = stripes(() => {
    throw new Error("rendered again");
  });
  expect(await run(farm, { rasterizer: refuse })).toMatchObject({ shards: 0, skipped: 3, failures: 0 });
  expect(await hashes(farm.store)).toEqual(before);
});

test("a shard that is damaged in the store is rendered again", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf();
  await enqueue(farm, dataset);
  await run(farm);
  const before = await hashes(farm.store);
  for (const [shard, damage] of [
    [0, (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2)],
    [1, (bytes: Uint8Array) => bytes.with(1000, (bytes[1000] ?? 0) ^ 1)],
  ] as const) {
    const key = shardKey(dataset.name, shard);
    await farm.store.put(key, damage((await farm.store.get(key)) as Uint8Array));
  }
  await enqueueShards(farm.queues, dataset.name, [0, 1, 2]);
  expect(await run(farm)).toMatchObject({ shards: 2, skipped: 1, failures: 0 });
  expect(await hashes(farm.store)).toEqual(before);
});

test("two workers at once, with several shards each, write the bytes of one", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  const [one, two] = await Promise.all([run(farm, { concurrency: 2 }), run(farm)]);
  expect(one.shards + two.shards).toBe(3);
  expect(await hashes(farm.store)).toEqual(await undisturbed());
});

test("a service that fails for a while is tried again, and the bytes are the same", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  let calls = 0;
  const failures: string[] = [];
  const summary = await run(farm, {
    rasterizer: stripes(() => {
      if (++calls === 2) throw new FarmError("service", "PostgreSQL is restarting");
    }),
    onFailure: (id, reason, final) => failures.push(`${id} ${reason} ${final}`),
  });
  expect(summary).toMatchObject({ shards: 3, failures: 1 });
  expect(failures).toEqual([
    "city.0 data set city, shard 0, location 1 (lon 24.901, lat 60.1005): PostgreSQL is restarting false",
  ]);
  expect(await hashes(farm.store)).toEqual(await undisturbed());
});

test("an error that comes each time is given up after all attempts, the other shards are done", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf();
  await enqueue(farm, dataset);
  const summary = await run(farm, {
    rasterizer: stripes(({ lon }) => {
      if (Math.abs(lon - 24.905) < 1e-9) throw new Error("cut line");
    }),
  });
  expect(summary).toMatchObject({ shards: 2, failures: ATTEMPTS });
  const { failures } = await rasterProgress(farm.queues, dataset.name);
  expect(failures).toEqual([
    {
      shard: 1,
      reason: "data set city, shard 1, location 5 (lon 24.905, lat 60.1025): cut line",
      attempts: ATTEMPTS,
      retrying: false,
    },
  ]);
  expect(await listShards(farm.store, dataset)).toEqual(new Set([0, 2]));
});

test("what no attempt can mend fails at once, with the reason and both sides", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf({ locations: 4 });
  await createDataset(farm.store, dataset, locationsOf(dataset));
  const failing = async (
    dataset: string,
    shard: number,
    rasterizer: TileRenderer = stripes(),
  ): Promise<string> => {
    await enqueueShards(farm.queues, dataset, [shard]);
    await run(farm, { rasterizer });
    const { failures } = await rasterProgress(farm.queues, dataset);
    const failure = failures.find((found) => found.shard === shard);
    expect(failure?.attempts).toBe(1);
    return failure?.reason ?? "";
  };
  expect(await failing("atlantis", 0)).toContain("atlantis");
  expect(await failing("city", 1)).toContain("shard 1 of 1 does not exist");
  const bad = stripes(() => {
    throw new FarmError("input", "outside of the projection", "drop it");
  });
  expect(await failing("city", 0, bad)).toMatch(
    /location 0 \(lon 24.9, lat 60.1\): outside .* \(mend: drop it\)/,
  );
  expect(await listShards(farm.store, dataset)).toEqual(new Set());
});

test("a shard of another map, cartography or of other channels than a worker draws is refused, both named", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf({ locations: 4 });
  await createDataset(farm.store, dataset, locationsOf(dataset));
  const render = (changes: Partial<TileRenderer>) =>
    renderShard({
      store: farm.store,
      job: { dataset: "city", shard: 0 },
      rasterizer: { ...stripes(), ...changes },
    });
  const map = { ...SOURCE.map, name: "dots.osm.pbf", sha256: "c".repeat(64) };
  for (const [changes, why] of [
    [
      { source: { ...SOURCE, styleHash: "dots" } },
      /cartography stripes, by stripes 1; this worker draws dots/,
    ],
    [
      { source: { ...SOURCE, map } },
      /city is drawn from the map stripes\.osm\.pbf \(sha256 aaaa.*; this worker has dots\.osm\.pbf \(sha256 cccc/,
    ],
    [{ channels: ["roads", ...CHANNELS.slice(1)] }, /channels channel0 .*; this worker draws roads/],
  ] as const) {
    await expect(render(changes)).rejects.toThrowError(MismatchError);
    await expect(render(changes)).rejects.toThrowError(why);
  }
  expect(await listShards(farm.store, dataset)).toEqual(new Set());
  expect(await render({})).toMatchObject({ shard: 0, skipped: false });
});

test("a payload that somebody else wrote is refused", async () => {
  const farm = await freshFarm();
  await farm.queues.raster.add(
    "shard",
    { store: farm.queues.store, dataset: "../etc", shard: 0 },
    { jobId: "evil.0" },
  );
  const failures: string[] = [];
  await run(farm, { onFailure: (_, reason, final) => failures.push(`${reason} ${final}`) });
  expect(failures).toHaveLength(1);
  expect(failures[0]).toMatch(/^job evil.0: not a raster job, field dataset: .* true$/);
});

test("a rasterizer with tiles of a wrong shape is named, not written", async () => {
  const farm = await freshFarm();
  const dataset = datasetOf({ locations: 4 });
  await enqueue(farm, dataset);
  await run(farm, { rasterizer: { ...stripes(), render: async () => [new Uint8Array(5)] } });
  expect((await rasterProgress(farm.queues, "city")).failures[0]?.reason).toContain(
    "1 tiles of 5 bytes instead of 3",
  );
  expect(await listShards(farm.store, dataset)).toEqual(new Set());
});

test("stopped half way, it finishes its shard in the grace period; the next worker does the rest", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  const stop = new AbortController();
  const summary = await run(farm, {
    until: "forever",
    signal: stop.signal,
    rasterizer: stripes(async () => {
      stop.abort();
      await sleep(20);
    }),
  });
  expect(summary).toMatchObject({ shards: 1, handedBack: 0, interrupted: true });
  expect(await rasterProgress(farm.queues, "city")).toMatchObject({ waiting: 2, active: 0, failed: 0 });
  expect(await run(farm)).toMatchObject({ shards: 2, interrupted: false });
  expect(await hashes(farm.store)).toEqual(await undisturbed());
});

test("after the grace period it hands its shard back at once and without the loss of an attempt", async () => {
  const farm = await freshFarm();
  await enqueue(farm, datasetOf());
  const stop = new AbortController();
  const begin = performance.now();
  const summary = await run(farm, {
    signal: stop.signal,
    graceMs: 100,
    rasterizer: stripes(async () => {
      stop.abort();
      await sleep(80);
    }),
  });
  expect(performance.now() - begin).toBeLessThan(3000);
  expect(summary).toMatchObject({ shards: 0, handedBack: 1, failures: 0, interrupted: true });
  expect((await farm.queues.raster.getJob(`city.0@${farm.queues.store}`))?.attemptsMade).toBe(0);
  expect(await rasterProgress(farm.queues, "city")).toMatchObject({
    waiting: 3,
    active: 0,
    delayed: 0,
    failed: 0,
  });
  await run(farm);
  expect(await hashes(farm.store)).toEqual(await undisturbed());
});

test.each(["SIGKILL", "SIGTERM"] as const)(
  "%s in the middle of a shard: another worker completes, to the byte",
  async (signal) => {
    const farm = await freshFarm();
    const dataset = datasetOf();
    await enqueue(farm, dataset);
    const lockMs = 1000;
    const child = spawn(
      process.execPath,
      [
        join(import.meta.dirname, "process.ts"),
        farm.redisUrl,
        farm.prefix,
        farm.storeUrl,
        String(lockMs),
        "700",
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    let output = "";
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    const exited = once(child, "exit");
    await Promise.race([once(child.stdout, "data"), exited]);
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    expect(child.exitCode, output).toBeNull();
    child.kill(signal);
    expect(await exited, output).toEqual(signal === "SIGKILL" ? [null, "SIGKILL"] : [0, null]);
    expect(await listShards(farm.store, dataset)).toEqual(new Set());
    const summary = await run(farm, { lockMs });
    expect(summary).toMatchObject({ shards: shardCount(dataset), failures: 0 });
    expect(await hashes(farm.store)).toEqual(await undisturbed());
  },
);

test("a rasterizer that cannot be opened ends the worker; one opened here is closed", async () => {
  const farm = await freshFarm();
  await expect(
    run(farm, { rasterizer: async () => Promise.reject(new FarmError("service", "no map")) }),
  ).rejects.toThrow("no map");
  let closed = 0;
  await run(farm, { rasterizer: async () => ({ ...stripes(), close: async () => void closed++ }) });
  expect(closed).toBe(1);
});
