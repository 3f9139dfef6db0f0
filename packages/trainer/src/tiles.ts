import { FarmError } from "@loc2vec/core";
import {
  type DatasetReader,
  type Decoder,
  decodeTiles,
  openDecoder,
  type StoredTile,
  tileBytes,
} from "@loc2vec/shards";
import { POOL_SHARDS } from "./batches.ts";
import { type Corpus, type CorpusShard, joinDatasets } from "./corpus.ts";

/** Shards kept in memory, compressed, or their indexes, beside {@link TileOptions.pool}: what is left of the pool before. */
const KEPT_SHARDS = 24;

/** Tiles that are asked for at a time where each is a request of its own: S3 clients open 50 connections. */
const REQUESTS = 32;

export interface TileReader {
  /** Bytes of a tile in memory. */
  readonly tileBytes: number;
  /**
   * Planar uint8 [channel, y, x] each, in the order of the rows, one after another in one piece of memory.
   *
   * @param target shared memory that they go into; else it is made
   * @throws FarmError `shards-missing`, `damaged`
   */
  read(rows: readonly Row[], target?: Uint8Array): Promise<Uint8Array[]>;
}

interface Row {
  location: number;
  sample: number;
}

export interface TileOptions {
  /** Whether shards are fetched whole. Default: true. */
  whole?: boolean;
  /** Shards that mini-batches are drawn from at a time, which stay in memory. */
  pool?: number;
  /** Default: one that all share, with a thread for each core. */
  decoder?: Decoder;
}

let shared: Decoder | undefined;

/**
 * Streams tiles from shards: each shard is fetched once, as a whole, when its first tile is asked for; or with
 * `whole: false` its index alone, and each tile by itself, where few of a shard are asked for.
 */
export function openTiles(
  from: DatasetReader | Corpus,
  { whole = true, pool = POOL_SHARDS, decoder }: TileOptions = {},
): TileReader {
  const corpus = "readers" in from ? from : joinDatasets([from]);
  const open = new Map<number, Promise<CorpusShard>>();
  const openOnce = (shard: number): Promise<CorpusShard> => {
    const opening = open.get(shard) ?? fetchShard(corpus, shard, whole);
    // The last one used goes to the end; the first one goes when there are too many.
    open.delete(shard);
    open.set(shard, opening);
    opening.catch(() => open.delete(shard));
    if (open.size > pool + KEPT_SHARDS) open.delete(open.keys().next().value as number);
    return opening;
  };
  const fetch = async ({ location, sample }: Row): Promise<StoredTile | undefined> =>
    (await openOnce(corpus.shardOf(location))).stored(location, sample);
  // Data sets of one corpus have tiles of one size.
  const layout = (corpus.readers[0] as DatasetReader).dataset;
  return {
    tileBytes: tileBytes(layout),
    async read(rows, target) {
      const stored: (StoredTile | undefined)[] = [];
      const requests = whole ? rows.length : REQUESTS;
      for (let at = 0; at < rows.length; at += requests)
        stored.push(...(await Promise.all(rows.slice(at, at + requests).map(fetch))));
      shared ??= openDecoder();
      return decodeTiles(layout, decoder ?? shared, stored, target);
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
