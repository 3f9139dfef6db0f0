import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { DATASET_VERSION, type Dataset, DEFAULT_AUGMENTATION, OSM_ATTRIBUTION } from "@loc2vec/core";
import { parseProfile } from "@loc2vec/gis";
import {
  createDataset,
  type ObjectStore,
  openDataset,
  openStore,
  writeArray,
  writeGroup,
  writeShard,
} from "@loc2vec/shards";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { embeddingColours, place } from "../src/citymap.ts";
import { composeRgb, writeReport } from "../src/index.ts";

const PROFILE = parseProfile(
  `
name: test
version: 1
channels:
  - { name: red, title: Red, colour: [255, 0, 0], z: 2, rules: [{ id: r, geometry: point, match: { a: "*" }, draw: { radius: 1, intensity: 9 } }] }
  - { name: blue, title: Blue & wet, colour: [0, 0, 255], z: 1, rules: [{ id: b, geometry: point, match: { b: "*" }, draw: { radius: 1, intensity: 9 } }] }
labels: { a: "*" }
`,
  "test.yaml",
);
const AREA = 32 * 32;
const N = 30;
const DATASET: Dataset = {
  version: DATASET_VERSION,
  name: "town",
  seed: 1,
  locations: N,
  samples: 4,
  shardLocations: 10,
  channels: ["red", "blue"],
  pixels: 32,
  radius: 100,
  augmentation: DEFAULT_AUGMENTATION,
  source: {
    map: { name: "city.osm.pbf", sha256: "2".repeat(64), importHash: "3".repeat(64) },
    renderer: "test 1",
    styleHash: "abcdef0123456789",
  },
  attribution: OSM_ATTRIBUTION,
};

let home: string;
let store: ObjectStore;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "atlas-"));
  store = openStore(pathToFileURL(join(home, "store")).href);
  const locations = Array.from({ length: N }, (_, i) => ({
    lon: 24.9 + (i % 6) / 100,
    lat: 60.1 + Math.floor(i / 6) / 200,
    kind: "visit" as const,
  }));
  await createDataset(store, DATASET, locations);
  for (let shard = 0; shard < 3; shard++) {
    const tiles = Array.from({ length: 40 }, (_, i) =>
      new Uint8Array(2 * AREA).fill(20 * (i % 4) + shard, AREA * (i % 2), AREA * (i % 2) + 500),
    );
    await writeShard(store, DATASET, shard, tiles);
  }
  const lines = Array.from({ length: 50 }, (_, i) => JSON.stringify({ step: i + 1, loss: 0.25 - i / 500 }));
  for (const [name, part] of [
    ["history", lines.slice(0, 30)],
    ["history-000000031", lines.slice(30)],
  ] as const)
    await store.put(`models/m/${name}.ndjson`, new TextEncoder().encode(`${part.join("\n")}\n`));
  const data = Float32Array.from({ length: N * 16 }, (_, i) => Math.sin(i * i));
  const prefix = "models/m/embeddings/town";
  await writeArray(store, `${prefix}/embedding`, {
    shape: [N, 16],
    dtype: "float32",
    dimensionNames: ["location", "feature"],
    data,
  });
  const { identity } = await openDataset(store, "town");
  await writeGroup(store, prefix, { dataset_identity: identity });
});
afterAll(() => rm(home, { recursive: true, force: true }));

const report = (changes: Partial<Parameters<typeof writeReport>[0]> = {}) =>
  writeReport({
    store,
    dataset: "town",
    model: "m",
    profile: PROFILE,
    folder: join(home, "report"),
    ...changes,
  });

test("the page shows every picture, each figure with the attribution; again gives the same bytes", async () => {
  const { index, pictures } = await report();
  const page = await readFile(index, "utf8");
  for (const figure of [
    "figure 4",
    "figure 5",
    "figure 6",
    "figure 9",
    "Loss",
    "figure 18",
    "Nearest neighbours",
  ])
    expect(page).toContain(figure);
  expect(page.match(/© OpenStreetMap contributors/g)?.length).toBe(8);
  expect(page).toContain('href="https://www.openstreetmap.org/copyright"');
  expect(page).toContain("Blue &amp; wet");
  expect(page).not.toMatch(/<script|src="http/);
  const sources = [...page.matchAll(/src="([^"]+)"/g)].map((match) =>
    join(home, "report", match[1] as string),
  );
  // In the order of the page.
  expect(pictures).toEqual(sources);
  const before = new Map(
    await Promise.all(pictures.map(async (path) => [path, await readFile(path)] as const)),
  );
  for (const [path, bytes] of before)
    if (path.endsWith(".png")) expect((await sharp(bytes).metadata()).width).toBeGreaterThan(0);
  await report();
  for (const [path, bytes] of before) expect(await readFile(path)).toEqual(bytes);
  expect((await readdir(home)).sort()).toEqual(["report", "store"]);
});

