import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FarmError } from "@loc2vec/core";
import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../test/support/ports.ts";
import {
  connectRedis,
  enqueueShards,
  type FarmQueues,
  openQueues,
  rasterProgress,
  refusalOf,
  retryFailed,
} from "../src/index.ts";
import { waitForDataset } from "../src/progress.ts";
import { STORE, startRedis, stop } from "./helpers.ts";

interface Server {
  url: string;
  port: number;
  admin: Redis;
  folder: string;
}

/** A Redis of the test's own, with a folder and somebody who may do anything to it. */
async function server(args: readonly string[] = [], ready?: string): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-redis-"));
  const port = await freePort();
  const child = await startRedis(port, ["--dir", folder, ...args], ready);
  const admin = new Redis(port, { enableReadyCheck: false });
  admin.on("error", () => {});
  onTestFinished(async () => {
    admin.disconnect();
    await stop(child);
    await rm(folder, { recursive: true, force: true });
  });
  await admin.ping().catch(() => {}); // connected, whatever it answers
  return { url: `redis://127.0.0.1:${port}`, port, admin, folder };
}

async function failure(action: Promise<unknown>): Promise<FarmError> {
  const error = await action.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(FarmError);
  expect(error).toMatchObject({ kind: "service", exitCode: 4 });
  expect((error as FarmError).line).not.toMatch(/\n|sesame|user_script/);
  return error as FarmError;
}

const connect = (url: string) => connectRedis(url, { writeUnder: "farm" });

/** Fills the memory of a server that has little. */
async function fill(admin: Redis): Promise<void> {
  for (const size of [100_000, 1000, 10]) {
    await expect(async () => {
      for (let i = 0; ; i++) await admin.set(`other:${size}:${i}`, "x".repeat(size));
    }).rejects.toThrow("OOM");
  }
}

test("a replica is refused at connect, be it read-only, writable, or out of touch: its master is named", async () => {
  const master = await server();
  for (const options of [
    [],
    ["--replica-read-only", "no"],
    ["--replica-serve-stale-data", "no"], // MASTERDOWN
  ]) {
    const { url } = await server(["--replicaof", `127.0.0.1 ${master.port}`, ...options]);
    const { message, mend } = await failure(connectRedis(url));
    expect(message).toContain(`a replica of 127.0.0.1:${master.port}`);
    expect(mend).toContain("master");
  }
});

test("cluster mode and a Sentinel are refused at connect, whatever database the URL names", async () => {
  const cluster = await server(["--cluster-enabled", "yes"]);
  for (const database of ["", "/3"]) {
    const { message, mend } = await failure(connectRedis(`${cluster.url}${database}`));
    expect(message).toContain("cluster mode");
    expect(mend).toContain("cluster-enabled no");
  }
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-sentinel-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "sentinel.conf");
  await writeFile(file, "sentinel monitor main 127.0.0.1 1 1\n");
  const port = await freePort();
  const sentinel = await startRedis(port, [file, "--sentinel"], "monitor master");
  onTestFinished(() => stop(sentinel));
  for (const database of ["", "/3"]) {
    const { message, mend } = await failure(connectRedis(`redis://127.0.0.1:${port}${database}`));
    expect(message).toContain("a Sentinel");
    expect(mend).toContain("SENTINEL MASTERS");
  }
});

