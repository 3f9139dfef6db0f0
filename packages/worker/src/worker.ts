import { FarmError, type QueueName, type RasterJob } from "@loc2vec/core";
import {
  checkClock,
  closeRedis,
  connectRedis,
  countJobs,
  type FarmQueues,
  hasOpenJobs,
  OPEN_STATES,
  openQueues,
  otherStores,
  placeOf,
  untilNextLook,
} from "@loc2vec/queue";
import { type ObjectStore, storeIdentity } from "@loc2vec/shards";
import type { Worker } from "bullmq";
import { type Consumer, consume, type LeftJob, ofAnotherStore } from "./consumer.ts";
import { finalizeConsumer } from "./finalize.ts";
import { restWhileRefused } from "./refused.ts";
import { type RenderedShard, renderShard } from "./shard.ts";
import type { TileRenderer } from "./tile-renderer.ts";

/** How long a job that does not even look at its signal holds up the end, after the grace period. */
const LAST_LOCATION_MS = 5000;
const POLL_MS = 300;

export interface RunWorkerOptions {
  redisUrl: string;
  /** Prefix of BullMQ's keys: the one that the producer used. */
  prefix: string;
  store: ObjectStore;
  /** What draws: an open one, which stays open, or how to open one, which is closed at the end. Without one no shard is rendered. */
  rasterizer?: TileRenderer | (() => Promise<TileRenderer>) | undefined;
  /** Whether data sets are finalized here. Default true. */
  finalize?: boolean;
  /** How the jobs of other queues are done. */
  consumers?: readonly Consumer[];
  /** Shards rendered at a time. Default 1. */
  concurrency?: number;
  /** Stops the worker: no new job is begun, those begun are finished within the grace period or handed back. */
  signal?: AbortSignal | undefined;
  /** Grace period after the signal, milliseconds. Default 20,000: Kubernetes kills after 30 s. */
  graceMs?: number;
  /**
   * `empty`: until no job of the store is left that will run, here or in another worker; those that only others can do are
   * not waited for. Default `forever`: until the signal.
   */
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
  /** An attempt at a job failed. `final`: there will be no further one. */
  onFailure?: (id: string, reason: string, final: boolean) => void;
  /** Jobs wait that this worker cannot do and leaves for others: told once per data set, or object store. */
  onLeft?: (reason: string) => void;
  /** Trouble with Redis that the worker waits out: told once a minute. */
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
  /** Tiles without a single drawn pixel, among them: the trainer leaves them out. */
  empty: number;
  /** Locations set aside, as nothing can render them. */
  quarantined: number;
  bytes: number;
  renderMs: number;
  seconds: number;
  /** Whether the signal ended it. */
  interrupted: boolean;
  /** With `until: "empty"`: jobs of these queues (of the data set, where one is named) that were given up, by whomever. */
  failed?: number;
  /** With `until: "empty"`: jobs that were left, as only another worker can do them. */
  left?: { queue: QueueName; dataset: string; jobs: number; reason: string }[];
}

/**
 * Does the jobs of the queues, until they are empty or the signal is given.
 *
 * A worker may die at any moment: what it had begun goes to another after `lockMs`, and is given up only when five
 * workers died of it. An error is retried with growing delays if time can mend it; else the job fails at once and says
 * why. A job of another object store, or one that a consumer refuses with MismatchError, is left for other workers. While
 * Redis refuses to be written the worker waits.
 *
 * @throws FarmError what `connectRedis`, `checkClock`, `storeIdentity` and the rasterizer's opening throw; errors of single
 * jobs end in them
 */
