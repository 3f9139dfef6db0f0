import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  type Location,
  locationTransforms,
  OSM_ATTRIBUTION,
  randomOf,
} from "@loc2vec/core";
import { FileSystemStore } from "@zarrita/storage";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as zarr from "zarrita";
import {
  completeDataset,
  createDataset,
  encodeShard,
  inspectShard,
  listShards,
  type ObjectStore,
  openDataset,
  openStore,
  readArray,
  type ShardFacts,
  shardKey,
  writeArray,
  writeQuarantine,
  writeShard,
} from "../src/index.ts";

let folder: string;
let store: ObjectStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "shards-"));
  store = openStore(pathToFileURL(folder).href);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

export const DATASET: Dataset = {
  version: DATASET_VERSION,
  name: "city",
  seed: 11,
  locations: 5,
  samples: 3,
  shardLocations: 2,
  channels: ["a", "b"],
  pixels: 16,
  radius: 100,
  augmentation: DEFAULT_AUGMENTATION,
  source: {
    map: { name: "city.osm.pbf", sha256: "2".repeat(64), importHash: "3".repeat(64) },
    renderer: "test 1",
    styleHash: "0".repeat(64),
  },
  attribution: OSM_ATTRIBUTION,
};
const BYTES = 2 * 16 * 16;
const LOCATIONS: Location[] = Array.from({ length: 5 }, (_, i) => ({
  lon: 24.9 + i / 7,
  lat: 60.1 - i / 9,
  kind: i % 2 === 0 ? "visit" : "transport",
  ...(i === 3 ? { label: "Café “Ö”" } : {}),
}));

/** Half noise, half zeros; sample 1 of each location is empty. */
function tile(location: number, sample: number): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  if (sample === 1) return bytes;
  const random = randomOf(location, sample);
  for (let i = 0; i < BYTES / 2; i++) bytes[i] = random.int(256);
  return bytes;
}

function* tilesOf(shard: number): Generator<Uint8Array> {
  for (let location = 2 * shard; location < Math.min(5, 2 * shard + 2); location++) {
    for (let sample = 0; sample < 3; sample++) yield tile(location, sample);
  }
}

async function writeAll(): Promise<void> {
  await createDataset(store, DATASET, LOCATIONS);
  for (let shard = 0; shard < 3; shard++) await writeShard(store, DATASET, shard, tilesOf(shard));
}

test("what is written comes back; the last shard is short, empty tiles take no space", async () => {
  await writeAll();
  const reader = await openDataset(store, "city");
  expect(reader.dataset).toEqual(DATASET);
  expect(await listShards(store, DATASET)).toEqual(new Set([0, 1, 2]));
  for (const whole of [true, false]) {
    for (let location = 0; location < 5; location++) {
      const shard = await reader.openShard(Math.floor(location / 2), { whole });
      for (let sample = 0; sample < 3; sample++) {
        expect(await shard?.tile(location, sample)).toEqual(tile(location, sample));
        expect(shard?.isEmpty(location, sample)).toBe(sample === 1);
      }
    }
  }
  expect(await inspectShard(store, DATASET, 2)).toMatchObject({ tiles: 3, empty: 1 });
  expect(await inspectShard(store, { ...DATASET, name: "other" }, 2)).toBeUndefined();
  const { lon, lat, kind } = await reader.locations(1, 4);
  expect([...lon]).toEqual(LOCATIONS.slice(1, 4).map((location) => location.lon));
  expect([...lat]).toEqual(LOCATIONS.slice(1, 4).map((location) => location.lat));
  expect([...kind]).toEqual([1, 0, 1]);
  expect(await reader.labels()).toEqual(new Map([[3, "Café “Ö”"]]));
  const rotation = await readArray(store, "datasets/city/rotation", "float32");
  const offset = await readArray(store, "datasets/city/offset", "float32");
  const transforms = LOCATIONS.flatMap((_, i) => locationTransforms(DATASET, i));
  expect([...(rotation?.data ?? [])]).toEqual(transforms.map((transform) => transform.rotation));
  expect([...(offset?.data ?? [])]).toEqual(transforms.flatMap(({ dx, dy }) => [dx, dy]));
});

