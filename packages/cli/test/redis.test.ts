// Takes half a minute: commands wait for a Redis that refuses as long as they would for a user's.

import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { connectRedis, enqueueShards, openQueues } from "@loc2vec/queue";
import { type ObjectStore, openStore, shardKey, storeIdentity } from "@loc2vec/shards";
import { expect, inject, onTestFinished, test } from "vitest";
import { writeStripes } from "../../../test/support/stripes.ts";
import { ownRedis } from "../../queue/test/helpers.ts";
import { type Ended, farm } from "./farm.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
  }
}

interface Farm {
  folder: string;
  store: ObjectStore;
  settings: Record<string, string>;
}

/** A store with a data set of which one shard is missing, on a Redis. */
async function freshFarm(redisUrl: string, prefix = `cli-${randomUUID()}`): Promise<Farm> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-cli-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const url = pathToFileURL(join(folder, "store")).href;
  const store = openStore(url);
  await writeStripes(store);
  await store.remove(shardKey("stripes", 2));
  await writeFile(join(folder, "places.csv"), "lon,lat\n7.42,43.73\n7.43,43.74\n");
  const settings = {
    FARM_HOME: folder,
    FARM_STORE: url,
    FARM_REDIS_URL: redisUrl,
    FARM_DATABASE_URL: inject("databaseUrl"),
    FARM_QUEUE_PREFIX: prefix,
  };
  return { folder, store, settings };
}

/** One line that names the Redis and says what mends it. */
function expectAnswer({ code, stderr }: Ended, message: RegExp): void {
  expect(stderr).not.toMatch(/fault of the farm|\n {4}at /);
  expect(stderr.trim().split("\n")).toEqual([expect.stringMatching(/^error: Redis at .* \(mend: .+\)$/)]);
  expect(stderr).toMatch(message);
  expect(code).toBe(4);
}

const WRITING = [
  ["enqueue", "--dataset", "town", "--locations", "PLACES"],
  ["retry", "--dataset", "stripes"],
  ["verify", "--dataset", "stripes", "--repair", "--quiet"],
  ["work", "--queues", "finalize", "--until", "empty", "--quiet"],
  ["work", "--queues", "finalize", "--until", "forever", "--quiet"],
];
const READING = [
  ["status", "--dataset", "stripes"],
  ["board", "--port", "0"],
];

test("a Redis that refuses writes: commands that write end with 4 and the mend, those that look still look", {
  timeout: 120_000,
}, async () => {
  const url = await ownRedis(["--maxmemory", "1"]);
  const { folder, settings } = await freshFarm(url);
  for (const args of WRITING) {
    const given = args.map((arg) => (arg === "PLACES" ? join(folder, "places.csv") : arg));
    expectAnswer(await farm(given, settings), /OOM command not allowed.*mend: .*maxmemory/);
  }
  expect(await farm(["status", "--dataset", "stripes", "--json"], settings)).toMatchObject({
    code: 0,
    json: { done: 5, lost: 1 },
  });
});

test.each([
  ["cluster mode", ["--cluster-enabled", "yes"], /cluster mode.*mend: .*cluster-enabled no/],
  ["a replica", ["--replicaof", "127.0.0.1 1"], /a replica of 127.0.0.1:1.*mend: .*master/],
])("%s: every command ends with 4 and the mend", { timeout: 120_000 }, async (_, args, message) => {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-nodes-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { folder: own, settings } = await freshFarm(await ownRedis(["--dir", folder, ...args]));
  for (const each of [...WRITING.slice(0, 4), ...READING]) {
    const given = each.map((arg) => (arg === "PLACES" ? join(own, "places.csv") : arg));
    expectAnswer(await farm(given, settings), message);
  }
  const { findings } = (await farm(["doctor", "--json"], settings)).json;
  expect(findings.find(({ what }: { what: string }) => what === "redis")).toMatchObject({
    ok: false,
    detail: expect.stringMatching(message),
  });
});

test("a user with too few rights: 4, and the rule that grants them", { timeout: 60_000 }, async () => {
  const url = new URL(await ownRedis());
  const admin = await connectRedis(url.href);
  onTestFinished(() => admin.disconnect());
  await admin.call("ACL", "SETUSER", "bob", "on", ">sesame", "~*", "+@all", "-info");
  [url.username, url.password] = ["bob", "sesame"];
  const { settings } = await freshFarm(url.href);
  expectAnswer(await farm(["retry", "--dataset", "stripes"], settings), /NOPERM.*ACL SETUSER/);
  await admin.call("ACL", "SETUSER", "bob", "+info", "-evalsha");
  // It connects, and is refused afterwards.
  expectAnswer(await farm(["status", "--dataset", "stripes"], settings), /NOPERM.*ACL SETUSER/);
});

