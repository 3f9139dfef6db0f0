import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { readConfig } from "@loc2vec/core";
import { ensureServices, servicesDown } from "@loc2vec/services";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    /** A PostgreSQL with PostGIS, whose user may create databases. */
    databaseUrl: string;
    /** A Python with the packages of requirements.txt. */
    python: string;
  }
}

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "..");

/** Starts a Redis and a PostgreSQL of the tests' own, and takes them away again. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const python = await pythonEnvironment();
  const home = await mkdtemp(join(tmpdir(), "loc2vec-tests-"));
  await chmod(home, 0o755); // PostgreSQL's own user must get in
  const config = readConfig(ROOT, {
    FARM_HOME: home,
    FARM_REDIS_PORT: String(await freePort()),
    FARM_DATABASE_PORT: String(await freePort()),
  });
  const stop = async (): Promise<void> => {
    await servicesDown(config);
    await rm(home, { recursive: true, force: true });
  };
  try {
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

/** Made once for each list of packages, and kept beside the farm's other caches. */
async function pythonEnvironment(): Promise<string> {
  const requirements = join(ROOT, "test/requirements.txt");
  const hash = createHash("sha256")
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 12);
  const cache = join(ROOT, ".farm/cache");
  const folder = join(cache, `python-${hash}`);
  const python = join(folder, "bin/python");
  if (existsSync(python)) return python;
  await mkdir(cache, { recursive: true });
  const begun = `${folder}.${process.pid}`;
  try {
    await run("python3", ["-m", "venv", begun]);
    const pip = [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--requirement",
      requirements,
    ];
    await run(join(begun, "bin/python"), pip, { maxBuffer: 1 << 26 });
    await rename(begun, folder);
  } finally {
    await rm(begun, { recursive: true, force: true });
  }
  return python;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
