import {
  type CheckpointChoice,
  checkName,
  QUEUE_NAMES,
  type QueueName,
  type RasterJob,
  type TrainJob,
} from "@loc2vec/core";
import type { FlowJob, Job } from "bullmq";
import { finalizeJobId, modelJobId, parsePayload, parseRasterJobId, rasterJobId } from "./payloads.ts";
import type { FarmQueue, FarmQueues } from "./queues.ts";

/** Jobs per round trip to Redis. */
const BLOCK = 1000;

export type JobState = "waiting" | "active" | "delayed" | "failed" | "completed";

/** The states in which a job will still run. */
export const OPEN_STATES = ["waiting", "active", "delayed"] as const satisfies readonly JobState[];

/** The shards of a data set whose jobs are in one of the states: a snapshot, taken in one step. */
export async function shardsInState(
  { raster }: FarmQueues,
  dataset: string,
  states: readonly JobState[],
): Promise<Set<number>> {
  // Jobs with a priority, which the board can give, wait in a set of their own.
  const ids = await raster.getRanges(
    states.includes("waiting") ? [...states, "prioritized"] : [...states],
    0,
    -1,
  );
  const shards = new Set<number>();
  for (const id of ids) {
    const job = parseRasterJobId(id);
    if (job?.dataset === dataset) shards.add(job.shard);
  }
  return shards;
}

/** What follows once the data set is complete. */
export interface Follow {
  train?: TrainJob | undefined;
  /** Embeds the data set with the trained model. */
  embed?: boolean;
  /** Of the model, to embed with. Default `best`. */
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
 * @throws FarmError `usage` for a bad name
 */
export async function enqueueShards(
  queues: FarmQueues,
  dataset: string,
  shards: Iterable<number>,
  { signal, onBlock, follow, within = false }: EnqueueOptions = {},
): Promise<EnqueueResult> {
  checkName("data set", dataset);
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
    const job = parsePayload("raster", `shard ${shard} of ${dataset}`, { dataset, shard });
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
  { raster, finalize }: FarmQueues,
  dataset: string,
  jobs: readonly RasterJob[],
): Promise<void> {
  const parent = { id: finalizeJobId(dataset), queue: finalize.qualifiedName };
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
  const running = await renew(queues.finalize, finalizeJobId(dataset));
  let root: FlowJob = {
    queueName: "finalize",
    name: "finalize",
    data: parsePayload("finalize", `data set ${dataset}`, { dataset }),
    opts: { jobId: finalizeJobId(dataset) },
    children: shards.map((job) => ({ ...entry(job), queueName: "raster" })),
  };
  if (train !== undefined) {
    const data = parsePayload("train", `model ${train.model}`, train);
    await renew(queues.train, modelJobId(train));
    root = { queueName: "train", name: "train", data, opts: { jobId: modelJobId(train) }, children: [root] };
    if (embed) {
      await renew(queues.embed, modelJobId(train));
      const { model } = train;
      root = {
        queueName: "embed",
        name: "embed",
        data: parsePayload("embed", `model ${model}`, { dataset, model, checkpoint }),
        opts: { jobId: modelJobId(train) },
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

/** Puts every failed job of a data set back, with all its attempts. @returns how many, by queue */
export async function retryFailed(queues: FarmQueues, dataset: string): Promise<Record<QueueName, number>> {
  checkName("data set", dataset);
  const retried = { raster: 0, finalize: 0, train: 0, embed: 0 };
  for (const name of QUEUE_NAMES) {
    for (const id of await queues[name].getRanges(["failed"], 0, -1)) {
      if (datasetOfJob(name, id) === dataset && (await retry(queues[name], id))) retried[name]++;
    }
  }
  return retried;
}

/** The data set that a job works on, told by its id alone; undefined for an id that is none of ours. */
export function datasetOfJob(queue: QueueName, id: string): string | undefined {
  if (queue === "raster") return parseRasterJobId(id)?.dataset;
  if (queue === "finalize") return /^(.+)\.finalize$/.exec(id)?.[1];
  return /^[^@]+@([^@]+)$/.exec(id)?.[1];
}
