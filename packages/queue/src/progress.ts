import { checkName, QUEUE_NAMES, type QueueName } from "@loc2vec/core";
import { QueueEvents } from "bullmq";
import { OPEN_STATES, shardsInState, untilNextLook } from "./jobs.ts";
import { datasetOfJob, jobName, parseRasterJobId, rasterJobId } from "./payloads.ts";
import type { FarmQueues } from "./queues.ts";
import { onRedis } from "./refusal.ts";

/** The most failures and running jobs that a report lists, and the most finished jobs that a rate is taken from. */
const LISTED = 20;
const RATE_JOBS = 200;
/** A rate looks back this far at most. */
const RATE_WINDOW_MS = 10 * 60_000;

export interface ShardFailure {
  shard: number;
  reason: string;
  attempts: number;
  /** Whether the queue will try again by itself. */
  retrying: boolean;
}

export interface RasterProgress {
  waiting: number;
  active: number;
  /** Waiting to be tried again: failed before, or put off by a worker that cannot do them. */
  delayed: number;
  /** Given up, until somebody retries them. */
  failed: number;
  /** The first of the failed and delayed jobs, by shard. */
  failures: ShardFailure[];
  /** Locations that the running jobs have done so far. */
  activeLocations: number;
  /** Finished lately; undefined without at least two finished jobs. */
  rate: { shardsPerSecond: number; tilesPerSecond: number } | undefined;
}

/**
 * Where a data set stands in the queue. What is done is not asked here: finished jobs are forgotten after a while, the
 * object store knows.
 *
 * @throws FarmError `usage` for a bad name; `service` when Redis refuses
 */
export async function rasterProgress(queues: FarmQueues, dataset: string): Promise<RasterProgress> {
  checkName("data set", dataset);
  return onRedis(queues, () => readProgress(queues, dataset));
}

async function readProgress(queues: FarmQueues, dataset: string): Promise<RasterProgress> {
  const [waiting, active, delayed, failed] = (await Promise.all(
    (["waiting", "active", "delayed", "failed"] as const).map((state) =>
      shardsInState(queues, dataset, [state]),
    ),
  )) as [Set<number>, Set<number>, Set<number>, Set<number>];
  return {
    waiting: waiting.size,
    active: active.size,
    delayed: delayed.size,
    failed: failed.size,
    failures: [
      ...(await failuresOf(queues, dataset, failed, false)),
      ...(await failuresOf(queues, dataset, delayed, true)),
    ].slice(0, LISTED),
    activeLocations: await activeLocations(queues, dataset, active),
    rate: await rateOf(queues, dataset),
  };
}

async function failuresOf(
  { raster, store }: FarmQueues,
  dataset: string,
  shards: ReadonlySet<number>,
  retrying: boolean,
): Promise<ShardFailure[]> {
  const first = [...shards].sort((a, b) => a - b).slice(0, LISTED);
  const jobs = await Promise.all(first.map((shard) => raster.getJob(rasterJobId({ store, dataset, shard }))));
  return jobs.flatMap((job, i) =>
    job === undefined
      ? []
      : [
          {
            shard: first[i] as number,
            reason: job.failedReason || leftFor(job.progress),
            attempts: job.attemptsMade,
            retrying,
          },
        ],
  );
}

/** Why a worker left a job for others. */
function leftFor(progress: unknown): string {
  const told = typeof progress === "object" && progress !== null && "left" in progress;
  return told ? `left for another worker: ${progress.left}` : "put off";
}

async function activeLocations(
  { raster, store }: FarmQueues,
  dataset: string,
  shards: ReadonlySet<number>,
): Promise<number> {
  const jobs = await Promise.all(
    [...shards].map((shard) => raster.getJob(rasterJobId({ store, dataset, shard }))),
  );
  let sum = 0;
  for (const job of jobs) {
    const progress = job?.progress;
    if (typeof progress === "object" && "locations" in progress) sum += Number(progress.locations) || 0;
  }
  return sum;
}

