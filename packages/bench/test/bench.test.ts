// Takes half a minute: benches start servers of their own, and are stopped and killed at work.

import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureDatabase, fetchDemoMap, readImportInfo } from "@loc2vec/gis";
import { closeRedis, connectRedis } from "@loc2vec/queue";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { farm } from "../../cli/test/farm.ts";
import { bench } from "./run.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
    python: string;
  }
}

/** What the user has: a house. The benches have another map. */
const HOUSE = `<osm version="0.6">
  <node id="1" lon="7" lat="50"/><node id="2" lon="7.001" lat="50"/><node id="3" lon="7" lat="50.001"/>
  <way id="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="1"/><tag k="building" v="yes"/></way>
</osm>`;

let home: string;
let pbf: string;
let databaseUrl: string;
/** The user's own Redis, PostGIS and store. */
let settings: Record<string, string>;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "bench-"));
  await chmod(home, 0o755);
  pbf = (await fetchDemoMap({ home: resolve(import.meta.dirname, "../../../.farm") })).path;
  databaseUrl = await ensureDatabase(inject("databaseUrl"), `bench_${process.pid}`);
  settings = {
    FARM_HOME: home,
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_DATABASE_URL: databaseUrl,
    FARM_STORE: pathToFileURL(join(home, "store")).href,
    FARM_QUEUE_PREFIX: `bench-test-${process.pid}`,
  };
  const map = join(home, "house.osm");
  await writeFile(map, HOUSE);
  expect((await farm(["import", map], settings)).code).toBe(0);
  const csv = join(home, "place.csv");
  await writeFile(csv, "lon,lat\n7.0005,50.0005\n");
  // A data set and a job of the user's that have the benches' own name.
  expect((await farm(["enqueue", "--dataset", "bench", "--locations", csv], settings)).code).toBe(0);
});
afterAll(async () => {
  await farm(["down"], settings);
  await rm(home, { recursive: true, force: true });
});

/** All that the user has. */
async function belongings(): Promise<unknown> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const redis = await connectRedis(inject("redisUrl"));
  try {
    const { rows: features } = await client.query("SELECT * FROM farm.feature");
    const { rows: databases } = await client.query("SELECT datname FROM pg_database ORDER BY datname");
    const keys = await redis.keys(`${settings.FARM_QUEUE_PREFIX}:*`);
    const benches = await redis.keys("bench-[0-9]*");
    return {
      map: await readImportInfo(databaseUrl),
      features,
      // Other tests make databases at the same time.
      databases: databases.map(({ datname }) => datname).filter((name) => /^loc2vec_/.test(name)),
      keys: keys.sort(),
      benches,
      store: (await readdir(join(home, "store"), { recursive: true })).sort(),
    };
  } finally {
    await client.end();
    await closeRedis(redis);
  }
}

test("a bench runs beside an imported map, and leaves map, queues and store as they were", async () => {
  const before = await belongings();
  const args = ["enqueue", "--locations", "300", "--pbf", pbf, "--json"];
  const { code, json, stderr } = await bench(args, settings);
  expect(stderr).not.toMatch(/error:/);
  expect({ code, ...json }).toMatchObject({ code: 0, complete: true, jobs: 5, again_added: 0 });
  expect(await belongings()).toEqual(before);
}, 120_000);

test("a bench that is stopped prints what it had measured, and ends its servers", async () => {
  const before = await belongings();
  const args = ["farm", "--locations", "64", "--repeats", "1000", "--pbf", pbf, "--json"];
  const { code, stdout, stderr, json } = await bench(args, settings, (kill, progress) => {
    const stop = (text: string): void => {
      if (!text.includes("shards_per_s_2 ")) return;
      progress.off("data", stop);
      kill("SIGINT");
    };
    progress.on("data", stop);
  });
  expect(code).toBe(130);
  expect(stderr).toMatch(/^bench: repeats 0, shards_per_s_1 [\d.]+, queue_overhead_pct/m);
  expect(stdout.trim().split("\n")).toHaveLength(1);
  expect(json).toMatchObject({ bench: "farm", complete: false, shards: 2 });
  expect(json.shards_per_s_1).toBeGreaterThan(0);
  expect(json).not.toHaveProperty("requests");
  expect((await farm(["down", "--json"], settings)).json).toEqual({ stopped: [] });
  expect(await belongings()).toEqual(before);
}, 120_000);

test("the servers of a bench that was killed are stopped by farm down", async () => {
  const args = ["enqueue", "--locations", "300", "--pbf", pbf];
  const { code, stdout } = await bench(args, settings, (kill, progress) => {
    progress.on("data", (text: string) => text.includes("bench: writing") && kill("SIGKILL"));
  });
  expect([code, stdout]).toEqual([null, ""]);
  expect((await farm(["down", "--json"], settings)).json).toEqual({ stopped: ["redis", "database"] });
}, 120_000);

/** Ids of the processes of Node that a process has started. Servers are not among them: they stay until farm down. */
async function childrenOf(pid: number): Promise<number[]> {
  const children: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (Number(/\) \S (\d+) /.exec(stat)?.[1]) === pid && command.startsWith(process.execPath))
      children.push(Number(name));
  }
  return children;
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

test("a bench that is killed takes its processes with it", async () => {
  const args = ["farm", "--locations", "64", "--repeats", "1000", "--pbf", pbf];
  let workers: number[] = [];
  const ended = await bench(args, settings, (kill, progress, pid) => {
    progress.on("data", async (text: string) => {
      if (!text.includes("bench: repeats") || workers.length > 0) return;
      // The next round has begun: its workers are there, or will be at once.
      while (workers.length === 0) workers = await childrenOf(pid);
      kill("SIGKILL");
    });
  });
  expect(ended.code).toBeNull();
  expect(workers.length).toBeGreaterThan(0);
  await expect.poll(() => workers.filter(isAlive), { timeout: 30_000 }).toEqual([]);
  await farm(["down"], settings);
}, 120_000);

test("all prints one object with machine, medians and rates", { timeout: 200_000 }, async () => {
  const { code, json } = await bench(["all", "--repeats", "1", "--pbf", pbf, "--json"], settings);
  expect(code).toBe(0);
  expect(json.machine.cores).toBeGreaterThan(0);
  for (const what of ["render", "encode", "train", "embed"])
    expect(json.results[what].rate, what).toBeGreaterThan(0);
});

test("the help lists every bench, and of each its own options alone", async () => {
  const { stdout } = await bench(["--help"]);
  const names = [...stdout.matchAll(/^ {2}([\w-]+) (?:\[options\])/gm)].map(([, name]) => name);
  expect(names).toEqual([
    ...["raster", "query", "shards", "workers", "enqueue", "farm", "loader", "train", "embed"],
    ...["knn", "space", "api", "explore", "uses", "uses-venues"],
    ...["render", "shard", "step", "all", "gpu-ready", "scale"],
  ]);
  expect((await bench(["raster", "--help"])).stdout).toContain("--density <n>");
  expect((await bench(["train", "--help"])).stdout).not.toContain("--density");
  expect(await bench(["fly"])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/unknown command 'fly'/),
  });
});
