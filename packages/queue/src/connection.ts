import { errorMessage, FarmError, redact } from "@loc2vec/core";
import { Redis } from "ioredis";
import { explainRefusal, refusalOf, writeOnce } from "./refusal.ts";

/** The oldest Redis that BullMQ recommends. */
const OLDEST_REDIS = [6, 2] as const;

export interface ConnectOptions {
  /** How long the first connection may take, milliseconds. Default 5000. */
  timeoutMs?: number;
  /** Prefix of the queues' keys: given, writing them is tried, and what the server refuses is said at once. */
  writeUnder?: string;
}

/**
 * Connects to `redis://[user:password@]host:port[/db]`, or with TLS to `rediss://…` (certificates from the system's
 * store and `NODE_EXTRA_CA_CERTS`), and checks that the server can be trusted with a queue.
 *
 * Only this first connection is impatient. Once made, it comes back by itself after an outage, and commands given
 * meanwhile wait for it.
 *
 * @throws FarmError `usage` for any other URL; `service` when Redis cannot be reached, refuses the credentials, is too
 * old, is a Sentinel, a replica or a part of a cluster, still loads its data, may evict keys when its memory is full
 * (which would lose jobs without a trace), or refuses to be written
 */
export async function connectRedis(
  url: string,
  { timeoutMs = 5000, writeUnder }: ConnectOptions = {},
): Promise<Redis> {
  if (!URL.canParse(url) || !/^rediss?:$/.test(new URL(url).protocol)) {
    throw new FarmError("usage", `Redis ${redact(url)}: not a Redis URL`, "redis://host:port or rediss://…");
  }
  const place = `Redis at ${redact(url)}`;
  let connected = false;
  let firstError: unknown;
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    // BullMQ's blocking reads must outlive an outage, so a command waits for the connection to come back.
    maxRetriesPerRequest: null,
    retryStrategy: (times) => (connected ? Math.min(250 * 2 ** Math.min(times, 5), 5000) : null),
    // The name of a master that became a replica may lead to the new master by now.
    reconnectOnError: (error) => connected && refusalOf(error)?.code === "READONLY",
    // The first time it is looked at here, whatever it is.
    enableReadyCheck: false,
  });
  client.on("error", (error) => {
    firstError ??= error;
  });
  try {
    await within(timeoutMs, async () => {
      await client.connect();
      checkServer(place, await client.info());
      // Of a database that it does not have, or will not let this user see.
      if (refusalOf(firstError) !== undefined) throw firstError;
      if (writeUnder !== undefined) await writeOnce(client, writeUnder);
    });
  } catch (error) {
    client.disconnect();
    if (error instanceof FarmError) throw error;
    const cause = firstError ?? error;
    const explained = explainRefusal(cause, place, writeUnder ?? "prefix");
    if (explained instanceof FarmError) throw explained;
    const reason = errorMessage(cause);
    throw new FarmError("redis", `${place}: ${reason}`, mendOf(reason), { cause: error });
  }
  connected = true;
  client.options.enableReadyCheck = true;
  return client;
}

/**
 * @param info the reply to Redis's INFO
 * @throws FarmError `service` for a server that cannot hold the queues
 */
export function checkServer(place: string, info: string): void {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1]?.trim();
  const refuse = (what: string, mend: string): never => {
    throw new FarmError("redis", `${place}: ${what}`, mend);
  };
  if (field("redis_mode") === "sentinel") {
    refuse(
      "a Sentinel, which holds no data",
      "name the master: redis-cli -p PORT SENTINEL MASTERS has its address",
    );
  }
  if (field("cluster_enabled") === "1" || field("redis_mode") === "cluster") {
    refuse(
      "in cluster mode, which the farm's queues cannot use",
      "use a Redis without cluster mode (cluster-enabled no)",
    );
  }
  if (field("loading") === "1") {
    const share = field("loading_loaded_perc");
    refuse(
      `LOADING, it still reads its data${share === undefined ? "" : ` (${share} %)`}`,
      "wait until it has read its data",
    );
  }
  if (field("role") === "slave") {
    refuse(
      `a replica of ${field("master_host")}:${field("master_port")}: what is written there is refused, or lost`,
      "let FARM_REDIS_URL name the master",
    );
  }
  const [major = 0, minor = 0] = (field("redis_version") ?? "").split(".").map(Number);
  if (major < OLDEST_REDIS[0] || (major === OLDEST_REDIS[0] && minor < OLDEST_REDIS[1])) {
    refuse(
      `version ${field("redis_version") ?? "unknown"} is too old for the queue`,
      `Redis or Valkey ${OLDEST_REDIS.join(".")} or later`,
    );
  }
  const policy = field("maxmemory_policy");
  if (policy !== undefined && policy !== "noeviction") {
    refuse(
      `maxmemory-policy is ${policy}, so jobs could vanish when its memory is full`,
      "redis-cli CONFIG SET maxmemory-policy noeviction (and the same in its configuration)",
    );
  }
}

/** How far a worker's clock may be off, milliseconds: the delay before a retry is told by it. */
const CLOCK_MS = 60_000;

/**
 * Compares this machine's clock with that of Redis.
 *
 * @returns how far this machine is ahead, milliseconds
 * @throws FarmError `service` when the two differ by more than a minute: a job that this worker puts off would come back
 * that much too late or too soon
 */
export async function checkClock(client: Redis, place: string): Promise<number> {
  const before = Date.now();
  const [seconds, micros] = await client.time();
  // Whatever the question took is not skew.
  const aheadMs = (before + Date.now()) / 2 - (1000 * Number(seconds) + Number(micros) / 1000);
  if (Math.abs(aheadMs) <= CLOCK_MS) return aheadMs;
  throw new FarmError(
    "clock",
    `this machine's clock is ${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? "ahead of" : "behind"} that of ${place}`,
    "set the clock by NTP, here or there",
  );
}

async function within<T>(timeoutMs: number, action: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([action(), expired]);
  } finally {
    clearTimeout(timer);
  }
}

function mendOf(reason: string): string {
  if (/certificate|ssl|tls|wrong version/i.test(reason)) {
    return "check redis:// against rediss://, and NODE_EXTRA_CA_CERTS for a private authority";
  }
  if (/EPIPE|ECONNRESET|Connection is closed/i.test(reason)) {
    return "it closes the connection at once: raise its maxclients, or let this machine in (protected-mode, rediss://)";
  }
  if (/Protocol error|Reply/i.test(reason)) return "check that FARM_REDIS_URL names a Redis";
  return "start Redis there (pnpm farm:up starts a private one), or set FARM_REDIS_URL";
}
