import {
  type Completion,
  FarmError,
  type JobPayload,
  QUEUE_NAMES,
  type QueueName,
  type ShardResult,
} from "@loc2vec/core";
import { FlowProducer, type JobsOptions, Queue } from "bullmq";
import type { Redis } from "ioredis";
import { connectRedis } from "./connection.ts";

/** What the jobs of each queue return. */
export interface JobResults {
  raster: ShardResult;
  finalize: Completion;
  train: { step: number; loss: number | undefined };
  embed: { locations: number; prefix: string; step: number };
}

export type FarmQueue<Q extends QueueName = QueueName> = Queue<JobPayload<Q>, JobResults[Q], string>;

/** The queues of the farm, and the connection they share: of all object stores that are worked on under the prefix. */
export interface Queues {
  readonly raster: FarmQueue<"raster">;
  readonly finalize: FarmQueue<"finalize">;
  readonly train: FarmQueue<"train">;
  readonly embed: FarmQueue<"embed">;
  /** Adds jobs that wait for others. */
  readonly flow: FlowProducer;
  readonly connection: Redis;
  readonly prefix: string;
  /** Closes the queues, and the connection where it was opened here. */
  close(): Promise<void>;
}

/** The queues as one object store sees them: jobs that are added, counted, listed and retried are its own. */
export interface FarmQueues extends Queues {
  /** The store's identity. */
  readonly store: string;
}

export interface OpenQueuesOptions {
  /** Prefix of BullMQ's keys: queues with different prefixes share nothing. */
  prefix: string;
  /** Identity of the object store whose jobs they are; absent: only to look at all of them. */
  store?: string;
  redisUrl?: string;
  /** Instead of a URL; stays open. */
  connection?: Redis;
  /** With a URL: whether a Redis that refuses to be written is refused. Default true. */
  writes?: boolean;
  /** Before the second attempt, milliseconds; doubles with each further one. Default 5000. */
  retryDelayMs?: number;
}

/** How often a job is tried before it is left as failed. */
export const ATTEMPTS = 5;

/**
 * What every job gets. A finished job is kept for the board, for a day and a thousand jobs at most: the store, not the
 * job, tells what is done. Failed jobs stay until they are retried.
 */
function jobOptions(retryDelayMs = 5000): JobsOptions {
  return {
    attempts: ATTEMPTS,
    // Half of each delay is random, so that jobs which failed together do not come back together.
    backoff: { type: "exponential", delay: retryDelayMs, jitter: 0.5 },
    removeOnComplete: { age: 24 * 3600, count: 1000 },
    removeOnFail: false,
    stackTraceLimit: 3,
    keepLogs: 20,
  };
}

/**
 * @throws FarmError `usage` without or with both of URL and connection, or for a prefix that is not `[\w-]+`; what
 * {@link connectRedis} throws
 */
export async function openQueues(options: OpenQueuesOptions & { store: string }): Promise<FarmQueues>;
export async function openQueues(options: OpenQueuesOptions): Promise<Queues>;
export async function openQueues(options: OpenQueuesOptions): Promise<Queues & { store?: string }> {
  const { prefix, redisUrl, store, writes = true } = options;
  if (!/^[\w-]+$/.test(prefix)) {
    throw new FarmError(
      "usage",
      `queue prefix ${JSON.stringify(prefix)} is not valid`,
      "use letters, digits, _ and -",
    );
  }
  if ((redisUrl === undefined) === (options.connection === undefined)) {
    throw new FarmError("usage", "the queues need either a Redis URL or a connection", "give one of them");
  }
  const connection =
    options.connection ?? (await connectRedis(redisUrl as string, writes ? { writeUnder: prefix } : {}));
  const defaultJobOptions = jobOptions(options.retryDelayMs);
  const open = <Q extends QueueName>(name: Q): FarmQueue<Q> => {
    const queue: FarmQueue<Q> = new Queue(name, { connection, prefix, defaultJobOptions });
    // An outage is waited out; without a listener Node would end the process.
    queue.on("error", () => {});
    return queue;
  };
  const flow = new FlowProducer({ connection, prefix });
  flow.on("error", () => {});
  const queues = {
    raster: open("raster"),
    finalize: open("finalize"),
    train: open("train"),
    embed: open("embed"),
  };
  return {
    ...queues,
    flow,
    connection,
    prefix,
    ...(store === undefined ? {} : { store }),
    async close() {
      await Promise.all([...QUEUE_NAMES.map((name) => queues[name].close()), flow.close()]);
      if (options.connection === undefined) await closeRedis(connection);
    },
  };
}

/** Closes a connection of {@link connectRedis}, after the commands given before; an outage holds it up a second at most. */
export async function closeRedis(connection: Redis): Promise<void> {
  if (connection.status === "end") return;
  const ended = new Promise((resolve) => connection.once("end", resolve));
  if (connection.status === "ready") {
    connection.quit().catch(() => {});
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1000).unref())]);
  }
  connection.disconnect();
}
