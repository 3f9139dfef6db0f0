import { checkName, FarmError, type RasterJob, rasterJobSchema, type ShardResult } from "@loc2vec/core";
import { type JobsOptions, Queue } from "bullmq";
import type { Redis } from "ioredis";
import { connectRedis } from "./connection.ts";

/** Name of the BullMQ queue whose jobs render one shard each. */
export const RASTER_QUEUE = "raster";

export type RasterBullQueue = Queue<RasterJob, ShardResult, "shard">;

/** The queue of shards to render, and the connection it uses. */
export interface RasterQueue {
  readonly queue: RasterBullQueue;
  readonly connection: Redis;
  readonly prefix: string;
  /** Closes the queue, and the connection where it was opened here. */
  close(): Promise<void>;
}

export interface OpenRasterQueueOptions {
  /** Prefix of BullMQ's keys: queues with different prefixes share nothing. */
  prefix: string;
  redisUrl?: string;
  /** Instead of a URL; stays open. */
  connection?: Redis;
  /** Before the second attempt, milliseconds; doubles with each further one. Default 5000. */
  retryDelayMs?: number;
}

/** How often a shard is tried before its job is left as failed. */
export const ATTEMPTS = 5;

/**
 * What every job of the queue gets. A finished job is kept for the board, for a day and a thousand jobs at most: the
 * shard's object in the store, not the job, tells that a shard is done. Failed jobs stay until they are retried.
 */
export function jobOptions(retryDelayMs = 5000): JobsOptions {
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
export async function openRasterQueue(options: OpenRasterQueueOptions): Promise<RasterQueue> {
  const { prefix, redisUrl } = options;
  if (!/^[\w-]+$/.test(prefix)) {
    throw new FarmError(
      "usage",
      `queue prefix ${JSON.stringify(prefix)} is not valid`,
      "use letters, digits, _ and -",
    );
  }
  if ((redisUrl === undefined) === (options.connection === undefined)) {
    throw new FarmError("usage", "the queue needs either a Redis URL or a connection", "give one of them");
  }
  const connection = options.connection ?? (await connectRedis(redisUrl as string));
  const queue: RasterBullQueue = new Queue(RASTER_QUEUE, {
    connection,
    prefix,
    defaultJobOptions: jobOptions(options.retryDelayMs),
  });
  // An outage is waited out; without a listener Node would end the process.
  queue.on("error", () => {});
  return {
    queue,
    connection,
    prefix,
    async close() {
      await queue.close();
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

/** `<dataset>.<shard>`: the same shard always has the same id, so it cannot be queued twice. */
export function rasterJobId({ dataset, shard }: RasterJob): string {
  return `${dataset}.${shard}`;
}

/** The job that an id names; undefined for an id of any other form. */
export function parseRasterJobId(id: string): RasterJob | undefined {
  const [, dataset, shard] = /^(.+)\.(0|[1-9]\d{0,14})$/.exec(id) ?? [];
  return dataset === undefined ? undefined : { dataset, shard: Number(shard) };
}

/**
 * Checks a payload; on both sides of the queue, as anyone with access to Redis can write into it.
 *
 * @param place for the message, e.g. `job city.3`
 * @throws FarmError `data` naming the field
 */
export function parseRasterJob(place: string, payload: unknown): RasterJob {
  const parsed = rasterJobSchema.strict().safeParse(payload);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join(".") ?? "";
    throw new FarmError(
      "data",
      `${place}: not a raster job${field === "" ? "" : `, field ${field}`}: ${issue?.message}`,
      "remove the job; pnpm farm:enqueue writes good ones",
    );
  }
  try {
    checkName("data set", parsed.data.dataset);
  } catch (error) {
    throw new FarmError("data", `${place}: ${(error as Error).message}`, "remove the job", { cause: error });
  }
  return parsed.data;
}
