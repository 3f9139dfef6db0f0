import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Config, errorMessage, FarmError } from "@loc2vec/core";
import { Redis } from "ioredis";
import { lastLine, makeFolder, sleep } from "./files.ts";
import { run } from "./run.ts";
import type { Service } from "./service.ts";

/** The private Redis: a child of nobody, bound to the loopback, that never evicts and writes all it knows to disk. */
export function redisService(config: Config): Service {
  const folder = join(config.home, "redis");
  const port = config.redisPort;
  const url = `redis://127.0.0.1:${port}`;
  const log = join(folder, "redis.log");
  return {
    name: "redis",
    folder,
    url,
    external: config.redisUrl,
    async probe() {
      return asking(url, async (client) => {
        const [, dir] = (await client.config("GET", "dir")) as [string, string];
        if (dir !== folder) return busy(port, `a Redis in ${dir}`);
        const info = await client.info();
        return {
          version: /redis_version:(\S+)/.exec(info)?.[1] ?? "",
          pid: Number(/process_id:(\d+)/.exec(info)?.[1]),
        };
      });
    },
    async start() {
      makeFolder(folder);
      const settings: Record<string, string> = {
        port: String(port),
        bind: "127.0.0.1",
        dir: folder,
        daemonize: "yes",
        pidfile: join(folder, "redis.pid"),
        logfile: log,
        appendonly: "yes",
        save: "",
        "maxmemory-policy": "noeviction",
      };
      const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
      const { code, stderr } = await run("redis-server", args).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT")
          throw new FarmError("missing", "redis-server is not installed", "apt-get install redis-server");
        throw error;
      });
      for (let tries = 0; code === 0 && tries < 200; tries++) {
        if ((await this.probe()) !== undefined) return;
        await sleep(50);
      }
      const why = existsSync(log) ? lastLine(log) : stderr.trim();
      throw new FarmError("service", `the private Redis on port ${port} did not start: ${why}`, `see ${log}`);
    },
    async stop() {
      await asking(url, async (client) => {
        await client.shutdown("NOSAVE").catch(() => {});
      });
      for (let tries = 0; tries < 100; tries++) {
        if ((await this.probe()) === undefined) return;
        await sleep(50);
      }
      throw new FarmError("service", `the private Redis on port ${port} does not stop`, `kill ${port}`);
    },
    async check(external) {
      const client = connection(external);
      try {
        await client.connect();
        return { version: /redis_version:(\S+)/.exec(await client.info())?.[1] ?? "" };
      } finally {
        client.disconnect();
      }
    },
  };
}

export function busy(port: number, who: string): never {
  const variable = who.includes("Redis") ? "FARM_REDIS_PORT" : "FARM_DATABASE_PORT";
  throw new FarmError("service", `port ${port} is taken by ${who}`, `free it, or set ${variable} to another`);
}

function connection(url: string): Redis {
  const client = new Redis(url, { lazyConnect: true, connectTimeout: 3000, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on("error", () => {});
  return client;
}

/** Undefined when nobody listens. */
async function asking<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T | undefined> {
  const client = connection(url);
  let refused = "";
  client.on("error", (error) => {
    refused ||= errorMessage(error);
  });
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    if (error instanceof FarmError) throw error;
    const reason = refused || errorMessage(error);
    // A Redis that loads its data, or one that goes, is not there yet, or no more.
    if (/ECONNREFUSED|LOADING|Connection is closed|ECONNRESET|EPIPE/.test(reason)) return undefined;
    return busy(Number(new URL(url).port), `another program than our Redis (${reason})`);
  } finally {
    client.disconnect();
  }
}