test("a full memory, too few replicas and a disk that cannot be written are refused at connect, with Redis's code and the mend of each", async () => {
  const full = await server(["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
  await fill(full.admin);
  const oom = await failure(connect(full.url));
  expect(oom.message).toBe(`Redis at ${full.url}: OOM command not allowed when used memory > 'maxmemory'.`);
  expect(oom.mend).toContain("maxmemory");
  // What only looks may look.
  (await connectRedis(full.url)).disconnect();

  const lonely = await server(["--min-replicas-to-write", "1"]);
  const few = await failure(connect(lonely.url));
  expect(few.message).toContain("NOREPLICAS");
  expect(few.mend).toContain("min-replicas-to-write");

  const disk = await server(["--dbfilename", "dump.rdb"]);
  await mkdir(join(disk.folder, "dump.rdb")); // cannot be replaced by a file
  await disk.admin.set("a", "b");
  await disk.admin.config("SET", "save", "3600 1");
  await disk.admin.bgsave();
  await expect.poll(() => disk.admin.info("persistence")).toContain("rdb_last_bgsave_status:err");
  const misconf = await failure(connect(disk.url));
  expect(misconf.message).toMatch(/MISCONF [^.]+\.$/);
  expect(misconf.mend).toContain("disk");
});

test("a Redis that still loads is refused at connect, and taken afterwards", async () => {
  const args = ["--dbfilename", "dump.rdb"];
  const first = await server(args);
  const pipeline = first.admin.pipeline();
  for (let i = 0; i < 2000; i++) pipeline.set(`other:${i}`, "x".repeat(100));
  await pipeline.exec();
  await first.admin.save();
  const slow = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
  const port = await freePort();
  const loading = await startRedis(port, ["--dir", first.folder, ...args, ...slow], "Server initialized");
  onTestFinished(() => stop(loading));
  const url = `redis://127.0.0.1:${port}`;
  await expect
    .poll(async () => (await failure(connect(url))).message, { timeout: 4000 })
    .toContain("LOADING");
  expect((await failure(connect(url))).mend).toContain("wait");
  await expect
    .poll(async () => (await connect(url).then((client) => client.disconnect())) === undefined, {
      timeout: 20_000,
    })
    .toBe(true);
});

test("rights that are wanting are refused at connect, with the rule that grants them; that rule suffices", async () => {
  const { admin, port } = await server();
  const allow = (...rules: string[]) =>
    admin.call("ACL", "SETUSER", "bob", "reset", "on", ">sesame", ...rules);
  const url = `redis://bob:sesame@127.0.0.1:${port}`;
  let rule = "";
  for (const rules of [
    ["~*", "+@all", "-info"],
    ["~*", "+@all", "-@scripting"],
    ["~*", "+@all", "-bzpopmin"],
    ["~*", "+@all", "-xadd"],
    ["~*", "+@all", "-@write"],
    ["~*", "+@read", "+@scripting", "+@connection", "+info"],
    ["~other:*", "+@all"],
    ["%R~*", "+@all"],
  ]) {
    await allow(...rules);
    const { message, mend } = await failure(connect(url));
    expect(message, rules.join(" ")).toContain("NOPERM");
    rule = /ACL SETUSER name (.*)/.exec(mend)?.[1] ?? "";
  }
  await allow(...rule.split(" "));
  const queues = await openQueues({ redisUrl: url, prefix: "farm", store: STORE });
  onTestFinished(() => queues.close());
  await enqueueShards(queues, "city", [0, 1]);
  const errors: unknown[] = [];
  const worker = new Worker("raster", async () => ({}), { connection: queues.connection, prefix: "farm" });
  worker.on("error", (error) => errors.push(error));
  onTestFinished(() => worker.close());
  expect(await waitForDataset(queues, "city")).toEqual({ failed: 0 });
  expect(await retryFailed(queues, "city")).toMatchObject({ raster: 0 });
  expect(errors).toEqual([]);
});

test("a database that the server does not have is refused, never replaced by another", async () => {
  const { url } = await server();
  const { message, mend } = await failure(connectRedis(`${url}/99`));
  expect(message).toContain("DB index is out of range");
  expect(mend).toContain("/0");
});

test("one client too many is told what to do", async () => {
  const { url } = await server(["--maxclients", "1"]);
  expect((await failure(connectRedis(url))).mend).toContain("maxclients");
});

/** Queues on a server that is well when they are opened. */
async function openOn({ url }: Server): Promise<FarmQueues> {
  const queues = await openQueues({ redisUrl: url, prefix: "farm", store: STORE });
  onTestFinished(() => queues.close());
  return queues;
}

test.each([
  ["READONLY", "master", ({ admin }: Server) => admin.replicaof("127.0.0.1", 1)],
  [
    "OOM",
    "maxmemory",
    async ({ admin }: Server) => {
      await admin.config("SET", "maxmemory", "3mb");
      await fill(admin);
    },
  ],
  ["NOREPLICAS", "min-replicas", ({ admin }: Server) => admin.config("SET", "min-replicas-to-write", "1")],
  ["NOPERM", "ACL SETUSER", ({ admin }: Server) => admin.call("ACL", "SETUSER", "default", "-@write")],
  // In the transaction that adds a block of jobs: EXECABORT, whose reason only its commands tell.
  ["NOPERM", "ACL SETUSER", ({ admin }: Server) => admin.call("ACL", "SETUSER", "default", "-evalsha")],
] as const)(
  "%s after the first connection is a service's answer with its mend (%s), not a fault",
  async (code, mend, spoil) => {
    const own = await server();
    const queues = await openOn(own);
    await enqueueShards(queues, "city", [0]);
    await spoil(own);
    for (const action of [
      () => enqueueShards(queues, "town", [0, 1, 2]),
      () => enqueueShards(queues, "city", [0, 1, 2]),
    ]) {
      const error = await failure(action());
      expect(error.message).toMatch(new RegExp(`^Redis at 127.0.0.1:${own.port}: (EXECABORT, )?${code} `));
      expect(error.mend).toContain(mend);
    }
  },
);

test("what may be read is still read while nothing may be written", async () => {
  const own = await server();
  const queues = await openOn(own);
  await enqueueShards(queues, "city", [0, 1]);
  await own.admin.config("SET", "min-replicas-to-write", "1");
  expect(await rasterProgress(queues, "city")).toMatchObject({ waiting: 2 });
});

test("Redis 6.2 hides its answer within a script: it is found", () => {
  const reply = (message: string): Error => Object.assign(new Error(message), { name: "ReplyError" });
  const within = "ERR Error running script (call to f_8d4d): @user_script:12: @user_script: 12: ";
  expect(refusalOf(reply(`${within}-READONLY You can't write against a read only replica.`))).toEqual({
    code: "READONLY",
    said: "READONLY You can't write against a read only replica.",
  });
  expect(
    refusalOf(reply(`${within}The user executing the script can't run this command or subcommand`)),
  ).toMatchObject({
    code: "NOPERM",
  });
  expect(refusalOf(new Error("READONLY"))).toBeUndefined();
});
