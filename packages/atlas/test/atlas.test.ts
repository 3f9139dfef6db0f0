// Takes some seconds: real trainings of a small network on small tiles, and its embeddings.

import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Dataset } from "@loc2vec/core";
import { parseProfile } from "@loc2vec/gis";
import { createDataset, type ObjectStore, openDataset, openStore, writeGroup } from "@loc2vec/shards";
import { embedDataset, train } from "@loc2vec/trainer";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { type Atlas, type AtlasOptions, composeRgb, writeAtlas } from "../src/index.ts";

const channel = (name: string, title: string, colour: string, z: number): string =>
  `  - { name: ${name}, title: ${title}, colour: ${colour}, z: ${z}, rules: [{ id: ${name}, geometry: point, match: { ${name}: "*" }, draw: { radius: 1, intensity: 9 } }] }`;
const PROFILE = parseProfile(
  `
name: test
version: 1
channels:
${channel("x", "Red", "[255, 0, 0]", 2)}
${channel("y", "Blue & wet", "[0, 0, 255]", 1)}
${channel("noise", "Noise", "[0, 255, 0]", 0)}
labels: { a: "*" }
`,
  "test.yaml",
);

/** A town of some kilometres, in rows of six. */
const gridOf =
  (lon: number, lat: number) =>
  (i: number): { lon: number; lat: number } => ({
    lon: ((lon + (i % 6) / 100 + 180) % 360) - 180,
    lat: lat + Math.floor(i / 6) / 200,
  });
const TOWN: Dataset = { ...STRIPES, name: "town", locations: 30 };
const VILLAGE: Dataset = { ...STRIPES, name: "village", seed: 2, locations: 24 };
const HAMLET: Dataset = { ...STRIPES, name: "hamlet", locations: 1, samples: 1 };
const TRAINED = {
  dataset: "town",
  seed: 3,
  network: JSON.parse(NETWORK),
  batch: { locations: 6, pairs: 2 },
  checkpointEvery: 4,
  minDistanceM: 0,
  holdout: { share: 0, cellM: 1000, borderM: 0 },
};

let home: string;
let store: ObjectStore;
/** Of the town, with all that there is. */
let full: Atlas;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "atlas-"));
  store = openStore(pathToFileURL(join(home, "store")).href);
  const modes = ["bridge", "ferry", "lift"];
  const place = gridOf(24.9, 60.1);
  // Enough of three modes, and a rare one.
  const town = (i: number) => ({ ...place(i), label: i === 29 ? "mule" : (modes[i % 3] as string) });
  await writeStripes(store, TOWN, { place: town });
  await writeStripes(store, VILLAGE, { place: gridOf(179.98, -10) });
  await writeStripes(store, HAMLET);
  await train({ store, model: "m", steps: 8, ...TRAINED, loss: "softpn" });
  await train({ store, model: "other", steps: 4, ...TRAINED, loss: "ratio" });
  for (const dataset of ["town", "village", "hamlet"]) await embedDataset({ store, dataset, model: "m" });
  full = await draw(EVERYTHING);
}, 60_000);
afterAll(() => rm(home, { recursive: true, force: true }));

const draw = (changes: Partial<AtlasOptions> = {}) =>
  writeAtlas({
    store,
    dataset: "town",
    model: "m",
    profile: PROFILE,
    folder: join(home, "atlas"),
    effort: "quick",
    ...changes,
  });

const EVERYTHING = { cities: ["village"], rivals: ["other"] };
/** Figures that need no model. */
const OF_TILES = ["locations", "augmentations", "channels", "triplets"];
/** Those of a model, in the order of the page. */
const OF_MODEL = [
  ...["lookalikes", "training", "filters", "pca", "tsne", "umap", "modes", "city", "cities", "walks"],
  ...["interpolation", "arithmetic", "neighbours", "regions", "numbers", "number-maps", "saliency"],
];