test("the same tiles give the same bytes, as an iterable or one by one", async () => {
  const { bytes } = await encodeShard(DATASET, 1, tilesOf(1));
  const again = await encodeShard(
    DATASET,
    1,
    (async function* () {
      yield* tilesOf(1);
    })(),
  );
  expect(again.bytes).toEqual(bytes);
  expect(again).toMatchObject({ tiles: 6, empty: 2 });
  await expect(encodeShard(DATASET, 1, [tile(2, 0)])).rejects.toThrowError(/shard 1: 1 tiles, not 6/);
  await expect(encodeShard(DATASET, 1, [new Uint8Array(3)])).rejects.toThrowError(
    /a tile of 3 bytes, not 512/,
  );
});

test("any flipped byte, and any cut, is found and named", async () => {
  await writeAll();
  const path = join(folder, shardKey("city", 1));
  const whole = await readFile(path);
  for (let at = 0; at < whole.length; at += 13) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] as number) ^ 0x10;
    await writeFile(path, damaged);
    await expect(inspectShard(store, DATASET, 1)).rejects.toThrowError(
      /datasets\/city\/tiles\/c\/1\/0\/0\/0\/0 in file:.*: (tile of location [23], sample [02]|the index of the shard is damaged)/,
    );
  }
  for (const length of [0, 50, whole.length - 1]) {
    await writeFile(path, whole.subarray(0, length));
    await expect(inspectShard(store, DATASET, 1)).rejects.toThrowError(/tiles\/c\/1\//);
  }
});

test("creating again changes nothing; another data set of that name is refused, and names what differs", async () => {
  await createDataset(store, DATASET, LOCATIONS);
  await createDataset(store, DATASET, LOCATIONS);
  await expect(createDataset(store, { ...DATASET, seed: 12 }, LOCATIONS)).rejects.toThrowError(/seed/);
  const moved = LOCATIONS.map((location, i) => (i === 4 ? { ...location, lon: 1 } : location));
  await expect(createDataset(store, DATASET, moved)).rejects.toThrowError(/locations/);
});

test("a creation that breaks off leaves nothing in the way of the next", async () => {
  async function* broken(): AsyncGenerator<Location> {
    yield* LOCATIONS.slice(0, 3);
    throw new Error("power cut");
  }
  await expect(createDataset(store, DATASET, broken())).rejects.toThrowError("power cut");
  await expect(openDataset(store, "city")).rejects.toThrowError(/there is no data set city/);
  await expect(createDataset(store, DATASET, LOCATIONS.slice(0, 4))).rejects.toThrowError(
    /4 locations, not 5/,
  );
  await expect(createDataset(store, DATASET, [...LOCATIONS, ...LOCATIONS])).rejects.toThrowError(
    /more than 5 locations/,
  );
  await createDataset(store, DATASET, LOCATIONS);
  expect((await openDataset(store, "city")).dataset).toEqual(DATASET);
});

test("zarrita reads every array, tiles included", async () => {
  await writeAll();
  const root = zarr.root(new FileSystemStore(join(folder, "datasets/city")));
  const group = await zarr.open.v3(root, { kind: "group" });
  expect(group.attrs.loc2vec).toEqual(DATASET);
  const tiles = await zarr.open.v3(root.resolve("tiles"), { kind: "array" });
  expect(tiles.shape).toEqual([5, 3, 16, 16, 2]);
  const view = await zarr.get(tiles as zarr.Array<"uint8", FileSystemStore>, [3, 2, null, null, null]);
  expect(view.shape).toEqual([16, 16, 2]);
  // Logical NHWC: [y, x, channel].
  const expected = tile(3, 2);
  const value = (y: number, x: number, c: number): number =>
    view.data[
      y * (view.stride[0] as number) + x * (view.stride[1] as number) + c * (view.stride[2] as number)
    ] as number;
  for (let y = 0; y < 16; y++)
    for (let x = 0; x < 16; x++)
      for (let c = 0; c < 2; c++) expect(value(y, x, c)).toBe(expected[c * 256 + y * 16 + x]);
  await writeQuarantine(store, DATASET, 0, [{ location: 1, reason: "beyond the map" }]);
  const facts = await Promise.all([0, 1, 2].map((shard) => inspectShard(store, DATASET, shard)));
  await completeDataset(store, DATASET, facts as ShardFacts[]);
  for (const [name, text] of [
    ["labels", '[3,"Café “Ö”"]\n'],
    ["quarantine", '[1,"beyond the map"]\n'],
  ] as const) {
    const bytes = await zarr.get(await zarr.open.v3(root.resolve(name), { kind: "array" }));
    expect(new TextDecoder().decode(bytes.data as Uint8Array)).toBe(text);
  }
  for (const [name, shape] of [
    ["shard_bytes", [3]],
    ["shard_sha256", [3, 32]],
    ["lon", [5]],
    ["lat", [5]],
    ["kind", [5]],
    ["rotation", [5, 3]],
    ["offset", [5, 3, 2]],
  ] as const) {
    const array = await zarr.open.v3(root.resolve(name), { kind: "array" });
    expect(array.shape).toEqual(shape);
    await zarr.get(array);
  }
});

