import {
  type CheckpointChoice,
  checkName,
  QUEUE_NAMES,
  type QueueName,
  type RasterJob,
  type Training,
} from "@loc2vec/core";
import type { FlowJob, Job } from "bullmq";
import {
  datasetOfJob,
  finalizeJobId,
  modelJobId,
  parsePayload,
  parseRasterJobId,
  rasterJobId,
} from "./payloads.ts";
import type { FarmQueue, FarmQueues } from "./queues.ts";
import { onRedis } from "./refusal.ts";

/** Jobs per round trip to Redis. */
const BLOCK = 1000;

export type JobState = "waiting" | "active" | "delayed" | "failed" | "completed";

/** The states in which a job will still run. */
export const OPEN_STATES = ["waiting", "active", "delayed"] as const satisfies readonly JobState[];

/**
 * How long to wait before the ids of all jobs are read again, milliseconds: at least `leastMs`, and so long that reading
 * them takes a fiftieth of the time, however many there are.
 */
export function untilNextLook(tookMs: number, leastMs: number): number {
  return Math.max(leastMs, Math.min(50 * tookMs, 30_000));
}

/** The ids of a queue's jobs, of all stores, that are in one of the states: a snapshot, taken in one step. */
async function idsInState(queue: FarmQueue, states: readonly JobState[]): Promise<string[]> {
  // Jobs with a priority, which the board can give, wait in a set of their own.
  return queue.getRanges(states.includes("waiting") ? [...states, "prioritized"] : [...states], 0, -1);
}

/**
 * The shards of a data set whose jobs are in one of the states: a snapshot, taken in one step.
 *
 * @throws FarmError `service` when Redis refuses
 */
export async function shardsInState(
  queues: FarmQueues,
  dataset: string,
  states: readonly JobState[],
): Promise<Set<number>> {
  return onRedis(queues, async () => {
    const shards = new Set<number>();
    for (const id of await idsInState(queues.raster as FarmQueue, states)) {
      const job = parseRasterJobId(id);
      if (job?.store === queues.store && job.dataset === dataset) shards.add(job.shard);
    }
    return shards;
  });
}

export interface Which {
  queues: readonly QueueName[];
  states: readonly JobState[];
  /** The data set whose jobs are meant; else those of all data sets in the store. */
  dataset?: string | undefined;
  /** Told of each data set: false leaves its jobs out. */
  accept?: (queue: QueueName, dataset: string) => boolean;
}

/**
 * Counts the store's jobs that are in one of the states; with them, unless a data set is named, jobs whose ids are none of
 * ours. It reads the ids of all jobs in those states: for what is asked every second there is {@link hasOpenJobs}.
 *
 * @throws FarmError `service` when Redis refuses
 */
export async function countJobs(farm: FarmQueues, which: Which): Promise<number> {
  return onRedis(farm, async () => {
    let count = 0;
    // In the order in which a data set passes them: the last job of a queue opens the next one's in one step.
    for (const name of QUEUE_NAMES) {
      if (!which.queues.includes(name)) continue;
      for (const id of await idsInState(farm[name] as FarmQueue, which.states)) {
        const place = datasetOfJob(name, id);
        if (place === undefined) {
          if (which.dataset === undefined) count++;
          continue;
        }
        if (place.store !== farm.store || (which.dataset ?? place.dataset) !== place.dataset) continue;
        if (which.accept?.(name, place.dataset) ?? true) count++;
      }
    }
    return count;
  });
}

/**
 * The identities of the other object stores whose jobs in these queues will run.
 *
 * @throws FarmError `service` when Redis refuses
 */
export async function otherStores(farm: FarmQueues, queues: readonly QueueName[]): Promise<Set<string>> {
  return onRedis(farm, async () => {
    const stores = new Set<string>();
    for (const name of queues) {
      for (const id of await idsInState(farm[name] as FarmQueue, OPEN_STATES)) {
        const { store } = datasetOfJob(name, id) ?? {};
        if (store !== undefined && store !== farm.store) stores.add(store);
      }
    }
    return stores;
  });
}

