import { accessSync, constants } from "node:fs";
import { chmod, mkdir, readFile, realpath, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, FarmError } from "@loc2vec/core";
import { Redis } from "ioredis";
import { checkPort, onDisk, reasonOf, within } from "./problems.ts";
import { endProcess, processesIn, worksIn } from "./proc.ts";
import { startServer } from "./server.ts";
import { hostOf, passwordIn, type Running, type Service } from "./service.ts";

/** The fields of INFO. */
async function infoOf(url: string, timeoutMs = 5000): Promise<Map<string, string>> {
  let lastError: unknown;
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  client.on("error", (error) => {
    lastError = error;
  });
  try {
    return await within(timeoutMs, async () => {
      await client.connect();
      const lines = (await client.info()).split("\r\n");
      return new Map(
        lines.map((line) => [line.split(":", 1)[0] as string, line.slice(line.indexOf(":") + 1)]),
      );
    });
  } catch (error) {
    throw lastError ?? error;
  } finally {
    client.disconnect();
  }
}

/** Redis's own configuration language: one string in quotes. */
const quoted = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

function configuration(folder: string, port: number, password: string): string {
  return [
    "# Written anew at each start.",
    "bind 127.0.0.1",
    `port ${port}`,
    `requirepass ${quoted(password)}`,
    "daemonize no",
    `dir ${quoted(folder)}`,
    `pidfile ${quoted(join(folder, "redis.pid"))}`,
    "# A queue must survive a crash and must not lose keys when memory is short.",
    "appendonly yes",
    "appendfsync everysec",
    'save ""',
    "maxmemory-policy noeviction",
    "",
  ].join("\n");
}

const urlOf = (port: number, password: string): string => `redis://:${password}@127.0.0.1:${port}`;

/** @throws Error when it does not answer, is another server than the one of `folder`, or still reads its data */
async function ask(folder: string, port: number): Promise<Running> {
  const url = urlOf(port, await passwordIn(join(folder, "password")));
  const info = await infoOf(url);
  const pid = Number(info.get("process_id"));
  if (!worksIn(pid, folder)) throw new Error("another Redis answers there");
  if (info.get("loading") === "1") throw new Error("it still loads its data");
  return { url, port, pid, version: info.get("redis_version") ?? "unknown" };
}

/** @throws FarmError `missing` */
export function findRedisServer(path = process.env.PATH ?? ""): string {
  for (const folder of path.split(delimiter)) {
    const file = join(folder, "redis-server");
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {}
  }
  throw new FarmError(
    "missing",
    "redis-server: not installed",
    "sudo apt-get install redis-server, or let FARM_REDIS_URL name a Redis",
  );
}

export const redis: Service = {
  name: "redis",
  title: "Redis",
  externalUrl: (config) => config.redisUrl,
  folder: (config) => join(config.home, "redis"),
  port: (config) => config.redisPort,

  async checkExternal(url) {
    try {
      return (await infoOf(url)).get("redis_version") ?? "unknown";
    } catch (error) {
      const reason = reasonOf(error);
      throw new FarmError(
        "redis",
        `Redis at ${hostOf(url, 6379)}: ${reason}`,
        /^NOPERM/.test(reason)
          ? "let the user of FARM_REDIS_URL do more: ACL SETUSER name +info"
          : "start it, or correct FARM_REDIS_URL, or unset that: then a private one is started",
        { cause: error },
      );
    }
  },

  async find(config) {
    const folder = await realpath(redis.folder(config)).catch(() => undefined);
    if (folder === undefined) return undefined;
    const settings = await readFile(join(folder, "redis.conf"), "utf8").catch(() => "");
    const port = Number(/^port (\d+)$/m.exec(settings)?.[1] ?? config.redisPort);
    // Whoever started it may have been killed while it still loads its data, or does not even listen.
    const begin = Date.now();
    while (true) {
      try {
        return await ask(folder, port);
      } catch (error) {
        const pid = await redis.processOf(config);
        if (pid === undefined) return undefined;
        const patience = /loads/.test(reasonOf(error)) ? 300_000 : 5000;
        if (Date.now() - begin < patience) {
          await sleep(100);
          continue;
        }
        throw new FarmError(
          "redis",
          `the private Redis (process ${pid}, port ${port}) runs but does not answer: ${reasonOf(error)}`,
          `kill -9 ${pid}`,
          { cause: error },
        );
      }
    }
  },

  async start(config: Config, log) {
    const command = findRedisServer();
    const folder = await onDisk(redis.folder(config), async () => {
      await mkdir(redis.folder(config), { recursive: true });
      await chmod(redis.folder(config), 0o700);
      return realpath(redis.folder(config));
    });
    const port = config.redisPort;
    await checkPort("Redis", port, "FARM_REDIS_PORT");
    const settings = await onDisk(folder, async () => {
      const text = configuration(folder, port, await passwordIn(join(folder, "password")));
      await writeFile(join(folder, "redis.conf"), text, { mode: 0o600 });
      return text;
    });
    log(`starting a private Redis on port ${port}`);
    // Over standard input: Redis takes *, ? and [ in a path for a pattern, and where no file fits it runs without settings.
    const server = { title: "Redis", command, args: ["-"], input: settings, log: join(folder, "redis.log") };
    return startServer(server, () => ask(folder, port));
  },

  async prepare() {},

  async processOf(config) {
    const folder = await realpath(redis.folder(config)).catch(() => undefined);
    if (folder === undefined) return undefined;
    const pid = Number.parseInt(await readFile(join(folder, "redis.pid"), "utf8").catch(() => ""), 10);
    return worksIn(pid, folder) ? pid : processesIn(folder, "redis-server")[0];
  },

  stop: (pid) =>
    endProcess(pid, [
      ["SIGTERM", 10_000],
      ["SIGKILL", 5000],
    ]),
};
