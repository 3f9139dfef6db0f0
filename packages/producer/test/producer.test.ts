import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  FarmError,
  type Location,
  OSM_ATTRIBUTION,
  QUEUE_NAMES,
  shardRange,
} from "@loc2vec/core";
import { type FarmQueues, openQueues } from "@loc2vec/queue";
import { type ObjectStore, openDataset, openStore, writeShard } from "@loc2vec/shards";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { datasetStatus, enqueueDataset } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

let folder: string;
let store: ObjectStore;
let queues: FarmQueues;
const STORE = "0123456789abcdef";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "loc2vec-producer-"));
  store = openStore(pathToFileURL(folder).href);
  queues = await openQueues({ redisUrl: inject("redisUrl"), prefix: `test-${randomUUID()}`, store: STORE });
});

afterEach(async () => {
  for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
  await queues.close();
  await rm(folder, { recursive: true });
});

function datasetOf(changes: Partial<Dataset> = {}): Dataset {
  return {
    version: DATASET_VERSION,
    name: "city",
    seed: 1,
    locations: 50,
    samples: 2,
    shardLocations: 8,
    channels: Array.from({ length: 12 }, (_, i) => `channel${i}`),
    pixels: 128,
    radius: 100,
    augmentation: DEFAULT_AUGMENTATION,
    source: {
      map: { name: "none.osm.pbf", sha256: "0".repeat(64), importHash: "1".repeat(64) },
      renderer: "none",
      styleHash: "none",
    },
    attribution: OSM_ATTRIBUTION,
    ...changes,
  };
}

async function* locationsOf(count: number, stopAt = Number.POSITIVE_INFINITY): AsyncGenerator<Location> {
  for (let i = 0; i < count; i++) {
    if (i === stopAt) throw new Error("the file ended early");
    yield { lon: 24 + i / 1e6, lat: 60 - i / 1e6, kind: "visit" };
  }
}

/** Writes a shard as a worker would. */
async function render(dataset: Dataset, shard: number): Promise<void> {
  const { first, end } = shardRange(dataset, shard);
  async function* tiles(): AsyncGenerator<Uint8Array> {
    for (let i = first * dataset.samples; i < end * dataset.samples; i++) {
      yield new Uint8Array(12 * 128 * 128).fill(i);
    }
  }
  await writeShard(store, dataset, shard, tiles());
}

test("writes the locations, queues one job per shard, and adds nothing twice", async () => {
  const dataset = datasetOf();
  const stages: string[] = [];
  const enqueue = () =>
    enqueueDataset({
      store,
      dataset,
      locations: locationsOf(dataset.locations),
      queues,
      progress: (stage, done, total) => stages.push(`${stage} ${done}/${total}`),
    });
  expect(await enqueue()).toEqual({ shards: 7, added: 7, retried: 0, queued: 0, present: 0 });
  expect(stages).toContain("locations 50/50");
  expect(stages.at(-1)).toBe("shards 7/7");
  const stored = await (await openDataset(store, "city")).locations(48, 50);
  expect([...stored.lon]).toEqual([24 + 48 / 1e6, 24 + 49 / 1e6]);
  expect([...stored.lat]).toEqual([60 - 48 / 1e6, 60 - 49 / 1e6]);
  expect(await enqueue()).toEqual({ shards: 7, added: 0, retried: 0, queued: 7, present: 0 });

  for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
  await render(dataset, 3);
  await render(dataset, 6);
  expect(await enqueue()).toEqual({ shards: 7, added: 5, retried: 0, queued: 0, present: 2 });
  expect(await queues.raster.count()).toBe(5);
});

test("a crash among the locations queues nothing, and the next call does it all", async () => {
  const dataset = datasetOf();
  const options = { store, dataset, queues };
  await expect(enqueueDataset({ ...options, locations: locationsOf(50, 20) })).rejects.toThrow("ended early");
  expect(await queues.raster.count()).toBe(0);
  expect((await enqueueDataset({ ...options, locations: locationsOf(50) })).added).toBe(7);
});

test("another data set of the same name, or a wrong count of locations, is refused", async () => {
  const dataset = datasetOf();
  await enqueueDataset({ store, dataset, queues, locations: locationsOf(50) });
  const other = datasetOf({ seed: 2 });
  await expect(enqueueDataset({ store, dataset: other, queues, locations: locationsOf(50) })).rejects.toThrow(
    FarmError,
  );
  for (const [name, count] of [
    ["few", 49],
    ["many", 51],
  ] as const) {
    await expect(
      enqueueDataset({ store, dataset: datasetOf({ name }), queues, locations: locationsOf(count) }),
    ).rejects.toThrow(FarmError);
  }
  expect(await queues.raster.count()).toBe(7);
});

test("stops with the signal", async () => {
  const dataset = datasetOf({ locations: 100_000 });
  const stop = new AbortController();
  const done = enqueueDataset({
    store,
    dataset,
    queues,
    locations: locationsOf(dataset.locations),
    signal: stop.signal,
    progress: () => stop.abort(),
  });
  await expect(done).rejects.toMatchObject({ kind: "interrupted" });
  expect(await queues.raster.count()).toBe(0);
});

test("hostile names never reach store or queue", async () => {
  for (const name of ["", "..", "../x", "a/b", "A", "a b", "x".repeat(64), "a\0b"]) {
    const dataset = datasetOf({ name });
    await expect(enqueueDataset({ store, dataset, queues, locations: locationsOf(50) })).rejects.toThrow(
      FarmError,
    );
    await expect(datasetStatus({ queues, store, name })).rejects.toThrow(FarmError);
  }
  expect(await Array.fromAsync(store.list(""))).toEqual([]);
});

test("the status adds up store and queue", async () => {
  const dataset = datasetOf();
  await enqueueDataset({ store, dataset, queues, locations: locationsOf(50) });
  for (const shard of [0, 1]) {
    await render(dataset, shard);
    await queues.raster.remove(`city.${shard}@${STORE}`);
  }
  await queues.raster.remove(`city.5@${STORE}`);
  expect(await datasetStatus({ queues, store, name: "city" })).toMatchObject({
    shards: 7,
    done: 2,
    waiting: 4,
    active: 0,
    delayed: 0,
    failed: 0,
    lost: 1,
    failures: [],
    etaSeconds: undefined,
  });
  await expect(datasetStatus({ queues, store, name: "atlantis" })).rejects.toThrow("atlantis");
});
