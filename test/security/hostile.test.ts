// Takes half a minute: every command is a process of its own, once for each hostile name.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, inject, onTestFinished, test } from "vitest";
import { farm } from "../../packages/cli/test/farm.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
  }
}

const HOSTILE = [
  "../x",
  "..",
  "a/../../x",
  "/etc/passwd",
  "a/b",
  "a\\..\\b",
  "%2e%2e%2fx",
  "a b",
  "A",
  "é",
  "$(touch x)",
  "a;ls",
  "a'--",
  'a"b',
  "x".repeat(64),
  "-rf",
  ".hidden",
  "a..b",
  "a:b",
  "a*",
  "\u202Ex",
];

/** Every command that takes a name, with the option that takes it. */
const COMMANDS: readonly (readonly [string, readonly string[], string])[] = [
  ["enqueue", ["--sample", "3"], "--dataset"],
  ["enqueue", ["--sample", "3", "--dataset", "fine", "--steps", "1"], "--train"],
  ["work", ["--until", "empty"], "--dataset"],
  ["status", [], "--dataset"],
  ["retry", [], "--dataset"],
  ["verify", [], "--dataset"],
  ["train", ["--model", "m", "--steps", "1"], "--dataset"],
  ["train", ["--dataset", "d", "--steps", "1"], "--model"],
  ["embed", ["--model", "m"], "--dataset"],
  ["embed", ["--dataset", "d"], "--model"],
  ["atlas", [], "--dataset"],
  ["atlas", ["--dataset", "d"], "--model"],
  ["atlas", ["--dataset", "d", "--model", "m"], "--cities"],
  ["atlas", ["--dataset", "d", "--model", "m"], "--rivals"],
];

test("hostile names are refused by every command, and leave no trace", { timeout: 300_000 }, async () => {
  const parent = await mkdtemp(join(tmpdir(), "loc2vec-hostile-"));
  onTestFinished(() => rm(parent, { recursive: true }));
  const settings = {
    FARM_HOME: join(parent, "home"),
    FARM_STORE: pathToFileURL(join(parent, "deep/store")).href,
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_DATABASE_URL: inject("databaseUrl"),
    FARM_QUEUE_PREFIX: `hostile-${process.pid}`,
  };
  // Each command meets some of the names, each name some of the commands.
  for (const [at, [command, args, option]] of COMMANDS.entries()) {
    const names = HOSTILE.filter((_, i) => (i + at) % 4 === 0);
    const ended = await Promise.all(
      names.map((name) => farm([command, ...args, `${option}=${name}`], settings)),
    );
    for (const [i, { code, stderr }] of ended.entries()) {
      expect({ command, option, name: names[i], code, stderr }).toMatchObject({ code: 2 });
      expect(stderr).toMatch(/is not a valid name/);
    }
  }
  const left = await readdir(parent, { recursive: true }).catch(() => []);
  expect(left.filter((name) => !name.startsWith("home"))).toEqual([]);
});

test("a table's name cannot carry SQL", async () => {
  const settings = { FARM_REDIS_URL: inject("redisUrl"), FARM_DATABASE_URL: inject("databaseUrl") };
  for (const table of ['x"; DROP TABLE y; --', "x'; SELECT 1", "a.b.c", "pg_catalog.no such"]) {
    const { code, stderr } = await farm(["enqueue", "--dataset", "fine", `--table=${table}`], settings);
    expect({ table, code, stderr }).toMatchObject({ code: 3 });
  }
});
