import { FarmError, shardOf } from "@loc2vec/core";
import {
  type DatasetReader,
  type Decoder,
  decodeTiles,
  openDecoder,
  type ShardReader,
  type StoredTile,
} from "@loc2vec/shards";

/** Shards kept in memory, compressed, or their indexes: the pool that mini-batches are drawn from, and what is left of the one before. */
const KEPT_SHARDS = 40;

/** Tiles that are asked for at a time where each is a request of its own: S3 clients open 50 connections. */
const REQUESTS = 32;

export interface TileReader {
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
  /** Default: one that all share, with a thread for each core. */
  decoder?: Decoder;
}

let shared: Decoder | undefined;

/**
 * Streams tiles from shards: each shard is fetched once, as a whole, when its first tile is asked for; or with
 * `whole: false` its index alone, and each tile by itself, where few of a shard are asked for.
 */
export function openTiles(reader: DatasetReader, { whole = true, decoder }: TileOptions = {}): TileReader {
  const open = new Map<number, Promise<ShardReader>>();
  const openOnce = (shard: number): Promise<ShardReader> => {
    const opening = open.get(shard) ?? fetchShard(reader, shard, whole);
    // The last one used goes to the end; the first one goes when there are too many.
    open.delete(shard);
    open.set(shard, opening);
    opening.catch(() => open.delete(shard));
    if (open.size > KEPT_SHARDS) open.delete(open.keys().next().value as number);
    return opening;
  };
  const fetch = async ({ location, sample }: Row): Promise<StoredTile | undefined> =>
    (await openOnce(shardOf(reader.dataset, location))).stored(location, sample);
  return {
    async read(rows, target) {
      const stored: (StoredTile | undefined)[] = [];
      const requests = whole ? rows.length : REQUESTS;
      for (let at = 0; at < rows.length; at += requests)
        stored.push(...(await Promise.all(rows.slice(at, at + requests).map(fetch))));
      shared ??= openDecoder();
      return decodeTiles(reader.dataset, decoder ?? shared, stored, target);
    },
  };
}

async function fetchShard(reader: DatasetReader, shard: number, whole: boolean): Promise<ShardReader> {
  const opened = await reader.openShard(shard, { whole });
  if (opened === undefined) {
    throw new FarmError(
      "shards-missing",
      `${reader.shardKey(shard)}: the shard is missing`,
      "pnpm farm:enqueue and farm:work render it",
    );
  }
  return opened;
}
