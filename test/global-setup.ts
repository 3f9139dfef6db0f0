import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readConfig } from "@loc2vec/core";
import { ensureServices } from "@loc2vec/services";
import type { TestProject } from "vitest/node";
import { guardHome } from "../packages/services/test/guard.ts";
import { freePort } from "./support/ports.ts";
import { testPython } from "./support/python.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    /** A PostgreSQL with PostGIS, whose user may create databases. */
    databaseUrl: string;
    /** A Python with the packages of requirements.txt. */
    python: string;
  }
}

const ROOT = resolve(import.meta.dirname, "..");

/** Starts a Redis and a PostgreSQL of the tests' own, and takes them away again. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const python = await testPython();
  const home = await mkdtemp(join(tmpdir(), "loc2vec-tests-"));
  const config = readConfig(ROOT, {
    FARM_HOME: home,
    FARM_REDIS_PORT: String(await freePort()),
    FARM_DATABASE_PORT: String(await freePort()),
  });
  const stop = guardHome(home);
  try {
    await chmod(home, 0o755); // PostgreSQL's own user must get in
    const services = await ensureServices(config, { need: ["redis", "database"] });
    project.provide("redisUrl", services.redisUrl);
    project.provide("databaseUrl", services.databaseUrl);
    project.provide("python", python);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
