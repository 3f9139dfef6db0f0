import { FarmError } from "@loc2vec/core";
import type { DatasetReader } from "@loc2vec/shards";
import { type Corpus, type CorpusShard, joinDatasets } from "./corpus.ts";

/** Shards kept in memory, compressed, or their indexes: the pool that mini-batches are drawn from, and what is left of the one before. */
const KEPT_SHARDS = 40;

/** Tiles that are asked for at a time where each is a request of its own: S3 clients open 50 connections. */
const REQUESTS = 32;

export interface TileReader {
  /** Planar uint8 [channel, y, x] each, in the order of the rows. @throws FarmError `shards-missing`, `damaged` */
  read(rows: readonly { location: number; sample: number }[]): Promise<Uint8Array[]>;
}

/**
 * Streams tiles from shards: each shard is fetched once, as a whole, when its first tile is asked for; or with
 * `whole: false` its index alone, and each tile by itself, where few of a shard are asked for.
 */
export function openTiles(
  from: DatasetReader | Corpus,
  { whole = true }: { whole?: boolean } = {},
): TileReader {
  const corpus = "readers" in from ? from : joinDatasets([from]);
  const open = new Map<number, Promise<CorpusShard>>();
  const openOnce = (shard: number): Promise<CorpusShard> => {
    const opening = open.get(shard) ?? fetchShard(corpus, shard, whole);
    // The last one used goes to the end; the first one goes when there are too many.
    open.delete(shard);
    open.set(shard, opening);
    opening.catch(() => open.delete(shard));
    if (open.size > KEPT_SHARDS) open.delete(open.keys().next().value as number);
    return opening;
  };
  const read = async ({ location, sample }: { location: number; sample: number }): Promise<Uint8Array> =>
    (await openOnce(corpus.shardOf(location))).tile(location, sample);
  return {
    async read(rows) {
      if (whole) return Promise.all(rows.map(read));
      const tiles: Uint8Array[] = [];
      for (let at = 0; at < rows.length; at += REQUESTS)
        tiles.push(...(await Promise.all(rows.slice(at, at + REQUESTS).map(read))));
      return tiles;
    },
  };
}

async function fetchShard(corpus: Corpus, shard: number, whole: boolean): Promise<CorpusShard> {
  const opened = await corpus.openShard(shard, { whole });
  if (opened === undefined) {
    throw new FarmError(
      "shards-missing",
      `${corpus.shardKey(shard)}: the shard is missing`,
      "pnpm farm:enqueue and farm:work render it",
    );
  }
  return opened;
}
