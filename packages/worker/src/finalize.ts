import { FarmError, type ShardResult, shardCount } from "@loc2vec/core";
import { enqueueShards } from "@loc2vec/queue";
import {
  checkShards,
  completeDataset,
  type ObjectStore,
  openDataset,
  readDigests,
  type ShardDigest,
  type ShardFacts,
  shardKey,
} from "@loc2vec/shards";
import { type Consumer, WAIT_FOR_SHARDS } from "./consumer.ts";

/** How often shards that are missing or damaged are rendered again before it is given up. */
const ROUNDS = 3;

/**
 * Finishes data sets: reads every shard and compares size and checksum with what its worker wrote, has those that are
 * missing or damaged rendered again, and once all are whole records their sizes and checksums, gathers the quarantine,
 * and marks the data set complete.
 */
export function finalizeConsumer(store: ObjectStore): Consumer<"finalize"> {
  return {
    queue: "finalize",
    async process({ store: id, dataset: name, round = 0 }, { signal, queues, progress, ...task }) {
      if (await task.hasOpenChildren()) return WAIT_FOR_SHARDS;
      const { dataset } = await openDataset(store, name);
      const expected = (await readDigests(store, dataset)) ?? digestsOf(await task.childResults());
      const facts: ShardFacts[] = [];
      const wanting: number[] = [];
      let reason = "missing";
      const onShard = (shards: number, of: number): void => progress({ shards, of }, shards === of);
      for await (const finding of checkShards(store, dataset, { expected, signal, onShard })) {
        if (finding.state === "whole") {
          facts.push(finding);
          continue;
        }
        wanting.push(finding.shard);
        if (finding.state === "missing") continue;
        reason = finding.reason;
        // A worker leaves an object alone that is whole in itself, whatever it should be.
        if (round < ROUNDS) await store.remove(shardKey(name, finding.shard));
      }
      if (wanting.length === 0) return completeDataset(store, dataset, facts);
      if (round >= ROUNDS) {
        throw new FarmError(
          "shards-missing",
          `data set ${name}: ${wanting.length} of ${shardCount(dataset)} shards are wanting though they were rendered ${ROUNDS} times again, e.g. shard ${wanting[0]}: ${reason}`,
          "see what damages or removes them, then pnpm farm:retry",
        );
      }
      await task.update({ store: id, dataset: name, round: round + 1 });
      await enqueueShards(queues, name, wanting, { signal, within: true });
      return WAIT_FOR_SHARDS;
    },
  };
}

/** What the workers said of the shards that they wrote. */
function digestsOf(results: readonly unknown[]): Map<number, ShardDigest> {
  const digests = new Map<number, ShardDigest>();
  for (const { shard, bytes, sha256 } of results as ShardResult[]) digests.set(shard, { bytes, sha256 });
  return digests;
}
