import { type ErrorKind, errorMessage, FarmError, type RasterJob, type ShardResult } from "@loc2vec/core";
import {
  closeRedis,
  connectRedis,
  OPEN_STATES,
  openRasterQueue,
  parseRasterJob,
  RASTER_QUEUE,
  type RasterQueue,
  shardsInState,
} from "@loc2vec/queue";
import type { ObjectStore } from "@loc2vec/shards";
import { type Job, UnrecoverableError, WaitingError, Worker } from "bullmq";
import type { Rasterizer } from "./rasterizer.ts";
import { type RenderedShard, renderShard } from "./shard.ts";

/** Failures that no further attempt can mend. */
const HOPELESS: readonly ErrorKind[] = ["usage", "input", "data"];
/** How long a rasterizer that does not even finish its location holds up the end, after the grace period. */
const LAST_LOCATION_MS = 5000;
const POLL_MS = 300;
const PROGRESS_MS = 1000;

export interface RunWorkerOptions {
  redisUrl: string;
  /** Prefix of BullMQ's keys: the one that the producer used. */
  prefix: string;
  store: ObjectStore;
  /** What draws: an open one, which stays open, or how to open one, which is closed at the end. */
  rasterizer: Rasterizer | (() => Promise<Rasterizer>);
  /** Shards rendered at a time. Default 1. */
  concurrency?: number;
  /** Stops the worker: no new shard is begun, those begun are finished within the grace period or handed back. */
  signal?: AbortSignal | undefined;
  /** Grace period after the signal, milliseconds. Default 20,000: Kubernetes kills after 30 s. */
  graceMs?: number;
  /** `empty`: until no job is left that will run, here or in another worker. Default `forever`: until the signal. */
  until?: "empty" | "forever";
  /** With `until: "empty"`: of this data set alone. */
  dataset?: string;
  /**
   * How long a job stays reserved for a worker that shows no sign of life, milliseconds; renewed four times as often, so
   * code that blocks the event loop must do so for less than three quarters of it. Default 60,000.
   */
  lockMs?: number;
  /** A shard was written, or was there already. */
  onShard?: (job: RasterJob, shard: RenderedShard) => void;
  /** An attempt at a shard failed. `final`: there will be no further one. */
  onFailure?: (id: string, reason: string, final: boolean) => void;
  /** Trouble with Redis that the worker waits out. */
  onTrouble?: (reason: string) => void;
}

export interface WorkerSummary {
  /** Written. */
  shards: number;
  /** There already. */
  skipped: number;
  /** Attempts that failed. */
  failures: number;
  /** Begun, then put back into the queue because the grace period was over. */
  handedBack: number;
  /** Written. */
  tiles: number;
  /** Of those, without a single drawn pixel: the trainer leaves them out. */
  empty: number;
  bytes: number;
  renderMs: number;
  seconds: number;
  /** Whether the signal ended it. */
  interrupted: boolean;
}

/**
 * Renders the shards of the queue, until it is empty or the signal is given.
 *
 * A worker may die at any moment: what it had begun goes to another after `lockMs`, and is given up only when five
 * workers died of it. An error is retried with growing delays if time can mend it; else the job fails at once and says
 * why.
 *
 * @throws FarmError what `connectRedis` and the rasterizer's opening throw; errors of single shards end in their jobs
 */
