import { type Dataset, FarmError, type Quarantined, shardRange } from "@loc2vec/core";
import { z } from "zod";
import { checkShard } from "./shard.ts";
import type { ObjectStore } from "./store.ts";

/**
 * What a shard lacks: its locations that nothing can render, and why. Written beside the data set, before the shard's
 * object, so that a shard that is there has told all; finalizing gathers them into the data set.
 */

const schema = z.array(z.strictObject({ location: z.int().min(0), reason: z.string() }));

export function quarantinePrefix(dataset: string): string {
  return `quarantine/${dataset}/`;
}

const keyOf = (dataset: string, shard: number): string => `${quarantinePrefix(dataset)}${shard}.json`;

/** Replaces what was said of the shard; an empty list takes it away. */
export async function writeQuarantine(
  store: ObjectStore,
  dataset: Pick<Dataset, "name" | "locations" | "shardLocations">,
  shard: number,
  list: readonly Quarantined[],
): Promise<void> {
  const key = keyOf(dataset.name, shard);
  if (list.length > 0) await store.put(key, new TextEncoder().encode(`${JSON.stringify(list)}\n`));
  else if ((await store.head(key)) !== undefined) await store.remove(key);
}

/** @throws FarmError `data` when it is damaged */
export async function readQuarantine(
  store: ObjectStore,
  dataset: Dataset,
  shard: number,
): Promise<Quarantined[]> {
  checkShard(dataset, shard);
  const key = keyOf(dataset.name, shard);
  const bytes = await store.get(key);
  if (bytes === undefined) return [];
  const { first, end } = shardRange(dataset, shard);
  try {
    const list = schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    if (list.some(({ location }) => location < first || location >= end))
      throw new Error("a location of another shard");
    return list;
  } catch (error) {
    throw new FarmError(
      "damaged",
      `${key} in ${store.url}: not a list of locations`,
      "pnpm farm:verify --repair",
      {
        cause: error,
      },
    );
  }
}

/** The shards that lack something. */
export async function listQuarantine(store: ObjectStore, dataset: string): Promise<number[]> {
  const prefix = quarantinePrefix(dataset);
  const shards: number[] = [];
  for await (const key of store.list(prefix)) {
    const match = /^(0|[1-9]\d*)\.json$/.exec(key.slice(prefix.length));
    if (match !== null) shards.push(Number(match[1]));
  }
  return shards.sort((a, b) => a - b);
}