test("a worker whose Redis turns refusing waits: one line, few questions, and it goes on", {
  timeout: 60_000,
}, async () => {
  const url = await ownRedis();
  const { store, settings } = await freshFarm(url);
  const admin = await connectRedis(url);
  onTestFinished(() => admin.disconnect());
  const prefix = settings.FARM_QUEUE_PREFIX as string;
  const queues = await openQueues({ redisUrl: url, prefix, store: await storeIdentity(store) });
  onTestFinished(() => queues.close());
  let stopWorker: (signal: NodeJS.Signals) => void = () => {};
  const ended = farm(["work", "--queues", "finalize", "--until", "forever", "--json"], settings, (kill) => {
    stopWorker = kill;
  });
  while ((await queues.finalize.getWorkersCount()) < 1) await sleep(50);
  await admin.config("SET", "min-replicas-to-write", "1");
  await sleep(8000); // its blocking read ends after 5 s
  await admin.config("SET", "min-replicas-to-write", "0");
  await enqueueShards(queues, "stripes", []);
  await expect
    .poll(() => queues.finalize.getJobState(`stripes.finalize@${queues.store}`), { timeout: 30_000 })
    .toBe(
      "waiting-children", // for the shard that is missing
    );
  stopWorker("SIGTERM");
  const { code, stderr } = await ended;
  expect(code).toBe(0);
  const lines = stderr.split("\n").filter((line) => line.includes("NOREPLICAS"));
  expect(lines).toEqual([expect.stringMatching(/^waiting: Redis at .* \(mend: .*min-replicas/)]);
});

test("work --until empty ends with 6 when jobs failed, now or before; JSON says how many", {
  timeout: 60_000,
}, async () => {
  const { store, settings } = await freshFarm(inject("redisUrl"));
  const prefix = settings.FARM_QUEUE_PREFIX as string;
  const queues = await openQueues({
    redisUrl: inject("redisUrl"),
    prefix,
    store: await storeIdentity(store),
  });
  onTestFinished(async () => {
    for (const name of ["raster", "finalize"] as const) await queues[name].obliterate({ force: true });
    await queues.close();
  });
  await enqueueShards(queues, "nowhere", []);
  const work = ["work", "--queues", "finalize", "--until", "empty"];
  const first = await farm([...work, "--dataset", "nowhere", "--json"], settings);
  expect(first).toMatchObject({ code: 6, json: { failures: 1, failed: 1 } });
  for (const more of [["--dataset", "nowhere"], []])
    expect(await farm([...work, ...more, "--json"], settings)).toMatchObject({
      code: 6,
      json: { failures: 0, failed: 1 },
    });
  expect(await farm(work, settings)).toMatchObject({
    code: 6,
    stdout: expect.stringMatching(/1 jobs? failed/),
  });
  expect(await farm([...work, "--dataset", "stripes", "--json"], settings)).toMatchObject({
    code: 0,
    json: { failed: 0 },
  });
});

test("a worker with another store on the same Redis and prefix leaves the jobs alone and says so once", {
  timeout: 60_000,
}, async () => {
  const one = await freshFarm(inject("redisUrl"));
  const two = await freshFarm(inject("redisUrl"), one.settings.FARM_QUEUE_PREFIX);
  const prefix = one.settings.FARM_QUEUE_PREFIX as string;
  const queues = await openQueues({
    redisUrl: inject("redisUrl"),
    prefix,
    store: await storeIdentity(one.store),
  });
  onTestFinished(async () => {
    for (const name of ["raster", "finalize"] as const) await queues[name].obliterate({ force: true });
    await queues.close();
  });
  for (const dataset of ["stripes", "a", "b"]) await enqueueShards(queues, dataset, []);
  const work = ["work", "--queues", "finalize", "--until", "empty"];
  const { code, stderr } = await farm(work, two.settings);
  expect(code).toBe(0);
  const said = stderr.split("\n").filter((line) => line.startsWith("left for other workers"));
  expect(said).toEqual([expect.stringContaining(queues.store)]);
  for (const job of await queues.finalize.getJobs(["waiting", "delayed"])) expect(job.attemptsMade).toBe(0);
  expect(await queues.finalize.getFailedCount()).toBe(0);
  // Nobody retries them by mistake, either.
  expect((await farm(["retry", "--dataset", "a", "--json"], two.settings)).json.retried.finalize).toBe(0);
  expect((await farm([...work, "--dataset", "a", "--json"], one.settings)).json).toMatchObject({ failed: 1 });
  expect((await farm(["retry", "--dataset", "a", "--json"], two.settings)).json.retried.finalize).toBe(0);
});
