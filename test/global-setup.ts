import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { FarmError, readConfig } from "@loc2vec/core";
import { ensureServices, withLock } from "@loc2vec/services";
import type { TestProject } from "vitest/node";
import { guardHome } from "../packages/services/test/guard.ts";

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

/** Made once for each Python and list of packages, and kept beside the farm's other caches. */
async function pythonEnvironment(): Promise<string> {
  const requirements = join(ROOT, "test/requirements.txt");
  const { stdout: version } = await run("python3", ["--version"]).catch((error) => {
    throw new FarmError("missing", "python3: not installed", "sudo apt-get install python3 python3-venv", {
      cause: error,
    });
  });
  const hash = createHash("sha256")
    .update(version)
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 12);
  const cache = join(ROOT, ".farm/cache");
  const folder = join(cache, `python-${hash}`);
  const python = join(folder, "bin/python");
  return withLock(join(cache, "python.lock"), async () => {
    if (existsSync(python)) return python;
    console.error(`tests: making a Python environment in ${folder}`);
    const begun = `${folder}.begun`;
    await rm(begun, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true }); // Its Python is gone.
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
    try {
      await run("python3", ["-m", "venv", begun]);
      await run(join(begun, "bin/python"), pip, { maxBuffer: 1 << 26 });
      await rename(begun, folder);
    } catch (error) {
      await rm(begun, { recursive: true, force: true });
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      const told = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
      const line = told.find((each) => /error/i.test(each)) ?? told.at(-1) ?? String(error);
      throw new FarmError(
        "missing",
        `${requirements}: ${line.trim()}`,
        "python3 with venv and pip, and a way to PyPI",
        { cause: error },
      );
    }
    return python;
  });
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
