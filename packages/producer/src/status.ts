import { checkName, type Dataset, shardCount } from "@loc2vec/core";
import { type RasterProgress, type RasterQueue, rasterProgress } from "@loc2vec/queue";
import { listShards, type ObjectStore, openDataset } from "@loc2vec/shards";

export interface DatasetStatus extends RasterProgress {
  dataset: Dataset;
  /** Shards of the whole data set, and of them those in the store. */
  shards: number;
  done: number;
  /** Neither in the store nor in the queue: to be enqueued again. */
  lost: number;
  /** Seconds until the open jobs are done, at the present rate; undefined without a rate. */
  etaSeconds: number | undefined;
}

/**
 * Where a data set stands: what the store has, what the queue will do, what failed and why.
 *
 * @throws FarmError `usage` for a bad name, `input` when the store has no such data set
 */
export async function datasetStatus({
  queue,
  store,
  name,
}: {
  queue: RasterQueue;
  store: ObjectStore;
  name: string;
}): Promise<DatasetStatus> {
  checkName("data set", name);
  const { dataset } = await openDataset(store, name);
  // The queue first: a job that ends in between is then seen as done and open, never as lost.
  const progress = await rasterProgress(queue, name);
  const done = (await listShards(store, dataset)).size;
  const shards = shardCount(dataset);
  const open = progress.waiting + progress.active + progress.delayed;
  return {
    dataset,
    shards,
    done,
    lost: Math.max(0, shards - done - open - progress.failed),
    etaSeconds: progress.rate === undefined ? undefined : open / progress.rate.shardsPerSecond,
    ...progress,
  };
}