export async function runWorker(options: RunWorkerOptions): Promise<WorkerSummary> {
  const { concurrency = 1, graceMs = 20_000, lockMs = 60_000, until = "forever", signal } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new FarmError("usage", `a worker cannot render ${concurrency} shards at a time`, "1 or more");
  }
  const begin = performance.now();
  const summary: WorkerSummary = {
    shards: 0,
    skipped: 0,
    failures: 0,
    handedBack: 0,
    tiles: 0,
    empty: 0,
    bytes: 0,
    renderMs: 0,
    seconds: 0,
    interrupted: false,
  };
  const connection = await connectRedis(options.redisUrl);
  let own: Rasterizer | undefined;
  let raster: RasterQueue | undefined;
  try {
    raster = await openRasterQueue({ connection, prefix: options.prefix });
    if (typeof options.rasterizer === "function") own = await options.rasterizer();
    const rasterizer = own ?? (options.rasterizer as Rasterizer);
    const handBack = new AbortController();
    const worker = new Worker<RasterJob, ShardResult, "shard">(
      RASTER_QUEUE,
      (job, token) => work(job, token, rasterizer, handBack.signal, options, summary),
      {
        connection,
        prefix: options.prefix,
        concurrency,
        lockDuration: lockMs,
        lockRenewTime: lockMs / 4,
        stalledInterval: lockMs / 2,
        maxStalledCount: 5,
      },
    );
    worker.on("error", (error) => options.onTrouble?.(errorMessage(error)));
    worker.on("failed", (job, error) => {
      summary.failures++;
      const final = job === undefined || job.finishedOn !== undefined;
      options.onFailure?.(job?.id ?? "unknown", error.message, final);
    });
    // During an outage of Redis the question waits for an answer; the signal does not.
    const stopped = aborted(signal);
    while (!(signal?.aborted ?? false)) {
      if (until === "empty" && (await Promise.race([isEmpty(raster, options.dataset), stopped.promise])))
        break;
      await Promise.race([new Promise((resolve) => setTimeout(resolve, POLL_MS)), stopped.promise]);
    }
    await close(worker, handBack, stopped.promise, graceMs);
    stopped.forget();
    summary.interrupted = signal?.aborted ?? false;
  } finally {
    await own?.close();
    await raster?.close();
    await closeRedis(connection);
  }
  summary.seconds = (performance.now() - begin) / 1000;
  return summary;
}

async function work(
  job: Job<RasterJob, ShardResult, "shard">,
  token: string | undefined,
  rasterizer: Rasterizer,
  handBack: AbortSignal,
  { store, onShard }: RunWorkerOptions,
  summary: WorkerSummary,
): Promise<ShardResult> {
  try {
    const payload = parseRasterJob(`job ${job.id}`, job.data);
    const { skipped, ...result } = await renderShard({
      store,
      job: payload,
      rasterizer,
      signal: handBack,
      onLocation: progressOf(job),
    });
    if (skipped) summary.skipped++;
    else {
      summary.shards++;
      summary.tiles += result.tiles;
      summary.empty += result.empty;
      summary.bytes += result.bytes;
      summary.renderMs += result.renderMs;
    }
    onShard?.(payload, { ...result, skipped });
    return result;
  } catch (error) {
    if (handBack.aborted && error === handBack.reason) {
      await job.moveToWait(token);
      summary.handedBack++;
      throw new WaitingError();
    }
    const line = errorMessage(error);
    if (error instanceof FarmError && HOPELESS.includes(error.kind)) throw new UnrecoverableError(line);
    throw new Error(line, { cause: error });
  }
}

/** Tells Redis how far a job is: now and then, one message at a time, and never in the way of the work. */
function progressOf(job: Job<RasterJob, ShardResult, "shard">): (done: number, total: number) => void {
  let last = performance.now();
  let sending = false;
  return (done, total) => {
    if (sending || (performance.now() - last < PROGRESS_MS && done < total)) return;
    last = performance.now();
    sending = true;
    job
      .updateProgress({ locations: done, of: total })
      .catch(() => {})
      .finally(() => {
        sending = false;
      });
  };
}

async function isEmpty(raster: RasterQueue, dataset: string | undefined): Promise<boolean> {
  if (dataset !== undefined) return (await shardsInState(raster, dataset, OPEN_STATES)).size === 0;
  return (await raster.queue.getJobCountByTypes(...OPEN_STATES, "prioritized")) === 0;
}

/** Lets the shards begun be finished; for the grace period only once stopped, then they go back at their next location. */
async function close(
  worker: Worker<RasterJob, ShardResult, "shard">,
  handBack: AbortController,
  stopped: Promise<unknown>,
  graceMs: number,
): Promise<void> {
  const timers: NodeJS.Timeout[] = [];
  const tooLong = stopped.then(
    () =>
      new Promise<void>((resolve) => {
        timers.push(
          setTimeout(() => handBack.abort(new Error("the grace period is over")), graceMs),
          // Whatever then still hangs keeps its lock until that runs out; another worker takes the shard.
          setTimeout(resolve, graceMs + LAST_LOCATION_MS),
        );
      }),
  );
  try {
    await Promise.race([worker.close(), tooLong]);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

/** A promise of the signal; never resolves without one. */
function aborted(signal: AbortSignal | undefined): { promise: Promise<true>; forget: () => void } {
  let forget = (): void => {};
  const promise = new Promise<true>((resolve) => {
    if (signal === undefined) return;
    const end = (): void => resolve(true);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end);
    forget = () => signal.removeEventListener("abort", end);
  });
  return { promise, forget };
}