export async function runWorker(options: RunWorkerOptions): Promise<WorkerSummary> {
  const { concurrency = 1 } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new FarmError("usage", `a worker cannot render ${concurrency} shards at a time`, "1 or more");
  }
  const begin = performance.now();
  const summary = emptySummary();
  const connection = await connectRedis(options.redisUrl, { writeUnder: options.prefix });
  const ended = new AbortController();
  let own: TileRenderer | undefined;
  let queues: FarmQueues | undefined;
  try {
    await checkClock(connection, placeOf(connection));
    const store = await storeIdentity(options.store);
    queues = await openQueues({ connection, prefix: options.prefix, store });
    if (typeof options.rasterizer === "function") own = await options.rasterizer();
    const rasterizer = own ?? (options.rasterizer as TileRenderer | undefined);
    const consumers: Consumer[] = [...(options.consumers ?? [])];
    if (rasterizer !== undefined) consumers.push(rasterConsumer(rasterizer, options, summary) as Consumer);
    if (options.finalize ?? true) consumers.push(finalizeConsumer(options.store) as Consumer);
    await serve({ options, queues, store, consumers, summary, ended });
  } finally {
    ended.abort();
    await own?.close();
    await queues?.close();
    await closeRedis(connection);
  }
  summary.seconds = (performance.now() - begin) / 1000;
  return summary;
}

function emptySummary(): WorkerSummary {
  return {
    shards: 0,
    skipped: 0,
    failures: 0,
    handedBack: 0,
    tiles: 0,
    empty: 0,
    quarantined: 0,
    bytes: 0,
    renderMs: 0,
    seconds: 0,
    interrupted: false,
  };
}

interface Service {
  options: RunWorkerOptions;
  queues: FarmQueues;
  /** Identity of the worker's object store. */
  store: string;
  consumers: readonly Consumer[];
  /** Counts what is done. */
  summary: WorkerSummary;
  /** Aborted once the worker is stopped. */
  ended: AbortController;
}

/** Has the consumers do jobs until the queues are empty or the worker is stopped, and says what was left. */
async function serve({ options, queues, store, consumers, summary, ended }: Service): Promise<void> {
  const { graceMs = 20_000, lockMs = 60_000, until = "forever", signal } = options;
  // During an outage of Redis the questions below wait for an answer; the signal does not.
  const stopped = aborted(signal);
  const handBack = new AbortController();
  let workers: Worker[] = [];
  const refused = restWhileRefused({
    queues,
    workers: () => workers,
    stopped: ended.signal,
    tell: (line) => options.onTrouble?.(line),
  });
  // Redis refuses even to be read, or loads: the workers meet the same, and tell it.
  const waitOut = (error: unknown): boolean => {
    if (!(error instanceof FarmError && error.kind === "service")) throw error;
    refused.onError(error.cause);
    return false;
  };
  const left = leftJobs(store, options.onLeft);
  const consumption = {
    queues,
    lockMs,
    onHandBack: () => void summary.handedBack++,
    onFailure: (id: string, reason: string, final: boolean) => {
      summary.failures++;
      options.onFailure?.(id, reason, final);
    },
    onLeft: left.add,
    onDone: left.forget,
    onError: refused.onError,
  };
  const atOnce = new AbortController();
  stopped.promise.then(() => {
    atOnce.abort(new Error("the worker was stopped"));
    ended.abort();
  });
  workers = consumers.map((consumer) =>
    consume(consumer, {
      ...consumption,
      handBack: (consumer.handBack === "at once" ? atOnce : handBack).signal,
    }),
  );
  const watched = consumers.map(({ queue }) => queue);
  const which = { queues: watched, dataset: options.dataset };
  const empty = emptiness(queues, which, left.has);
  while (!(signal?.aborted ?? false)) {
    if (until === "empty" && (await Promise.race([empty().catch(waitOut), stopped.promise]))) break;
    await Promise.race([new Promise((resolve) => setTimeout(resolve, POLL_MS)), stopped.promise]);
  }
  await close(workers, handBack, stopped.promise, graceMs);
  stopped.forget();
  summary.interrupted = signal?.aborted ?? false;
  if (until === "empty" && !summary.interrupted) {
    summary.failed = await countJobs(queues, { ...which, states: ["failed"] });
    summary.left = await left.stillOpen(queues, which);
    // Jobs of another store may be all that there is, and none of them have come by here.
    for (const other of await otherStores(queues, watched))
      left.tell(other, ofAnotherStore(other, store).line);
  }
}

