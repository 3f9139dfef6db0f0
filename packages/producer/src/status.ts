import { type Completion, checkName, type Dataset, type Quarantined, shardCount } from "@loc2vec/core";
import {
  type FarmQueues,
  type RasterProgress,
  rasterProgress,
  type StageJob,
  stageJobs,
} from "@loc2vec/queue";
import { listQuarantine, listShards, type ObjectStore, openDataset, readQuarantine } from "@loc2vec/shards";

export interface DatasetStatus extends RasterProgress {
  dataset: Dataset;
  /** Shards of the whole data set, and of them those in the store. */
  shards: number;
  done: number;
  /** Neither in the store nor in the queue: to be enqueued again. */
  lost: number;
  /** Set when every shard is there, checked and recorded. */
  complete: Completion | undefined;
  /** Locations set aside so far, at most 20 of them listed. */
  quarantined: Quarantined[];
  /** Finalizing, and training and embedding where they were asked for. */
  stages: StageJob[];
  /** Seconds until the open jobs are done, at the present rate; undefined without a rate. */
  etaSeconds: number | undefined;
}

/** The most locations in quarantine that a report lists. */
const LISTED = 20;

async function someQuarantined(store: ObjectStore, dataset: Dataset): Promise<Quarantined[]> {
  const quarantined: Quarantined[] = [];
  for (const shard of await listQuarantine(store, dataset.name)) {
    if (quarantined.length >= LISTED) break;
    quarantined.push(...(await readQuarantine(store, dataset, shard)));
  }
  return quarantined.slice(0, LISTED);
}

/**
 * Where a data set stands: what the store has, what the queue will do, what failed and why.
 *
 * @throws FarmError `usage` for a bad name, `input` when the store has no such data set
 */
export async function datasetStatus({
  queues,
  store,
  name,
}: {
  queues: FarmQueues;
  store: ObjectStore;
  name: string;
}): Promise<DatasetStatus> {
  checkName("data set", name);
  const { dataset, complete } = await openDataset(store, name);
  // The queue first: a job that ends in between is then seen as done and open, never as lost.
  const progress = await rasterProgress(queues, name);
  const done = (await listShards(store, dataset)).size;
  const shards = shardCount(dataset);
  const open = progress.waiting + progress.active + progress.delayed;
  return {
    dataset,
    shards,
    done,
    complete,
    quarantined: await someQuarantined(store, dataset),
    stages: await stageJobs(queues, name),
    lost: Math.max(0, shards - done - open - progress.failed),
    etaSeconds: progress.rate === undefined ? undefined : open / progress.rate.shardsPerSecond,
    ...progress,
  };
}
