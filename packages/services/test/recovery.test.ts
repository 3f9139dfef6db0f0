// Takes most of a minute: servers are killed at many moments of their start, and started again.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "@loc2vec/core";
import { Redis } from "ioredis";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { ensureServices, servicesDown, servicesStatus, withLock } from "../src/index.ts";
import { processesIn } from "../src/proc.ts";
import { failure, freshConfig, listen } from "./home.ts";

const BOTH = { need: ["redis", "database"] as const };
const isRoot = process.getuid?.() === 0;

const states = async (config: Config): Promise<string[]> =>
  (await servicesStatus(config)).map(({ state }) => state);

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return (await client.query(text).finally(() => client.end())).rows;
}

/** A process that holds both services; it belongs to a process group of its own, as a command of a shell does. */
function command(config: Config): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, "ensure.mjs")], {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      ...process.env,
      FARM_HOME: config.home,
      FARM_REDIS_PORT: String(config.redisPort),
      FARM_DATABASE_PORT: String(config.databasePort),
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** What a command started; its error when it fails. */
async function startedBy(child: ChildProcess): Promise<string[]> {
  let errors = "";
  child.stderr?.on("data", (chunk) => {
    errors += chunk;
  });
  const first = await Promise.race([
    once(child.stdout as NonNullable<typeof child.stdout>, "data"),
    once(child, "exit").then(() => Promise.reject(new Error(errors))),
  ]);
  return JSON.parse(String(first[0]));
}

test("commands that begin at the same moment start each server once; Ctrl-C on one leaves the others theirs", async () => {
  const config = await freshConfig();
  const commands = [command(config), command(config), command(config)];
  const started = await Promise.all(commands.map(startedBy));
  expect(started.flat().sort()).toEqual(["database", "redis"]);
  // What the terminal does: the signal goes to the whole process group of the command that started the servers.
  const starter = commands.splice(
    started.findIndex((names) => names.includes("database")),
    1,
  )[0] as ChildProcess;
  process.kill(-(starter.pid as number), "SIGINT");
  await once(starter, "exit");
  expect(await states(config)).toEqual(["up", "up"]);
  for (const [left, expected] of [
    [commands[0], "up"],
    [commands[1], "down"],
  ] as const) {
    left?.stdin?.end();
    await once(left as ChildProcess, "exit");
    expect(await states(config)).toEqual([expected, expected]);
  }
});

test("a command killed at any moment of the start, and all servers with it: the next one works", async () => {
  const config = await freshConfig();
  const kill = (folder: string, program: string): void => {
    for (const pid of processesIn(join(config.home, folder), program)) process.kill(pid, "SIGKILL");
  };
  for (const [i, ms] of [120, 200, 280, 400, 600, 900, 1300].entries()) {
    const child = command(config);
    let errors = "";
    child.stderr?.on("data", (chunk) => {
      errors += chunk;
    });
    await sleep(ms);
    expect(child.exitCode, `after kill ${i}: ${errors}`).toBeNull();
    process.kill(-(child.pid as number), "SIGKILL");
    await once(child, "exit");
    // Every other time the servers live on, perhaps half started, and are taken over.
    if (i % 2 === 0) {
      kill("redis", "redis-server");
      kill("postgres/data", "postgres");
    }
  }
  const services = await ensureServices(config, BOTH);
  expect(await query(services.databaseUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  expect((await readdir(join(config.home, "postgres"))).filter((name) => name.startsWith("new-"))).toEqual(
    [],
  );
  await services.release();
  expect(await states(config)).toEqual(["down", "down"]);
});

test("pid files that name another program now are no hindrance, and that program is left alone", async () => {
  const config = await freshConfig();
  await (await ensureServices(config, BOTH)).release();
  const other = spawn("sleep", ["600"]);
  onTestFinished(() => void other.kill());
  await writeFile(join(config.home, "redis/redis.pid"), `${other.pid}\n`);
  const data = join(config.home, "postgres/data");
  const lines = [other.pid, data, 1, config.databasePort, "", "127.0.0.1", "  1 1", "ready", ""];
  await writeFile(join(data, "postmaster.pid"), lines.join("\n"));
  expect(await states(config)).toEqual(["down", "down"]);
  expect(await servicesDown(config)).toEqual([]);
  const services = await ensureServices(config, BOTH);
  expect(services.started).toEqual(["redis", "database"]);
  await services.release();
  expect(other.exitCode ?? other.signalCode).toBeNull();
});

test("a killed server that nobody collects (a zombie) is no hindrance", async () => {
  const config = await freshConfig();
  await (await ensureServices(config, BOTH)).release();
  const data = join(config.home, "postgres/data");
  // PostgreSQL takes only processes of its own user for another server.
  const { uid, gid } = await stat(data);
  const parent = spawn(
    "/usr/bin/python3",
    [
      "-c",
      "import os, time\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(600)",
    ],
    { uid, gid, cwd: "/", stdio: ["ignore", "pipe", "inherit"] },
  );
  onTestFinished(() => void parent.kill("SIGKILL"));
  const pid = Number(await once(parent.stdout, "data"));
  await expect.poll(() => readFile(`/proc/${pid}/stat`, "utf8")).toMatch(/\) Z /);
  const lines = [pid, data, 1, config.databasePort, "", "127.0.0.1", "  1 1", "ready", ""];
  await writeFile(join(data, "postmaster.pid"), lines.join("\n"));
  await writeFile(join(config.home, "redis/redis.pid"), `${pid}\n`);
  const services = await ensureServices(config, BOTH);
  expect(services.started).toEqual(["redis", "database"]);
  await services.release();
});

test("a server that was started on another port is used there", async () => {
  const config = await freshConfig();
  const services = await ensureServices(config, BOTH);
  const told: string[] = [];
  const moved = { ...config, redisPort: config.redisPort - 1, databasePort: config.databasePort - 1 };
  const again = await ensureServices(moved, { ...BOTH, log: (line) => told.push(line) });
  expect(again.started).toEqual([]);
  expect([again.redisUrl, again.databaseUrl]).toEqual([services.redisUrl, services.databaseUrl]);
  expect(told).toEqual([
    `the private Redis runs already, on port ${config.redisPort}`,
    `the private PostgreSQL runs already, on port ${config.databasePort}`,
  ]);
  await Promise.all([services.release(), again.release()]);
});

test("a server that hangs is named, and can be brought down", async () => {
  const config = await freshConfig();
  await ensureServices(config, { need: ["redis"] });
  const pid = (await servicesStatus(config))[0]?.pid as number;
  process.kill(pid, "SIGSTOP");
  const error = await failure(ensureServices(config, { need: ["redis"] }));
  expect(error.line).toMatch(new RegExp(`process ${pid}.*does not answer.*kill -9 ${pid}`));
  expect(await servicesDown(config)).toEqual(["redis"]);
  expect(await states(config)).toEqual(["down", "down"]);
});

test("the passwords are for their owner only, and a URL shown to people hides them", async () => {
  const config = await freshConfig();
  const services = await ensureServices(config, BOTH);
  for (const folder of ["redis", "postgres"]) {
    const { mode } = await stat(join(config.home, folder, "password"));
    expect(mode & 0o777).toBe(0o600);
  }
  expect((await stat(join(config.home, "redis/redis.conf"))).mode & 0o777).toBe(0o600);
  const shown = JSON.stringify(await servicesStatus(config));
  for (const url of [services.redisUrl, services.databaseUrl]) {
    expect(shown).not.toContain(new URL(url).password);
  }
  // Nobody gets in without.
  const open = new Redis(`redis://127.0.0.1:${config.redisPort}`, { enableReadyCheck: false });
  open.on("error", () => {});
  await expect(open.ping()).rejects.toThrow("NOAUTH");
  open.disconnect();
  const bare = new URL(services.databaseUrl);
  bare.password = "";
  await expect(query(bare.href, "SELECT 1")).rejects.toThrow(/password/);
  await services.release();
});

test.runIf(isRoot)(
  "a home that PostgreSQL's user cannot enter: its data lie elsewhere and are found again",
  async () => {
    const config = await freshConfig(0o700);
    const services = await ensureServices(config, { need: ["database"] });
    await query(services.databaseUrl, "CREATE TABLE kept AS SELECT 1 AS one");
    await services.release();
    const link = join(config.home, "postgres");
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    const target = await realpath(link);
    expect(dirname(target)).toBe("/var/lib");
    expect((await stat(join(target, "data"))).uid).not.toBe(0);
    const again = await ensureServices(config, { need: ["database"] });
    expect(await query(again.databaseUrl, "SELECT one FROM kept")).toEqual([{ one: 1 }]);
    await again.release();
    // The folder went away and left its link.
    await rm(target, { recursive: true });
    const anew = await ensureServices(config, { need: ["database"] });
    await expect(query(anew.databaseUrl, "SELECT one FROM kept")).rejects.toThrow(/kept/);
    await anew.release();
  },
);

test("the lock lets one in at a time and goes with its holder", async () => {
  const config = await freshConfig();
  const file = join(config.home, "a lock");
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 4 }, () =>
      withLock(file, async () => {
        most = Math.max(most, ++inside);
        await sleep(30);
        inside--;
      }),
    ),
  );
  expect(most).toBe(1);
  await expect(withLock(file, () => Promise.reject(new Error("inside")))).rejects.toThrow("inside");
  const late = withLock(file, () => failure(withLock(file, async () => {}, { timeoutMs: 200 })));
  expect((await late).message).toContain("has held this lock");
});