/**
 * Whether the queues have a job that will run, of whichever store and data set: counted by Redis, in no time.
 *
 * @throws FarmError `service` when Redis refuses
 */
export async function hasOpenJobs(farm: FarmQueues, queues: readonly QueueName[]): Promise<boolean> {
  return onRedis(farm, async () => {
    for (const name of QUEUE_NAMES) {
      if (!queues.includes(name)) continue;
      if ((await farm[name].getJobCountByTypes(...OPEN_STATES, "prioritized")) > 0) return true;
    }
    return false;
  });
}

/** What follows once the data set is complete. */
export interface Follow {
  train?: Training | undefined;
  /** Embeds the data set with the trained model. */
  embed?: boolean;
  /** The model's checkpoint to embed with. Default `best`. */
  checkpoint?: CheckpointChoice | undefined;
}

export interface EnqueueOptions {
  signal?: AbortSignal | undefined;
  onBlock?: (done: number) => void;
  follow?: Follow | undefined;
  /** Called by the data set's own finalize job, which then waits for these shards. */
  within?: boolean;
}

export interface EnqueueResult {
  /** Jobs that were not in the queue before. */
  added: number;
  /** Failed jobs put back, with all their attempts. */
  retried: number;
  /** Jobs that were waiting or running already. */
  queued: number;
}

/**
 * Makes sure that each of these shards has a job that will run, and that the data set is finalized after the last of
 * them: adds what is missing, retries what failed, and leaves what is waiting or running alone. Doing it again, or in
 * two processes at once, runs nothing twice.
 *
 * The jobs are a BullMQ flow, `embed` ← `train` ← `finalize` ← shards. Should it break off before all are added,
 * `finalize` starts early, finds shards missing, and adds their jobs itself.
 *
 * @param shards shards that are not in the store yet
 * @throws FarmError `usage` for a bad name; `service` when Redis refuses
 */
export async function enqueueShards(
  queues: FarmQueues,
  dataset: string,
  shards: Iterable<number>,
  options: EnqueueOptions = {},
): Promise<EnqueueResult> {
  checkName("data set", dataset);
  return onRedis(queues, () => enqueueMissing(queues, dataset, shards, options));
}

async function enqueueMissing(
  queues: FarmQueues,
  dataset: string,
  shards: Iterable<number>,
  { signal, onBlock, follow, within = false }: EnqueueOptions,
): Promise<EnqueueResult> {
  const { store } = queues;
  // A job that fails or ends between these looks is at worst counted as queued; the next call sees to it.
  const failed = await shardsInState(queues, dataset, ["failed"]);
  const completed = await shardsInState(queues, dataset, ["completed"]);
  const open = await shardsInState(queues, dataset, OPEN_STATES);
  const result: EnqueueResult = { added: 0, retried: 0, queued: 0 };
  let block: RasterJob[] = [];
  let done = 0;
  let begun = false;
  const flush = async (): Promise<void> => {
    signal?.throwIfAborted();
    if (!begun && !within) await addFlow(queues, dataset, block, follow);
    else await addChildren(queues, dataset, block);
    begun = true;
    done += block.length;
    block = [];
    onBlock?.(done);
  };
  for (const shard of shards) {
    const job = parsePayload("raster", `shard ${shard} of ${dataset}`, { store, dataset, shard });
    if (open.has(shard)) result.queued++;
    else if (failed.has(shard)) {
      if (await retry(queues.raster, rasterJobId(job))) result.retried++;
      else result.queued++;
    } else {
      // A finished job without its shard: the object was removed or found damaged. The old job would block the new one.
      if (completed.has(shard)) await queues.raster.remove(rasterJobId(job));
      result.added++;
    }
    // Also what is there already: adding it again changes nothing but that finalize waits for it.
    block.push(job);
    if (block.length === BLOCK) await flush();
  }
  if (block.length > 0 || !begun) await flush();
  return result;
}

