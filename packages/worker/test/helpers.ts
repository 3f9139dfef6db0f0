import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  type Location,
  OSM_ATTRIBUTION,
  QUEUE_NAMES,
  shardCount,
} from "@loc2vec/core";
import { enqueueShards, type FarmQueues, openQueues } from "@loc2vec/queue";
import { createDataset, type ObjectStore, openStore, STORE_KEY, storeIdentity } from "@loc2vec/shards";
import { afterEach, inject } from "vitest";
import { SOURCE } from "./rasterizer.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

/** A store in a temporary folder and a queue of its own on the tests' Redis. */
export interface Farm {
  redisUrl: string;
  prefix: string;
  storeUrl: string;
  store: ObjectStore;
  queues: FarmQueues;
}

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export async function freshFarm(redisUrl = inject("redisUrl")): Promise<Farm> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-worker-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  const storeUrl = pathToFileURL(folder).href;
  const prefix = `test-${randomUUID()}`;
  const store = openStore(storeUrl);
  const queues = await openQueues({ redisUrl, prefix, store: await storeIdentity(store), retryDelayMs: 10 });
  cleanups.push(async () => {
    for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
    await queues.close();
  });
  return { redisUrl, prefix, storeUrl, store, queues };
}

export const CHANNELS = Array.from({ length: 12 }, (_, i) => `channel${i}`);

export function datasetOf(changes: Partial<Dataset> = {}): Dataset {
  return {
    version: DATASET_VERSION,
    name: "city",
    seed: 7,
    locations: 10,
    samples: 3,
    shardLocations: 4,
    channels: CHANNELS,
    pixels: 128,
    radius: 100,
    augmentation: DEFAULT_AUGMENTATION,
    source: SOURCE,
    attribution: OSM_ATTRIBUTION,
    ...changes,
  };
}

export async function* locationsOf(dataset: Dataset): AsyncGenerator<Location> {
  for (let i = 0; i < dataset.locations; i++) {
    yield { lon: 24.9 + i / 1000, lat: 60.1 + i / 2000, kind: i % 3 === 2 ? "transport" : "visit" };
  }
}

/** Writes the data set's locations and queues all of its shards. */
export async function enqueue(farm: Farm, dataset: Dataset): Promise<void> {
  await createDataset(farm.store, dataset, locationsOf(dataset));
  await enqueueShards(farm.queues, dataset.name, Array(shardCount(dataset)).keys());
}

/** The sha256 of every object in the store, by key; but for the store's identity, which no two share. */
export async function hashes(store: ObjectStore): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const key of store.list("")) {
    if (key === STORE_KEY) continue;
    found[key] = createHash("sha256")
      .update((await store.get(key)) as Uint8Array)
      .digest("hex");
  }
  return Object.fromEntries(Object.entries(found).sort());
}