async function rateOf({ raster, store }: FarmQueues, dataset: string): Promise<RasterProgress["rate"]> {
  const now = Date.now();
  // Newest first.
  const jobs = (await raster.getJobs(["completed"], 0, RATE_JOBS - 1)).filter((job) => {
    const of = parseRasterJobId(job.id ?? "");
    return of?.store === store && of.dataset === dataset && now - (job.finishedOn ?? 0) <= RATE_WINDOW_MS;
  });
  if (jobs.length < 2) return undefined;
  const begin = Math.min(...jobs.map((job) => job.processedOn ?? now));
  const seconds = Math.max(now - begin, 1) / 1000;
  const tiles = jobs.reduce((sum, job) => sum + (job.returnvalue?.tiles ?? 0), 0);
  return { shardsPerSecond: jobs.length / seconds, tilesPerSecond: tiles / seconds };
}

/** A step of a data set after its shards. `waiting-children`: it waits for the steps before it. */
export interface StageJob {
  queue: Exclude<QueueName, "raster">;
  /** Without the store. */
  id: string;
  state: string;
  /** What it last said, where it runs. */
  progress: unknown;
  /** Why its last attempt failed; empty when none did. */
  reason: string;
}

/**
 * The jobs of a data set that are not shards.
 *
 * @throws FarmError `usage` for a bad name; `service` when Redis refuses
 */
export async function stageJobs(queues: FarmQueues, dataset: string): Promise<StageJob[]> {
  checkName("data set", dataset);
  return onRedis(queues, () => readStages(queues, dataset));
}

async function readStages(queues: FarmQueues, dataset: string): Promise<StageJob[]> {
  const stageJobs: StageJob[] = [];
  for (const queue of QUEUE_NAMES) {
    if (queue === "raster") continue;
    const states = ["waiting", "active", "delayed", "prioritized", "waiting-children", "failed", "completed"];
    for (const id of await queues[queue].getRanges(
      states as Parameters<FarmQueues["raster"]["getRanges"]>[0],
      0,
      -1,
    )) {
      const of = datasetOfJob(queue, id);
      if (of?.store !== queues.store || of.dataset !== dataset) continue;
      const job = await queues[queue].getJob(id);
      if (job === undefined) continue;
      stageJobs.push({
        queue,
        id: jobName(id),
        state: await job.getState(),
        progress: job.progress,
        reason: job.failedReason ?? "",
      });
    }
  }
  return stageJobs;
}

export interface WaitOptions {
  signal?: AbortSignal | undefined;
  /** Called with the jobs still open and those given up, first at once, then whenever they changed. */
  onProgress?: (progress: { open: number; failed: number }) => void;
}

/**
 * Waits until no job of the data set will run any more. Listens to the queue's events, and looks for itself every few
 * seconds, so a lost event or an outage only costs time.
 *
 * @returns how many of its jobs are left as failed
 * @throws the signal's reason when aborted
 */
export async function waitForDataset(
  queues: FarmQueues,
  dataset: string,
  { signal, onProgress }: WaitOptions = {},
): Promise<{ failed: number }> {
  checkName("data set", dataset);
  const events = new QueueEvents("raster", {
    connection: queues.connection.duplicate(),
    prefix: queues.prefix,
  });
  events.on("error", () => {});
  let wake = (): void => {};
  const changed = ({ jobId }: { jobId: string }): void => {
    const of = parseRasterJobId(jobId);
    if (of?.store === queues.store && of.dataset === dataset) wake();
  };
  events.on("completed", changed);
  events.on("failed", changed);
  const stop = (): void => wake();
  signal?.addEventListener("abort", stop);
  try {
    await events.waitUntilReady();
    let last = "";
    for (;;) {
      signal?.throwIfAborted();
      // Listening begins before looking, so nothing can end unseen in between.
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const begin = performance.now();
      const open = (await shardsInState(queues, dataset, OPEN_STATES)).size;
      const failed = (await shardsInState(queues, dataset, ["failed"])).size;
      const now = `${open} ${failed}`;
      const tookMs = performance.now() - begin;
      if (now !== last) onProgress?.({ open, failed });
      last = now;
      if (open === 0) return { failed };
      await Promise.race([woken, sleep(2000)]);
      // A burst of events needs one look only.
      await sleep(untilNextLook(tookMs, 250));
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    await events.close();
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