const entry = (job: RasterJob) => ({ name: "shard", data: job, opts: { jobId: rasterJobId(job) } });

/** Adds shards to a finalize job that is there. */
async function addChildren(
  { raster, finalize, store }: FarmQueues,
  dataset: string,
  jobs: readonly RasterJob[],
): Promise<void> {
  const parent = { id: finalizeJobId({ store, dataset }), queue: finalize.qualifiedName };
  await raster.addBulk(
    jobs.map((job) => {
      const { opts, ...rest } = entry(job);
      return { ...rest, opts: { ...opts, parent } };
    }),
  );
}

async function addFlow(
  queues: FarmQueues,
  dataset: string,
  shards: readonly RasterJob[],
  { train, embed = false, checkpoint }: Follow = {},
): Promise<void> {
  const { store } = queues;
  const finalizeId = finalizeJobId({ store, dataset });
  const running = await renew(queues.finalize, finalizeId);
  let root: FlowJob = {
    queueName: "finalize",
    name: "finalize",
    data: parsePayload("finalize", `data set ${dataset}`, { store, dataset }),
    opts: { jobId: finalizeId },
    children: shards.map((job) => ({ ...entry(job), queueName: "raster" })),
  };
  if (train !== undefined) {
    const data = parsePayload("train", `model ${train.model}`, { ...train, store });
    const jobId = modelJobId(data);
    await renew(queues.train, jobId);
    root = { queueName: "train", name: "train", data, opts: { jobId }, children: [root] };
    if (embed) {
      await renew(queues.embed, jobId);
      const { model } = train;
      root = {
        queueName: "embed",
        name: "embed",
        data: parsePayload("embed", `model ${model}`, { store, dataset, model, checkpoint }),
        opts: { jobId },
        children: [root],
      };
    }
  }
  // A finalize job that runs looks for missing shards itself, and none may be added to it from outside meanwhile.
  if (running && train === undefined) {
    await queues.raster.addBulk(shards.map(entry));
    return;
  }
  const options = Object.fromEntries(
    QUEUE_NAMES.map((name) => [name, { defaultJobOptions: queues[name].defaultJobOptions }]),
  );
  await queues.flow.add(root, { queuesOptions: options });
}

/** Makes way for a job that shall run again: takes a finished one away, puts a failed one back. @returns whether it runs now */
async function renew(queue: FarmQueue, id: string): Promise<boolean> {
  const job = await queue.getJob(id);
  const state = await job?.getState();
  if (state === "completed") await job?.remove({ removeChildren: false });
  if (state === "failed") await retry(queue, id);
  return state === "active";
}

/** @returns false when the job was no longer failed: somebody else retried it just now */
async function retry(queue: FarmQueue, id: string): Promise<boolean> {
  const job: Job | undefined = await queue.getJob(id);
  if (job === undefined) return false;
  try {
    await job.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
    return true;
  } catch (error) {
    if ((await job.getState()) === "failed") throw error;
    return false;
  }
}

/**
 * Puts every failed job of a data set back, with all its attempts. @returns how many, by queue
 *
 * @throws FarmError `usage` for a bad name; `service` when Redis refuses
 */
export async function retryFailed(queues: FarmQueues, dataset: string): Promise<Record<QueueName, number>> {
  checkName("data set", dataset);
  return onRedis(queues, async () => {
    const retried = { raster: 0, finalize: 0, train: 0, embed: 0 };
    for (const name of QUEUE_NAMES) {
      for (const id of await idsInState(queues[name] as FarmQueue, ["failed"])) {
        const place = datasetOfJob(name, id);
        if (place?.store !== queues.store || place.dataset !== dataset) continue;
        if (await retry(queues[name], id)) retried[name]++;
      }
    }
    return retried;
  });
}
