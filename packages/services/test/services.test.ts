// Takes a quarter of a minute: real servers start and stop again and again.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "@loc2vec/core";
import { Redis } from "ioredis";
import pg from "pg";
import { beforeEach, describe, expect, inject, test } from "vitest";
import { ensureServices, servicesDown, servicesStatus, servicesUp } from "../src/index.ts";
import { freshConfig, listen } from "./home.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
  }
}

let home: string;
let config: Config;

beforeEach(async () => {
  config = await freshConfig();
  home = config.home;
});

const states = async (): Promise<string[]> => (await servicesStatus(config)).map(({ state }) => state);
const BOTH = { need: ["redis", "database"] as const };

async function withRedis<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  return work(client).finally(() => client.disconnect());
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return (await client.query(text).finally(() => client.end())).rows;
}

test("started when needed, stopped when let go; what they hold stays", async () => {
  expect(await states()).toEqual(["down", "down"]);
  const services = await ensureServices(config, BOTH);
  expect(services.started).toEqual(["redis", "database"]);
  await withRedis(services.redisUrl, async (client) => {
    expect(await client.config("GET", "maxmemory-policy")).toEqual(["maxmemory-policy", "noeviction"]);
    expect(await client.config("GET", "appendonly")).toEqual(["appendonly", "yes"]);
    await client.set("key", "kept");
  });
  await query(services.databaseUrl, "CREATE EXTENSION postgis");
  await query(services.databaseUrl, "CREATE TABLE kept AS SELECT ST_Point(1, 2) AS point");
  expect(await states()).toEqual(["up", "up"]);
  await services.release();
  await services.release();
  expect(await states()).toEqual(["down", "down"]);

  const again = await ensureServices(config, BOTH);
  expect(await withRedis(again.redisUrl, (client) => client.get("key"))).toBe("kept");
  expect(await query(again.databaseUrl, "SELECT ST_X(point) AS x FROM kept")).toEqual([{ x: 1 }]);
  await again.release();
});