describe("errors", () => {
  test("a server that ends at its start is quoted, and so is damage to what it holds", async () => {
    const config = await freshConfig();
    await (await ensureServices(config, BOTH)).release();
    const journal = join(config.home, "redis/appendonlydir");
    const manifest = (await readdir(journal)).find((name) => name.endsWith(".manifest")) as string;
    const good = await readFile(join(journal, manifest));
    await writeFile(join(journal, manifest), "nonsense\n");
    const redis = await failure(ensureServices(config, { need: ["redis"] }));
    expect(redis.message).toMatch(/private Redis ended at its start with 1: ".*AOF.*"/);
    expect(redis.mend).toContain("redis.log");
    await writeFile(join(journal, manifest), good);
    await truncate(join(config.home, "postgres/data/global/pg_control"), 100);
    const database = await failure(ensureServices(config, BOTH));
    expect(database.message).toMatch(
      /private PostgreSQL ended at its start with SIGABRT: ".*PANIC.*pg_control.*"/,
    );
    // Redis was started before, and is let go of.
    expect(await states(config)).toEqual(["down", "down"]);
  });

  test("a private PostgreSQL whose connections are all taken says so, and is not taken for one that hangs", async () => {
    const config = await freshConfig();
    const services = await ensureServices(config, { need: ["database"] });
    const held: pg.Client[] = [];
    for (let full = false; !full; ) {
      const client = new pg.Client({ connectionString: services.databaseUrl });
      full = await client.connect().then(
        () => held.push(client) > 100,
        () => true,
      );
    }
    const error = await failure(ensureServices(config, { need: ["database"] }));
    expect(error.kind).toBe("service");
    expect(error.line).toMatch(
      /^PostgreSQL at 127\.0\.0\.1:\d+: .*too many clients.* \(53300\) .*max_connections/,
    );
    for (const client of held) await client.end();
    await services.release();
  });

  test("a password that is not the data's ends at once", async () => {
    const config = await freshConfig();
    await (await ensureServices(config, { need: ["database"] })).release();
    const file = join(config.home, "postgres/password");
    await writeFile(file, "wrong");
    const error = await failure(ensureServices(config, { need: ["database"] }));
    expect(error.message).toContain(`refuses the password in ${file}`);
    expect(await states(config)).toEqual(["down", "down"]);
    await rm(file);
    expect((await failure(ensureServices(config, { need: ["database"] }))).message).toContain("is gone");
  });

  test("an address where nothing ever answers", async () => {
    const config = await freshConfig();
    const { server, port } = await listen("");
    onTestFinished(() => void server.close());
    const silent = { ...config, redisUrl: `redis://127.0.0.1:${port}` };
    const error = await failure(ensureServices(silent, { need: ["redis"] }));
    expect(error.line).toMatch(
      new RegExp(`Redis at 127.0.0.1:${port}: no answer within 5 s.*FARM_REDIS_URL`),
    );
    expect(
      (await servicesStatus({ ...config, databaseUrl: "postgres://me:geheim@127.0.0.1:9/x" }))[1],
    ).toEqual({
      service: "database",
      state: "external",
      url: "postgres://me:***@127.0.0.1:9/x",
      problem: expect.stringMatching(/PostgreSQL at 127.0.0.1:9\/x: .*ECONNREFUSED/),
    });
  });

  test("programs that are not installed, with the packages that bring them", async () => {
    const config = await freshConfig();
    const bin = join(config.home, "bin");
    await mkdir(bin);
    for (const name of ["sh", "flock", "cat"]) {
      await symlink(spawnSync("which", [name], { encoding: "utf8" }).stdout.trim(), join(bin, name));
    }
    const path = process.env.PATH;
    process.env.PATH = bin;
    try {
      const error = await failure(ensureServices(config, { need: ["redis"] }));
      expect(error).toMatchObject({ kind: "missing", mend: expect.stringContaining("redis-server") });
      await rm(join(bin, "flock"));
      expect((await failure(ensureServices(config, { need: ["redis"] }))).mend).toContain("util-linux");
    } finally {
      process.env.PATH = path;
    }
  });

  test.runIf(isRoot)("a disk that is full or read-only, for Redis", async ({ skip }) => {
    const config = await freshConfig();
    const small = join(config.home, "small");
    await mkdir(small);
    const mount = (...args: string[]): boolean => spawnSync("mount", [...args, small]).status === 0;
    if (!mount("-t", "tmpfs", "-o", "size=1m", "tmpfs")) skip("mounting is not allowed here");
    try {
      await chmod(small, 0o755);
      const on = { ...config, home: small };
      spawnSync("dd", ["if=/dev/zero", `of=${join(small, "filler")}`, "bs=1k", "count=2048"]);
      const full = await failure(ensureServices(on, { need: ["redis"] }));
      expect(full.line).toMatch(/disk is full|No space left/);
      await rm(join(small, "filler"));
      mount("-o", "remount,ro");
      expect((await failure(ensureServices(on, { need: ["redis"] }))).message).toContain("read-only");
      mount("-o", "remount,rw");
      const services = await ensureServices(on, { need: ["redis"] });
      await services.release();
    } finally {
      spawnSync("umount", ["-l", small]);
    }
  });
});
