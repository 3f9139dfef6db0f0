import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import {
  DATASET_VERSION,
  type Dataset,
  DEFAULT_AUGMENTATION,
  type Location,
  locationTransforms,
  OSM_ATTRIBUTION,
  randomOf,
} from "@loc2vec/core";
import { expect, inject, onTestFinished, test } from "vitest";
import {
  completeDataset,
  createDataset,
  inspectShard,
  openStore,
  type ShardFacts,
  shardKey,
  writeQuarantine,
  writeShard,
} from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL("interop.py", import.meta.url));
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const bytesOf = (values: Float32Array | Float64Array | Uint8Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

test("Python's zarr, tensorstore and xarray read the same values, labels and quarantine too, and find a flipped byte", async () => {
  const folder = await mkdtemp(join(tmpdir(), "interop-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const store = openStore(pathToFileURL(folder).href);
  const dataset: Dataset = {
    version: DATASET_VERSION,
    name: "city",
    seed: 3,
    locations: 5,
    samples: 3,
    shardLocations: 2,
    channels: Array.from({ length: 12 }, (_, i) => `channel${i}`),
    pixels: 128,
    radius: 100,
    augmentation: DEFAULT_AUGMENTATION,
    source: {
      map: { name: "city.osm.pbf", sha256: "2".repeat(64), importHash: "3".repeat(64) },
      renderer: "test 1",
      styleHash: "0".repeat(64),
    },
    attribution: OSM_ATTRIBUTION,
  };
  const locations: Location[] = Array.from({ length: 5 }, (_, i) => ({
    lon: i / 3,
    lat: -i / 7,
    kind: "transport",
    ...(i === 3 ? { label: "Café “Ö” 東京" } : {}),
  }));
  await createDataset(store, dataset, locations);
  const area = 128 * 128;
  const nhwc = new Uint8Array(5 * 3 * area * 12);
  for (let shard = 0; shard < 3; shard++) {
    const tiles: Uint8Array[] = [];
    for (let location = 2 * shard; location < Math.min(5, 2 * shard + 2); location++) {
      for (let sample = 0; sample < 3; sample++) {
        const random = randomOf(location, sample);
        const tile = new Uint8Array(12 * area);
        // Location 1 has an empty anchor; elsewhere a block of noise in some channels.
        if (!(location === 1 && sample === 0))
          for (let i = 0; i < 3 * area; i++) tile[(i + 5 * area) % tile.length] = random.int(256);
        for (let c = 0; c < 12; c++)
          for (let i = 0; i < area; i++)
            nhwc[((location * 3 + sample) * area + i) * 12 + c] = tile[c * area + i] as number;
        tiles.push(tile);
      }
    }
    await writeShard(store, dataset, shard, tiles);
  }
  // biome-ignore lint/suspicious/noExplicitAny: what Python prints is looked at field by field
  const read = async (): Promise<any> =>
    JSON.parse((await run(inject("python"), [SCRIPT, join(folder, "datasets/city")])).stdout);
  const unfinished = await read();
  expect(unfinished.consolidated).toBe(false);
  await writeQuarantine(store, dataset, 1, [{ location: 2, reason: "beyond the map" }]);
  const facts = await Promise.all([0, 1, 2].map((shard) => inspectShard(store, dataset, shard)));
  await completeDataset(store, dataset, facts as ShardFacts[]);
  const found = await read();
  expect(found).toMatchObject({
    consolidated: true,
    labels: [[3, "Café “Ö” 東京"]],
    quarantine: [[2, "beyond the map"]],
    dimensions: {
      ...{ location: 5, sample: 3, y: 128, x: 128, channel: 12, axis: 2, shard: 3 },
      ...{ label_byte: 28, digest_byte: 32, quarantine_byte: 21 },
    },
  });
  const { shard_bytes, shard_sha256, labels, quarantine, ...arrays } = found.arrays;
  expect(unfinished).toMatchObject({ labels: found.labels, arrays: { ...arrays, labels } });
  expect(shard_bytes.sha256).toBe(
    sha256(bytesOf(Float64Array.from(facts, (each) => each?.bytes ?? Number.NaN))),
  );
  expect(shard_sha256.sha256).toBe(
    sha256(Buffer.concat(facts.map((each) => Buffer.from(each?.sha256 ?? "", "hex")))),
  );
  expect(quarantine.dtype).toBe("uint8");
  expect(found.attributes.loc2vec).toEqual(dataset);
  const transforms = locations.flatMap((_, i) => locationTransforms(dataset, i));
  expect(arrays).toEqual({
    tiles: { shape: [5, 3, 128, 128, 12], dtype: "uint8", sha256: sha256(nhwc) },
    lon: {
      shape: [5],
      dtype: "float64",
      sha256: sha256(bytesOf(Float64Array.from(locations, ({ lon }) => lon))),
    },
    lat: {
      shape: [5],
      dtype: "float64",
      sha256: sha256(bytesOf(Float64Array.from(locations, ({ lat }) => lat))),
    },
    kind: { shape: [5], dtype: "uint8", sha256: sha256(Uint8Array.of(1, 1, 1, 1, 1)) },
    rotation: {
      shape: [5, 3],
      dtype: "float32",
      sha256: sha256(bytesOf(Float32Array.from(transforms, ({ rotation }) => rotation))),
    },
    offset: {
      shape: [5, 3, 2],
      dtype: "float32",
      sha256: sha256(bytesOf(Float32Array.from(transforms.flatMap(({ dx, dy }) => [dx, dy])))),
    },
  });

  const path = join(folder, shardKey("city", 1));
  const bytes = await readFile(path);
  bytes[1000] = (bytes[1000] as number) ^ 1;
  await writeFile(path, bytes);
  await expect(run(inject("python"), [SCRIPT, join(folder, "datasets/city")])).rejects.toThrowError(
    /checksum|CRC|crc/,
  );
});