test.each([
  ["any character", `a%20b 100%c#d?é"q'u$x:y;z\\w*[東]`],
  ["a path of the greatest length", null],
])("a home with %s", async (_, name) => {
  const long = `${"long/".repeat(200)}`.slice(0, 899 - home.length);
  const odd = { ...config, home: join(home, name ?? long) };
  await mkdir(odd.home, { recursive: true });
  const services = await ensureServices(odd, BOTH);
  try {
    expect(services.started).toEqual(["redis", "database"]);
    // With its settings, and found again by the next one.
    await withRedis(services.redisUrl, async (client) => {
      expect(await client.config("GET", "appendonly")).toEqual(["appendonly", "yes"]);
      expect(await client.config("GET", "dir")).toEqual(["dir", join(odd.home, "redis")]);
    });
    expect(await query(services.databaseUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    const again = await ensureServices(odd, BOTH);
    expect(again.started).toEqual([]);
    await again.release();
  } finally {
    await services.release();
  }
  expect((await servicesStatus(odd)).map(({ state }) => state)).toEqual(["down", "down"]);
});

test("the last user to leave stops them; up keeps them until down", async () => {
  const first = await ensureServices(config, { need: ["redis"] });
  const second = await ensureServices(config, { need: ["redis"] });
  expect(second.started).toEqual([]);
  await first.release();
  expect(await states()).toEqual(["up", "down"]);
  await second.release();
  expect(await states()).toEqual(["down", "down"]);

  expect((await servicesUp(config)).map(({ state }) => state)).toEqual(["up", "up"]);
  await (await ensureServices(config, BOTH)).release();
  expect(await states()).toEqual(["up", "up"]);
  expect((await servicesDown(config)).sort()).toEqual(["database", "redis"]);
  expect(await servicesDown(config)).toEqual([]);
});

test("many at once start each server once", async () => {
  const all = await Promise.all(Array.from({ length: 4 }, () => ensureServices(config, BOTH)));
  expect(all.flatMap(({ started }) => started).sort()).toEqual(["database", "redis"]);
  await Promise.all(all.map(({ release }) => release()));
  expect(await states()).toEqual(["down", "down"]);
});

test("servers that were killed start again with what they had", async () => {
  const services = await ensureServices(config, BOTH);
  await withRedis(services.redisUrl, (client) => client.set("key", "kept"));
  // The journal is written to disk once a second.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  for (const { pid } of await servicesStatus(config)) process.kill(pid as number, "SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 500));
  const again = await ensureServices(config, BOTH);
  expect(again.started.sort()).toEqual(["database", "redis"]);
  expect(await withRedis(again.redisUrl, (client) => client.get("key"))).toBe("kept");
  await again.release();
});

test("they outlive the process that started them when it is killed, and are taken over", async () => {
  const script = join(home, "start.mjs");
  const [core, services] = ["core", "services"].map(
    (name) => new URL(`../../${name}/dist/index.js`, import.meta.url).href,
  );
  await writeFile(
    script,
    `import { readConfig } from ${JSON.stringify(core)};
     import { ensureServices } from ${JSON.stringify(services)};
     await ensureServices(readConfig("/"), { need: ["redis"] });
     console.log("up");
     setInterval(() => {}, 1000);`,
  );
  const env = {
    ...process.env,
    FARM_HOME: home,
    FARM_REDIS_PORT: String(config.redisPort),
    FARM_DATABASE_PORT: String(config.databasePort),
  };
  const child: ChildProcess = spawn(process.execPath, [script], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await states()).toEqual(["up", "down"]);
  const taken = await ensureServices(config, { need: ["redis"] });
  expect(taken.started).toEqual([]);
  await taken.release();
  expect(await states()).toEqual(["down", "down"]);
});

describe("errors name the thing, the place and the mend", () => {
  test("a port that somebody else has", async () => {
    const { server, port } = await listen();
    for (const [need, setting, field] of [
      ["redis", "FARM_REDIS_PORT", "redisPort"],
      ["database", "FARM_DATABASE_PORT", "databasePort"],
    ] as const) {
      await expect(ensureServices({ ...config, [field]: port }, { need: [need] })).rejects.toMatchObject({
        kind: "service",
        line: expect.stringMatching(new RegExp(`${port}.*${setting}`)),
      });
    }
    server.close();
  });

  test("a foreign Redis or PostgreSQL on the port is not taken for ours", async () => {
    const [redis, database] = [inject("redisUrl"), inject("databaseUrl")].map((url) =>
      Number(new URL(url).port),
    ) as [number, number];
    await expect(ensureServices({ ...config, redisPort: redis }, { need: ["redis"] })).rejects.toMatchObject({
      kind: "service",
    });
    await expect(
      ensureServices({ ...config, databasePort: database }, { need: ["database"] }),
    ).rejects.toMatchObject({ kind: "service" });
  });

  test("the user's own server: used where it answers, named where it does not", async () => {
    const own = { ...config, redisUrl: inject("redisUrl"), databaseUrl: inject("databaseUrl") };
    const services = await ensureServices(own, BOTH);
    expect(services).toMatchObject({ redisUrl: own.redisUrl, databaseUrl: own.databaseUrl, started: [] });
    await services.release();
    expect((await servicesStatus(own)).map(({ state }) => state)).toEqual(["external", "external"]);
    await expect(
      ensureServices({ ...config, redisUrl: "redis://:secret@127.0.0.1:9" }, { need: ["redis"] }),
    ).rejects.toMatchObject({
      kind: "service",
      line: expect.stringMatching(/127\.0\.0\.1:9.*FARM_REDIS_URL/),
    });
    const wrong = new URL(own.databaseUrl);
    wrong.password = "wrong";
    const refused = ensureServices({ ...config, databaseUrl: wrong.href }, { need: ["database"] });
    await expect(refused).rejects.toMatchObject({
      kind: "service",
      line: expect.stringMatching(/password.*FARM_DATABASE_URL/),
    });
  });

  test("a home that cannot be written", async () => {
    const file = join(home, "file");
    await writeFile(file, "");
    await expect(
      ensureServices({ ...config, home: join(file, "home") }, { need: ["redis"] }),
    ).rejects.toMatchObject({ line: expect.stringContaining(file) });
  });

  test.runIf(process.getuid?.() === 0 && spawnSync("mount", ["--version"]).status === 0)(
    "a disk that is full leaves nothing in the way",
    async ({ skip }) => {
      const small = join(home, "small");
      await mkdir(small);
      if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", small]).status !== 0)
        skip("mounting is not allowed here");
      try {
        await chmod(small, 0o755);
        const full = { ...config, home: small };
        await expect(ensureServices(full, { need: ["database"] })).rejects.toMatchObject({
          kind: "service",
          line: expect.stringMatching(/space/i),
        });
        expect(existsSync(join(small, "postgres/data/PG_VERSION"))).toBe(false);
        spawnSync("mount", ["-o", "remount,size=200m", small]);
        const services = await ensureServices(full, { need: ["database"] });
        await services.release();
      } finally {
        spawnSync("umount", ["-l", small]);
      }
    },
  );
});