test("embeddings of a data set that was made anew under its name since are refused", async () => {
  const prefix = "models/old/embeddings/town";
  await store.put("models/old/history.ndjson", new TextEncoder().encode('{"step":1,"loss":0.25}\n'));
  const { identity } = await openDataset(store, "town");
  await writeArray(store, `${prefix}/embedding`, {
    shape: [N, 16],
    dtype: "float32",
    dimensionNames: ["location", "feature"],
    data: new Float32Array(N * 16),
  });
  await writeGroup(store, prefix, { dataset_identity: { ...identity, seed: identity.seed + 1 } });
  const folder = join(home, "old");
  await expect(report({ model: "old", folder })).rejects.toMatchObject({ code: "dataset-mismatch" });
  await expect(report({ model: "old", folder })).rejects.toThrowError(
    new RegExp(
      `old has embedded data set town \\(seed ${identity.seed + 1}, .*; what has that name now is data set town \\(seed ${identity.seed},`,
    ),
  );
});

test("without a model it shows the tiles alone", async () => {
  const { pictures } = await writeReport({
    store,
    dataset: "town",
    profile: PROFILE,
    folder: join(home, "tiles-only"),
  });
  expect(pictures.some((path) => path.endsWith("city.png"))).toBe(false);
  await rm(join(home, "tiles-only"), { recursive: true });
});

test("what is missing, or in the way, is named, and nothing is left behind", async () => {
  await expect(report({ dataset: "none" })).rejects.toThrowError(/there is no data set none/);
  await expect(report({ model: "none" })).rejects.toThrowError(/there is no model none/);
  await expect(report({ dataset: "none" })).rejects.toMatchObject({ code: "dataset-missing" });
  await expect(report({ model: "none" })).rejects.toMatchObject({ code: "model-missing" });
  await store.put("models/early/history.ndjson", new TextEncoder().encode('{"step":1,"loss":0.25}\n'));
  await expect(report({ model: "early" })).rejects.toMatchObject({
    code: "embeddings-missing",
    message: "model early has not embedded data set town",
    mend: "pnpm farm:embed --model early --dataset town",
  });
  for (const line of ['{"step":1,"lo', '{"step":1}', "null"]) {
    await store.put("models/torn/history.ndjson", new TextEncoder().encode(`${line}\n`));
    await expect(report({ model: "torn" })).rejects.toMatchObject({
      code: "damaged",
      message: `models/torn/history.ndjson in ${store.url}: not a step's figures: ${line}`,
    });
  }
  const other = { ...PROFILE, name: "other", channels: PROFILE.channels.slice(0, 1) };
  await expect(report({ profile: other })).rejects.toMatchObject({
    code: "cartography-mismatch",
    message: "data set town has other channels than the profile other",
  });
  await createDataset(
    store,
    { ...DATASET, name: "empty" },
    Array.from({ length: N }, () => ({ lon: 0, lat: 0, kind: "visit" as const })),
  );
  await expect(report({ dataset: "empty" })).rejects.toThrowError(/no shard is rendered yet/);
  await mkdir(join(home, "mine"));
  await writeFile(join(home, "mine/letter.txt"), "dear");
  await expect(report({ folder: join(home, "mine") })).rejects.toThrowError(
    /holds something that is not a report/,
  );
  await writeFile(join(home, "file"), "");
  await expect(report({ folder: join(home, "file/report") })).rejects.toThrowError(/file\/report/);
  expect((await readdir(home)).sort()).toEqual(["file", "mine", "report", "store"]);
});

test("channels are painted in the order of z, as opaque as they are bright", () => {
  const tile = new Uint8Array(2 * AREA);
  tile.set([255, 0, 128, 255], 0);
  tile.set([0, 255, 255, 255], AREA);
  const { data } = composeRgb(tile, PROFILE);
  expect([...data.subarray(0, 12)]).toEqual([255, 0, 0, 0, 0, 255, 128, 0, 127, 255, 0, 0]);
  expect([...data.subarray(12, 15)]).toEqual([242, 239, 233]);
});

test("colours and places", () => {
  const { colours } = embeddingColours(
    Float32Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? i : 0)),
    4,
  );
  expect([colours[0], colours[3 * 99]].sort()).toEqual([0, 255]);
  const { width, height, points: placed } = place(Float64Array.of(24, 26), Float64Array.of(60, 61));
  expect(placed[0]?.x).toBeLessThan(placed[1]?.x as number);
  expect(placed[0]?.y).toBeGreaterThan(placed[1]?.y as number);
  // A degree of longitude is half as long as one of latitude there.
  expect((width - 28) / (height - 28)).toBeCloseTo(2 * Math.cos((60.5 * Math.PI) / 180), 1);
});
