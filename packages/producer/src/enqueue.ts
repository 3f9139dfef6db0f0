import { checkName, type Dataset, FarmError, type Location, shardCount } from "@loc2vec/core";
import { enqueueShards, type FarmQueues, type Follow } from "@loc2vec/queue";
import { createDataset, listShards, type ObjectStore } from "@loc2vec/shards";

export interface EnqueueDatasetOptions {
  store: ObjectStore;
  dataset: Dataset;
  /** Exactly `dataset.locations` of them, in the order of the data set. Read once, never held as a whole. */
  locations: AsyncIterable<Location>;
  queues: FarmQueues;
  /** What follows once the data set is complete. */
  follow?: Follow | undefined;
  signal?: AbortSignal | undefined;
  /** Locations written so far, then shards queued so far. */
  progress?: (stage: "locations" | "shards", done: number, total: number) => void;
}

export interface EnqueueDatasetResult {
  /** Shards of the whole data set. */
  shards: number;
  /** Jobs new in the queue. */
  added: number;
  /** Failed jobs put back. */
  retried: number;
  /** Jobs that were waiting or running already. */
  queued: number;
  /** Shards that are in the store: nothing to do. */
  present: number;
}

/**
 * Writes a data set's description and locations to the object store, then queues one job per shard that is not there
 * yet, and one after them that checks them all and marks the data set complete. After a crash half way, call it again with the same data set: nothing is queued or rendered twice.
 *
 * @throws FarmError what `createDataset` throws: `input` for a location that is out of range or when there are more or
 * fewer than the data set says, `data` when the store holds another data set of that name, `service` when it cannot be
 * written; `interrupted` when aborted
 */
export async function enqueueDataset(options: EnqueueDatasetOptions): Promise<EnqueueDatasetResult> {
  const { store, dataset, queues, follow, signal, progress } = options;
  checkName("data set", dataset.name);
  try {
    await createDataset(store, dataset, counted(options));
    const total = shardCount(dataset);
    const present = await listShards(store, dataset);
    const result = await enqueueShards(queues, dataset.name, missing(total, present), {
      signal,
      follow,
      onBlock: (done) => progress?.("shards", present.size + done, total),
    });
    progress?.("shards", total, total);
    return { shards: total, present: present.size, ...result };
  } catch (error) {
    if (signal?.aborted && !(error instanceof FarmError)) {
      throw new FarmError(
        "interrupted",
        `data set ${dataset.name}: enqueueing was interrupted`,
        "run it again: it goes on where it stopped",
        { cause: error },
      );
    }
    throw error;
  }
}

async function* counted({
  locations,
  dataset,
  signal,
  progress,
}: EnqueueDatasetOptions): AsyncGenerator<Location> {
  let done = 0;
  for await (const location of locations) {
    if (++done % 1024 === 0) {
      signal?.throwIfAborted();
      progress?.("locations", done, dataset.locations);
    }
    yield location;
  }
  progress?.("locations", done, dataset.locations);
}

function* missing(total: number, present: ReadonlySet<number>): Generator<number> {
  for (let shard = 0; shard < total; shard++) if (!present.has(shard)) yield shard;
}
