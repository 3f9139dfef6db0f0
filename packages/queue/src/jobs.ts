import { checkName, type RasterJob } from "@loc2vec/core";
import { parseRasterJob, parseRasterJobId, type RasterQueue, rasterJobId } from "./raster-queue.ts";

/** Jobs per round trip to Redis. */
const BLOCK = 1000;

export type JobState = "waiting" | "active" | "delayed" | "failed" | "completed";

/** The states in which a job will still run. */
export const OPEN_STATES = ["waiting", "active", "delayed"] as const satisfies readonly JobState[];

/** The shards of a data set whose jobs are in one of the states: a snapshot, taken in one step. */
export async function shardsInState(
  { queue }: RasterQueue,
  dataset: string,
  states: readonly JobState[],
): Promise<Set<number>> {
  // Jobs with a priority, which the board can give, wait in a set of their own.
  const ids = await queue.getRanges(
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

export interface EnqueueResult {
  /** Jobs that were not in the queue before. */
  added: number;
  /** Failed jobs put back, with all their attempts. */
  retried: number;
  /** Jobs that were waiting or running already. */
  queued: number;
}

/**
 * Makes sure that each of these shards has a job that will run: adds what is missing, retries what failed, and leaves
 * what is waiting or running alone. Doing it again, or in two processes at once, runs nothing twice.
 *
 * @param shards shards that are not in the store yet
 * @throws FarmError `usage` for a bad name
 */
export async function enqueueShards(
  raster: RasterQueue,
  dataset: string,
  shards: Iterable<number>,
  { signal, onBlock }: { signal?: AbortSignal | undefined; onBlock?: (done: number) => void } = {},
): Promise<EnqueueResult> {
  checkName("data set", dataset);
  // A job that fails or ends between these looks is at worst counted as queued; the next call sees to it.
  const failed = await shardsInState(raster, dataset, ["failed"]);
  const completed = await shardsInState(raster, dataset, ["completed"]);
  const open = await shardsInState(raster, dataset, OPEN_STATES);
  const result: EnqueueResult = { added: 0, retried: 0, queued: 0 };
  let block: RasterJob[] = [];
  let done = 0;
  const flush = async (): Promise<void> => {
    signal?.throwIfAborted();
    await raster.queue.addBulk(
      block.map((job) => ({ name: "shard", data: job, opts: { jobId: rasterJobId(job) } })),
    );
    result.added += block.length;
    done += block.length;
    block = [];
    onBlock?.(done);
  };
  for (const shard of shards) {
    const job = parseRasterJob(`shard ${shard} of ${dataset}`, { dataset, shard });
    if (open.has(shard)) {
      result.queued++;
      done++;
      continue;
    }
    if (failed.has(shard)) {
      if (await retry(raster, rasterJobId(job))) result.retried++;
      else result.queued++;
      done++;
      continue;
    }
    // A finished job without its shard: the object was removed or found damaged. The old job would block the new one.
    if (completed.has(shard)) await raster.queue.remove(rasterJobId(job));
    block.push(job);
    if (block.length === BLOCK) await flush();
  }
  if (block.length > 0) await flush();
  return result;
}

/** @returns false when the job was no longer failed: somebody else retried it just now */
async function retry(raster: RasterQueue, id: string): Promise<boolean> {
  const job = await raster.queue.getJob(id);
  if (job === undefined) return false;
  try {
    await job.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
    return true;
  } catch (error) {
    if ((await job.getState()) === "failed") throw error;
    return false;
  }
}

/** Puts every failed job of a data set back, with all its attempts. @returns how many */
export async function retryFailed(raster: RasterQueue, dataset: string): Promise<number> {
  checkName("data set", dataset);
  let retried = 0;
  for (const shard of await shardsInState(raster, dataset, ["failed"])) {
    if (await retry(raster, rasterJobId({ dataset, shard }))) retried++;
  }
  return retried;
}