test("the page shows every picture, each figure with its words and the attribution; again gives the same bytes", async () => {
  const { index, pictures, figures, leftOut } = full;
  expect(leftOut).toEqual([]);
  expect(figures.slice(0, 4)).toEqual(OF_TILES);
  expect(figures.slice(4)).toEqual(OF_MODEL);
  const page = await readFile(index, "utf8");
  for (const number of ["4", "5", "6", "7", "9", "11", "15", "16", "17", "18", "19", "20", "21", "22"])
    expect(page).toContain(`Loc2Vec’s figure ${number}<`);
  expect(page).toContain("Loc2Vec’s figures 13 and 14<");
  const count = figures.length;
  expect(page.match(/<figure /g)).toHaveLength(count);
  expect(page.match(/<b>Look for:<\/b> \w/g)).toHaveLength(count);
  expect(page.match(/<b>How it was made:<\/b> \w/g)).toHaveLength(count);
  expect(page.match(/© OpenStreetMap contributors/g)).toHaveLength(count + 1);
  expect(page).toContain('href="https://www.openstreetmap.org/copyright"');
  expect(page).not.toMatch(/<script|src="http|\b(?:undefined|NaN)\b/);
  for (const id of figures) expect(page).toContain(`<a href="#${id}">`);
  // In the order of the page.
  const sources = [...page.matchAll(/src="([^"]+)"/g)].map((match) =>
    join(home, "atlas", match[1] as string),
  );
  expect(pictures).toEqual(sources);
  const read = () => Promise.all(pictures.map((path) => readFile(path)));
  const before = await read();
  await draw(EVERYTHING);
  expect(await read()).toEqual(before);
  expect((await readdir(home)).sort()).toEqual(["atlas", "store"]);
}, 60_000);

