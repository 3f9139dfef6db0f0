import { FarmError } from "@loc2vec/core";
import type { Redis } from "ioredis";

/** What mends a refusal, by the code that Redis begins its answer with. */
const MENDS: Readonly<Record<string, string>> = {
  READONLY: "let FARM_REDIS_URL name the master: replicas take no writes",
  OOM: "raise its maxmemory (redis-cli CONFIG SET maxmemory …), or remove what else it holds; a job takes 1.3 kB",
  NOREPLICAS: "bring its replicas back, or lower min-replicas-to-write",
  MISCONF: "free its disk: redis-cli INFO persistence and its log say what it could not write",
  LOADING: "wait until it has read its data",
  MASTERDOWN: "wait until the replica has its master back, or let FARM_REDIS_URL name the master",
  BUSY: "wait, or end the script that keeps it: redis-cli SCRIPT KILL",
  NOAUTH: "set user and password in FARM_REDIS_URL: redis://user:password@host:port",
  WRONGPASS: "set user and password in FARM_REDIS_URL: redis://user:password@host:port",
  CLUSTERDOWN: "a Redis without cluster mode: the farm's keys lie in several slots",
  CROSSSLOT: "a Redis without cluster mode: the farm's keys lie in several slots",
  MOVED: "a Redis without cluster mode: the farm's keys lie in several slots",
  WRONGTYPE: "set FARM_QUEUE_PREFIX to one that nothing else uses",
};

/** What mends an answer that has no code of its own. */
const OTHER_MENDS: readonly (readonly [RegExp, string])[] = [
  [/DB index/i, "name a database that it has: redis://host:port/0"],
  [/max number of clients/i, "raise its maxclients, or run fewer workers"],
  [/unknown command/i, "use a Redis or Valkey that leaves no command out"],
];

const PERMISSIONS = (prefix: string): string =>
  `let the user do more: ACL SETUSER name ~${prefix}:* +@all -@admin -@dangerous +info +client`;

/** An answer of Redis that refuses a command: its code, and what it said without what only a developer reads. */
export function refusalOf(error: unknown): { code: string; said: string } | undefined {
  if (!(error instanceof Error) || error.name !== "ReplyError") return undefined;
  // A transaction that was thrown away tells why only here.
  const [first] = (error as { previousErrors?: unknown[] }).previousErrors ?? [];
  const cause = refusalOf(first);
  if (cause !== undefined) return { ...cause, said: `EXECABORT, ${cause.said}` };
  const said = error.message
    .replace(/\s+/g, " ")
    // What was refused within a script comes with the script's hash and line; Redis 6.2 hides the answer behind them.
    .replace(/ script: [0-9a-f]{40}, on @?user_script:\d+\.?$/, "")
    .replace(/^ERR Error running script .*@user_script: ?\d+: (?:@user_script: ?\d+: )?-?/, "")
    // The rights of a script's user have no code.
    .replace(/^(?:ERR )?(?=The user executing the script can't)/, "NOPERM ")
    .replace(/, with args beginning with:.*$/, "")
    // Advice that follows the answer.
    .replace(/^(.*?\.) [A-Z].*$/, "$1")
    .trim();
  return { code: /^[A-Z]{2,}\b/.exec(said)?.[0] ?? "ERR", said };
}

/**
 * Says of an answer that refuses a command what is wrong with which Redis, and how to mend it; leaves anything else as it is.
 *
 * @param prefix what the queues' keys begin with
 */
export function explainRefusal(error: unknown, place: string, prefix: string): unknown {
  const refusal = refusalOf(error);
  if (refusal === undefined) return error;
  const { code, said } = refusal;
  const mend =
    code === "NOPERM"
      ? PERMISSIONS(prefix)
      : (MENDS[code] ??
        OTHER_MENDS.find(([pattern]) => pattern.test(said))?.[1] ??
        "see what Redis's own log says");
  return new FarmError("redis", `${place}: ${said}`, mend, { cause: error });
}

/** Where a connection leads, for messages. */
export function placeOf({ options }: Redis): string {
  const { host = "127.0.0.1", port = 6379, path } = options;
  return `Redis at ${path ?? `${host.includes(":") ? `[${host}]` : host}:${port}`}`;
}

/**
 * Runs `action` on a Redis.
 *
 * @throws FarmError `service` where Redis refused a command: its own words and code, and the mend
 */
export async function onRedis<T>(
  { connection, prefix }: { connection: Redis; prefix: string },
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw explainRefusal(error, placeOf(connection), prefix);
  }
}

/** Every sort of key that BullMQ writes, in one script as BullMQ does; what it leaves is an element to be taken. */
const WRITES = `
local key = KEYS[1]
redis.call("HSET", key, "f", "v") redis.call("HINCRBY", key, "n", 1) redis.call("DEL", key)
redis.call("LPUSH", key, "v") redis.call("RPOPLPUSH", key, key) redis.call("LREM", key, 0, "v")
redis.call("SADD", key, "v") redis.call("SREM", key, "v")
redis.call("XADD", key, "MAXLEN", "~", 1, "*", "f", "v") redis.call("DEL", key)
redis.call("INCR", key) redis.call("DEL", key)
redis.call("SET", key, "v", "PX", 60000) redis.call("DEL", key)
redis.call("ZADD", key, 0, "v") redis.call("PEXPIRE", key, 60000)
return redis.call("ZCARD", key)`;

/**
 * Does to a key of its own under the prefix, which is gone afterwards, what the queues do to theirs.
 *
 * @throws FarmError `service` when Redis refuses it: a replica, a full memory, a disk that it cannot write, too few
 * replicas, or rights that are wanting
 */
export async function tryWrites(connection: Redis, prefix: string): Promise<void> {
  await onRedis({ connection, prefix }, () => writeOnce(connection, prefix));
}

/** @throws ReplyError */
export async function writeOnce(connection: Redis, prefix: string): Promise<void> {
  const key = `${prefix}:try:${crypto.randomUUID()}`;
  await connection.eval(WRITES, 1, key);
  await connection.bzpopmin(key, 1);
}