test("small arrays: several chunks, rows of the middle, damage", async () => {
  const data = Float32Array.from({ length: 70 }, (_, i) => i / 3);
  await writeArray(store, "some/array", {
    shape: [10, 7],
    dtype: "float32",
    chunkRows: 4,
    dimensionNames: ["row", "column"],
    data,
  });
  expect((await readArray(store, "some/array", "float32"))?.data).toEqual(data);
  await expect(readArray(store, "some/array", "uint8")).rejects.toThrowError(/holds float32, not uint8/);
  expect(await readArray(store, "some/other", "uint8")).toBeUndefined();
  const chunk = join(folder, "some/array/c/1/0");
  const bytes = await readFile(chunk);
  bytes[5] = (bytes[5] as number) ^ 1;
  await writeFile(chunk, bytes);
  await expect(readArray(store, "some/array", "float32")).rejects.toThrowError(
    /some\/array\/c\/1\/0 in file:.*damaged/,
  );
});

test("a store of files: whole objects or none, and no way out of its folder", async () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5);
  expect(await store.put("a/b", bytes)).toBe(true);
  expect(await store.put("a/b", Uint8Array.of(9), { ifAbsent: true })).toBe(false);
  expect(await store.get("a/b")).toEqual(bytes);
  expect(await store.getRange("a/b", { offset: 1, length: 2 })).toEqual(Uint8Array.of(2, 3));
  expect(await store.getRange("a/b", { suffix: 2 })).toEqual(Uint8Array.of(4, 5));
  expect(await store.head("a/b")).toEqual({ size: 5 });
  expect([
    await store.get("a/c"),
    await store.getRange("a/c", { suffix: 1 }),
    await store.head("a/c"),
  ]).toEqual([undefined, undefined, undefined]);
  const winners = await Promise.all(
    [1, 2, 3, 4].map((value) => store.put("race", Uint8Array.of(value), { ifAbsent: true })),
  );
  expect(winners.filter(Boolean)).toHaveLength(1);
  const keys: string[] = [];
  for await (const key of store.list("")) keys.push(key);
  expect(keys.sort()).toEqual(["a/b", "race"]);
  await store.remove("a/b");
  await store.remove("a/b");
  expect(await store.get("a/b")).toBeUndefined();
  for (const key of ["../out", "a//b", "/a", "a/./b", ""])
    await expect(store.get(key)).rejects.toThrowError(/key/);
  expect((await readdir(folder)).filter((name) => !["a", ".tmp"].includes(name))).toEqual(["race"]);
  expect(await readdir(join(folder, ".tmp"))).toEqual([]);
  await writeFile(join(folder, "file"), "");
  await expect(
    openStore(pathToFileURL(join(folder, "file/deeper")).href).put("a", bytes),
  ).rejects.toThrowError(/file\/deeper/);
});

test.runIf(process.getuid?.() === 0)(
  "a disk that is full: an error that says so, no half object, and it goes on when there is room",
  async ({ skip }) => {
    const small = join(folder, "small");
    await mkdir(small);
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small]).status !== 0)
      skip("mounting is not allowed here");
    try {
      const full = openStore(pathToFileURL(small).href);
      await full.put("a", new Uint8Array(1000));
      await expect(full.put("b", new Uint8Array(200_000))).rejects.toMatchObject({
        kind: "service",
        line: expect.stringMatching(/small\/b: no space left on the disk \(ENOSPC\) \(mend: free some space/),
      });
      expect(await full.get("b")).toBeUndefined();
      expect(await readdir(join(small, ".tmp"))).toEqual([]);
      spawnSync("mount", ["-o", "remount,size=1m", small]);
      await full.put("b", new Uint8Array(200_000));
      spawnSync("mount", ["-o", "remount,ro", small]);
      await expect(full.put("c", new Uint8Array(1))).rejects.toThrowError(
        /small\/c: the file system is read-only \(EROFS\)/,
      );
    } finally {
      spawnSync("umount", ["-l", small]);
    }
  },
);
