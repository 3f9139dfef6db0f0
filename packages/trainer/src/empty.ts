import type { DatasetReader } from "@loc2vec/shards";
import { type Corpus, type CorpusShard, joinDatasets } from "./corpus.ts";

/** The samples without a drawn pixel, by location; a location without any is absent. */
export type EmptyTiles = ReadonlyMap<number, ReadonlySet<number>>;

/**
 * Whether a location can be trained on: its anchor shows something, and so do enough of its positives.
 *
 * @param positives that it has
 * @param pairs that are asked for
 * @param empty its empty samples
 */
export function isUsable(positives: number, pairs: number, empty: ReadonlySet<number> | undefined): boolean {
  return empty === undefined || (!empty.has(0) && positives - empty.size >= pairs);
}

/** Indexes of shards that are fetched at a time. */
const INDEXES = 32;

/**
 * The tiles without a drawn pixel, told by the shards' indexes alone.
 *
 * @param wait for a shard that is not there; else it is passed over
 * @throws FarmError `damaged`
 */
export async function findEmptyTiles(
  from: DatasetReader | Corpus,
  shards: readonly number[],
  wait?: () => Promise<void>,
): Promise<Map<number, Set<number>>> {
  const corpus = "readers" in from ? from : joinDatasets([from]);
  const open = async (shardId: number): Promise<CorpusShard | undefined> => {
    for (;;) {
      const shard = await corpus.openShard(shardId);
      if (shard !== undefined || wait === undefined) return shard;
      await wait();
    }
  };
  const { samples } = corpus;
  const emptyByLocation = new Map<number, Set<number>>();
  for (let at = 0; at < shards.length; at += INDEXES) {
    const block = shards.slice(at, at + INDEXES);
    for (const shard of await Promise.all(block.map(open))) {
      if (shard === undefined) continue;
      for (let location = shard.first; location < shard.end; location++) {
        const empty = Array.from({ length: samples }, (_, i) => i).filter((i) => shard.isEmpty(location, i));
        if (empty.length > 0) emptyByLocation.set(location, new Set(empty));
      }
    }
  }
  return emptyByLocation;
}

/** What is empty in the shards that a training has seen so far. */
export interface EmptyWatch {
  /** It grows as shards are learnt of. */
  readonly byLocation: EmptyTiles;
  /** Learns of shards that it has not seen, and waits for those that are not rendered. */
  learn(shards: readonly number[]): Promise<void>;
}

/**
 * Looks through the shards that are there.
 *
 * @param wait until a shard that is not there may be
 * @param onFound called when all that were waited for are there
 */
export async function watchEmptyTiles(
  corpus: Corpus,
  rendered: readonly number[],
  wait: () => Promise<void>,
  onFound: () => void,
): Promise<EmptyWatch> {
  const byLocation = await findEmptyTiles(corpus, rendered);
  const seen = new Set(rendered);
  return {
    byLocation,
    async learn(shards) {
      const unseen = shards.filter((shard) => !seen.has(shard));
      for (const [location, samples] of await findEmptyTiles(corpus, unseen, wait))
        byLocation.set(location, samples);
      for (const shard of unseen) seen.add(shard);
      if (unseen.length > 0) onFound();
    },
  };
}