/** Renders shards, and counts them. */
function rasterConsumer(
  rasterizer: TileRenderer,
  { store, onShard, concurrency = 1 }: RunWorkerOptions,
  summary: WorkerSummary,
): Consumer<"raster"> {
  return {
    queue: "raster",
    concurrency,
    async process(job, { signal, progress }) {
      const { skipped, ...result } = await renderShard({
        store,
        job,
        rasterizer,
        signal,
        onLocation: (locations, of) => progress({ locations, of }, locations === of),
      });
      if (skipped) summary.skipped++;
      else {
        summary.shards++;
        summary.tiles += result.tiles;
        summary.empty += result.empty;
        summary.quarantined += result.quarantined;
        summary.bytes += result.bytes;
        summary.renderMs += result.renderMs;
      }
      onShard?.(job, { ...result, skipped });
      return result;
    },
  };
}

/** What a worker looks after: its queues, and of them one data set or all. */
interface Watched {
  queues: readonly QueueName[];
  dataset: string | undefined;
}

/**
 * Tells whether no job is left that will run, but for those that are left to others. Redis counts; only where that leaves
 * it open are the ids of all jobs read, and the more there are the less often.
 */
function emptiness(
  queues: FarmQueues,
  watched: Watched,
  isLeft: (queue: QueueName, dataset: string) => boolean,
): () => Promise<boolean> {
  let notBefore = 0;
  return async () => {
    if (!(await hasOpenJobs(queues, watched.queues))) return true;
    const begin = performance.now();
    if (begin < notBefore) return false;
    const accept = (queue: QueueName, dataset: string): boolean => !isLeft(queue, dataset);
    const open = await countJobs(queues, { ...watched, states: OPEN_STATES, accept });
    const now = performance.now();
    notBefore = now + untilNextLook(now - begin, POLL_MS);
    return open === 0;
  };
}

/** The jobs that were left for other workers. */
function leftJobs(store: string, tell: RunWorkerOptions["onLeft"]) {
  const left = new Map<string, LeftJob>();
  const told = new Set<string>();
  const key = (queue: QueueName, dataset: string): string => `${queue} ${dataset}`;
  const tellOnce = (about: string, reason: string): void => {
    if (told.has(about)) return;
    told.add(about);
    tell?.(reason);
  };
  return {
    add(job: LeftJob): void {
      const own = job.store === store;
      if (own) left.set(key(job.queue, job.dataset), job);
      tellOnce(own ? `data set ${job.dataset}` : job.store, job.reason);
    },
    tell: tellOnce,
    has: (queue: QueueName, dataset: string): boolean => left.has(key(queue, dataset)),
    /** What was done here is not left: the worker may have another map by now. */
    forget: (queue: QueueName, dataset: string): void => void left.delete(key(queue, dataset)),
    /** Those of the store that nobody has done yet. */
    async stillOpen(queues: FarmQueues, watched: Watched): Promise<NonNullable<WorkerSummary["left"]>> {
      const leftJobs: NonNullable<WorkerSummary["left"]> = [];
      for (const { queue, dataset, reason } of left.values()) {
        if ((watched.dataset ?? dataset) !== dataset) continue;
        const jobs = await countJobs(queues, { queues: [queue], dataset, states: OPEN_STATES });
        if (jobs > 0) leftJobs.push({ queue, dataset, jobs, reason });
      }
      return leftJobs;
    },
  };
}

/** Lets the jobs begun be finished; for the grace period only once stopped, then they go back at their next location. */
async function close(
  workers: readonly Worker[],
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
          // Whatever then still hangs keeps its lock until that runs out; another worker takes it.
          setTimeout(resolve, graceMs + LAST_LOCATION_MS),
        );
      }),
  );
  try {
    await Promise.race([Promise.all(workers.map((worker) => worker.close())), tooLong]);
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