test("each picture says what it shows, needs nothing else, is small, and has no words below 12 px", async () => {
  const { index, pictures } = full;
  const page = await readFile(index, "utf8");
  for (const [tag] of page.matchAll(/<img[^>]*>/g))
    expect(tag).toMatch(/ alt="[^"]{10,}" width="\d+" height="\d+"/);
  for (const path of pictures) {
    expect((await stat(path)).size, path).toBeLessThanOrEqual(300_000);
    if (path.endsWith("-turn.webp")) expect((await sharp(path).metadata()).pages, path).toBe(30);
    if (!path.endsWith(".svg")) continue;
    const text = await readFile(path, "utf8");
    expect(text, path).toMatch(
      /^<svg [^>]*role="img"[^>]*>\n<title id="title">[^<]+<\/title><desc id="desc">[^<]{10,}<\/desc>/,
    );
    expect(text, path).toContain("@media(prefers-color-scheme:dark)");
    expect(text, path).not.toMatch(/\b(?:undefined|NaN|Infinity)\b/);
    expect(Number(/width="(\d+)"/.exec(text)?.[1]), path).toBeLessThanOrEqual(1100);
    for (const [tag] of text.matchAll(/<image [\s\S]*?<\/image>/g))
      expect(tag.replace(/base64,[^"]*/, ""), path).toMatch(
        /href="data:image\/(?:png|webp);.*<title>[^<]+<\/title>/,
      );
    for (const [, link] of text.matchAll(/href="([^"]{0,30})/g)) expect(link).toMatch(/^data:image\//);
    const sizes = [...text.matchAll(/font-size[:=]"?([\d.]+)/g)].map(([, size]) => Number(size));
    expect(Math.min(...sizes), path).toBeGreaterThanOrEqual(12);
    // No transform makes them smaller.
    expect(text, path).not.toMatch(/<text[^>]*transform|scale\(/);
  }
}, 60_000);

test("a README shows the same pictures in the same order, and says what draws them again", async () => {
  const { index, pictures } = full;
  const text = await readFile(join(dirname(index), "README.md"), "utf8");
  expect(
    [...text.matchAll(/<img src="([^"]+)" alt="[^"]{10,}" width="\d+">/g)].map(([, file]) => file),
  ).toEqual(pictures.map((path) => basename(path)));
  expect(text).toContain(
    "`pnpm farm:atlas --dataset town --model m --cities village --rivals other --quick --out FOLDER`",
  );
  // A heading, a sentence, and pictures.
  for (const part of text.split("\n## ").slice(1)) expect(part).toMatch(/^.+\n\n\S.*\.\n\n<img /);
  expect(text).toMatch(/Map data © OpenStreetMap contributors/);
}, 60_000);

test("an empty channel is marked as such", async () => {
  const empty = { ...STRIPES, name: "empty-channel", locations: 4 };
  await writeStripes(store, empty, { draw: () => new Uint8Array(3 * 32 * 32).fill(200, 0, 32 * 32) });
  const { pictures } = await draw({
    dataset: "empty-channel",
    model: undefined,
    folder: join(home, "marked"),
  });
  const path = pictures.find((each) => each.endsWith("channels.svg")) as string;
  expect((await readFile(path, "utf8")).match(/>nothing here</g)).toHaveLength(2);
  await rm(join(home, "marked"), { recursive: true });
});

test("without a model it shows the tiles alone", async () => {
  const { figures } = await draw({ model: undefined, folder: join(home, "tiles-only") });
  expect(figures).toEqual(OF_TILES);
  await rm(join(home, "tiles-only"), { recursive: true });
});

test("a figure that lacks something is left out, and the page says what", async () => {
  const { figures, leftOut, index } = await draw({ dataset: "hamlet", folder: join(home, "hamlet") });
  expect(figures).toContain("locations");
  const page = await readFile(index, "utf8");
  for (const [title, why] of [
    ["Rotated and shifted", /hamlet has no positives: .*--positives 20/],
    ["Triplets", /needs two locations and a positive: data set hamlet has 1 and 0/],
    ["Alike by histogram, apart by embedding", /no two of 1 rendered locations .*pnpm farm:work/],
    ["Nearest neighbours", /two rendered locations: data set hamlet has 1\./],
    ["The city by its embeddings", /needs 10 rendered locations: data set hamlet has 1\./],
    [
      "Ways of travelling",
      /hamlet does not say how one travels .*it has 0 modes of at least .*farm:enqueue --sample/,
    ],
    ["The space by t-SNE", /need 30 rendered locations: data set hamlet has 1\. pnpm farm:work/],
    ["Random walks", /need 12 rendered locations: data set hamlet has 1\./],
    ["From one place to another", /need 20 rendered locations/],
    ["Arithmetic", /need 20 rendered locations/],
    ["Regions of the space", /need 24 rendered locations/],
    ["What each number responds to", /need 20 rendered locations/],
    ["Other cities in the same colours", /A second city .* --cities/],
  ] as const) {
    expect(leftOut).toContainEqual(expect.objectContaining({ title, why: expect.stringMatching(why) }));
    expect(page).toContain(`<li><b>${title}</b>`);
  }
  await rm(join(home, "hamlet"), { recursive: true });
});

test("data sets and models that do not fit are named with what mends it, before anything is drawn", async () => {
  const lines: string[] = [];
  const refused = (changes: Partial<AtlasOptions>) =>
    expect(draw({ folder: join(home, "refused"), log: (line) => lines.push(line), ...changes })).rejects;
  await refused({ dataset: "none" }).toMatchObject({ code: "dataset-missing" });
  await refused({ model: "none" }).toMatchObject({ code: "model-missing" });
  await refused({ rivals: ["none"] }).toMatchObject({ code: "model-missing" });
  await refused({ cities: ["none"] }).toMatchObject({ code: "dataset-missing" });
  await refused({ model: "other" }).toMatchObject({
    code: "embeddings-missing",
    message: "model other has not embedded data set town",
    mend: "pnpm farm:embed --model other --dataset town",
  });
  await embedDataset({ store, dataset: "town", model: "other" });
  await refused({ model: "other", cities: ["village"] }).toMatchObject({
    code: "embeddings-missing",
    message: "model other has not embedded data set village",
  });
  await refused({ cities: ["town"] }).toMatchObject({
    code: "usage",
    message: "--cities names data set town, which is that of --dataset",
  });
  await refused({ cities: ["village", "village"] }).toThrowError(/village, which is named before/);
  await refused({ model: undefined, cities: ["village"] }).toThrowError(/--cities without --model/);
  await refused({ rivals: ["m"] }).toThrowError(/--rivals names model m, which is that of --model/);
  await refused({ rivals: ["pretrained"] }).toMatchObject({ code: "usage" });
  await refused({ model: "pretrained" }).toMatchObject({
    code: "cartography-mismatch",
    message: expect.stringMatching(
      /^model pretrained reads 12 channels \(motorways_trunk, .*\), data set town has 3 \(x, y, noise\)$/,
    ),
  });
  const channels = PROFILE.channels.slice(0, 1);
  await refused({ profile: { ...PROFILE, name: "narrow", channels } }).toMatchObject({
    code: "cartography-mismatch",
    message: "data set town has other channels than the profile narrow",
  });
  await createDataset(store, { ...TOWN, name: "early" }, Array(30).fill({ lon: 0, lat: 0, kind: "visit" }));
  await refused({ dataset: "early" }).toThrowError(/no shard is rendered yet/);
  expect(lines).toEqual([]);
  expect((await readdir(home)).sort()).toEqual(["atlas", "store"]);
});

test("embeddings of what had the name before, by weights that are gone, or by two checkpoints are refused", async () => {
  const prefix = "models/other/embeddings/town";
  const { identity } = await openDataset(store, "town");
  const made = { dataset_identity: identity, step: 4, weights_sha256: "0".repeat(64) };
  await writeGroup(store, prefix, { ...made, dataset_identity: { ...identity, seed: identity.seed + 1 } });
  await expect(draw({ model: "other" })).rejects.toMatchObject({
    code: "dataset-mismatch",
    message: expect.stringMatching(
      /other has embedded data set town \(seed 2, .*; what has that name now is data set town \(seed 1,/,
    ),
  });
  await writeGroup(store, prefix, made);
  await expect(draw({ model: "other" })).rejects.toMatchObject({
    code: "checkpoint-missing",
    mend: "pnpm farm:embed --model other --dataset town",
  });
  await writeGroup(store, prefix, { dataset_identity: identity });
  await expect(draw({ model: "other" })).rejects.toMatchObject({ code: "damaged" });
  await embedDataset({ store, dataset: "village", model: "other" });
  await writeGroup(store, prefix, { ...made, step: 3 });
  await expect(draw({ model: "other", cities: ["village"] })).rejects.toMatchObject({
    code: "dataset-mismatch",
    message: expect.stringMatching(/embedded town by its step 3 and village by its step 4/),
  });
});

test("a folder that holds something else is not replaced, and one that cannot be made is named", async () => {
  await mkdir(join(home, "mine"));
  await writeFile(join(home, "mine/letter.txt"), "dear");
  await expect(draw({ folder: join(home, "mine") })).rejects.toMatchObject({
    code: "usage",
    message: expect.stringMatching(/mine holds something that is not an atlas$/),
  });
  await writeFile(join(home, "file"), "");
  await expect(draw({ folder: join(home, "file/atlas") })).rejects.toMatchObject({
    code: "service",
    message: expect.stringMatching(/file\/atlas/),
  });
  expect((await readdir(home)).sort()).toEqual(["atlas", "file", "mine", "store"]);
});

test("stopped, it ends between two figures and leaves nothing behind", async () => {
  const stop = new AbortController();
  const log = (): void => stop.abort(new Error("enough"));
  const folder = join(home, "stopped");
  await expect(draw({ folder, signal: stop.signal, log })).rejects.toThrowError("enough");
  expect((await readdir(home)).filter((name) => name.startsWith("stopped"))).toEqual([]);
});

test("channels are painted in the order of z, as opaque as they are bright", () => {
  const area = 32 * 32;
  const tile = new Uint8Array(3 * area);
  tile.set([255, 0, 128, 255], 0);
  tile.set([0, 255, 255, 255], area);
  const { data } = composeRgb(tile, PROFILE);
  expect([...data.subarray(0, 12)]).toEqual([255, 0, 0, 0, 0, 255, 128, 0, 127, 255, 0, 0]);
  expect([...data.subarray(12, 15)]).toEqual([242, 239, 233]);
});
