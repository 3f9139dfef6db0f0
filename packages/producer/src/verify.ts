import { type Completion, shardCount } from "@loc2vec/core";
import { type EnqueueResult, enqueueShards, type FarmQueues } from "@loc2vec/queue";
import {
  checkArrays,
  checkShards,
  type ObjectStore,
  openDataset,
  readDigests,
  shardKey,
} from "@loc2vec/shards";

export interface VerifyOptions {
  store: ObjectStore;
  name: string;
  /** Where given, shards that are missing or damaged are removed and queued again. */
  repair?: FarmQueues | undefined;
  signal?: AbortSignal | undefined;
  onShard?: (done: number, total: number) => void;
}

export interface VerifyResult {
  dataset: string;
  shards: number;
  whole: number;
  /** Bytes of the whole ones. */
  bytes: number;
  missing: number[];
  damaged: { shard: number; reason: string }[];
  /** Arrays other than the tiles that are damaged; they cannot be rendered again. */
  arrays: { array: string; reason: string }[];
  complete: Completion | undefined;
  /** Set when shards were queued again. */
  repair: EnqueueResult | undefined;
}

/**
 * Reads a whole data set and compares every checksum: those within the objects, and of a complete data set those that
 * were recorded when it was completed.
 *
 * @throws FarmError `input` when there is no such data set, `service`, `interrupted`
 */
export async function verifyDataset(options: VerifyOptions): Promise<VerifyResult> {
  const { store, name, repair, signal, onShard } = options;
  const { dataset, complete } = await openDataset(store, name);
  const arrays = await checkArrays(store, dataset);
  const digestsWhole = !arrays.some(({ array }) => array.startsWith("shard_"));
  const expected = digestsWhole ? await readDigests(store, dataset) : undefined;
  const result: VerifyResult = {
    dataset: name,
    shards: shardCount(dataset),
    whole: 0,
    bytes: 0,
    missing: [],
    damaged: [],
    arrays,
    complete,
    repair: undefined,
  };
  const checkOptions = { ...(expected && { expected }), ...(onShard && { onShard }), signal };
  for await (const finding of checkShards(store, dataset, checkOptions)) {
    if (finding.state === "whole") {
      result.whole++;
      result.bytes += finding.bytes;
    } else if (finding.state === "missing") result.missing.push(finding.shard);
    else result.damaged.push({ shard: finding.shard, reason: finding.reason });
  }
  const wanting = [...result.missing, ...result.damaged.map(({ shard }) => shard)];
  if (repair !== undefined && wanting.length > 0) {
    // A worker leaves an object alone that is whole in itself, whatever it should be.
    for (const { shard } of result.damaged) await store.remove(shardKey(name, shard));
    result.repair = await enqueueShards(repair, name, wanting, { signal });
  }
  return result;
}
