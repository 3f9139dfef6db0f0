// Takes a quarter of a minute: each command is a process that loads TensorFlow.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { randomOf } from "@loc2vec/core";
import type { Evaluation } from "@loc2vec/evaluation";
import { openStore } from "@loc2vec/shards";
import { train } from "@loc2vec/trainer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { farm } from "./farm.ts";

const LOCATIONS = 120;
const place = (i: number) => ({ lon: 10 + 0.01 * (i % 12), lat: 50 + 0.01 * Math.floor(i / 12) });
/** Ten kilometres of ground, where east and west are of different kinds, and what is said of them grows northwards. */
const kindOf = (i: number): string => (i % 12 < 6 ? "west" : "east");
const priceOf = (i: number): number => Math.round(50 * Math.exp(Math.floor(i / 12) / 4));

let folder: string;
let settings: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "evaluate-"));
  const url = pathToFileURL(join(folder, "store")).href;
  const store = openStore(url);
  settings = { FARM_HOME: folder, FARM_STORE: url };
  const dataset = { ...STRIPES, locations: LOCATIONS, shardLocations: 40 };
  await writeStripes(store, dataset, {
    place,
    draw(location, sample) {
      const random = randomOf(7, location, sample);
      const phase = random.int(32);
      return Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => {
        const [c, y, x] = [Math.floor(i / 1024), Math.floor(i / 32) % 32, i % 32];
        if (c === 2) return 20 * Math.floor(location / 12);
        return c === 0 && ((kindOf(location) === "east" ? x : y) + phase) % 6 < 2 ? 255 : 0;
      });
    },
  });
  const holdout = { share: 0.4, cellM: 1000, borderM: 0 };
  const network = { pooled: [8, 8], pointwise: [8], dense: 8, embedding: 8 };
  const recipe = { network, batch: { locations: 6, pairs: 3 }, minDistanceM: 0, holdout };
  for (const seed of [1, 2, 3])
    await train({ store, dataset: "stripes", model: `seed-${seed}`, steps: 5, ...recipe, seed });
  const rows = [...Array(LOCATIONS).keys()].map((i) => {
    const { lon, lat } = place(i);
    return `${lon},${lat + 0.0003},${kindOf(i)},${priceOf(i)},${i < 3 ? "tent" : "house"}`;
  });
  await writeFile(join(folder, "stays: 2025.csv"), ["lon,lat,side:of,price,kind", ...rows].join("\n"));
  const others = rows.slice(0, 30).map((row) => row.replace(/,house$/, ",hut"));
  await writeFile(join(folder, "others.csv"), ["lon,lat,side:of,price,kind", ...others].join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const evaluate = (...args: string[]) =>
  farm(["evaluate", "--dataset", "stripes", "--positives", "2", "--model", ...args], settings);
const file = (column: string): string => `${join(folder, "stays: 2025.csv")}:${column}`;

test("probes on labels of files, and models of several seeds, in JSON and in a table", {
  timeout: 120_000,
}, async () => {
  const labels = ["--labels", file("side:of"), file("price"), "--log-labels", "price", "--within", "50"];
  const out = join(folder, "out");
  const models = ["seed-1", "seed-2", "seed-3"];
  const { code, json, stderr } = await evaluate(...models, ...labels, "--out", out, "--json");
  expect(code, stderr).toBe(0);
  const found = json as Evaluation;
  expect(found.labels).toMatchObject([
    {
      name: "side:of",
      kind: "classes",
      meaning: "side:of of stays: 2025.csv, of the nearest point within 50 m",
      masked: [],
      classes: { east: expect.any(Number), west: expect.any(Number) },
      left_out: {},
    },
    {
      name: "price",
      kind: "numbers",
      meaning: "logarithm of price of stays: 2025.csv, of the nearest point within 50 m",
    },
  ]);
  const [pixels] = found.results.filter(({ name }) => name === "pixels, PCA-8");
  // The direction of stripes, and how bright the third channel is, are what pixels show.
  const of = (name: string, count: string) =>
    pixels?.probes?.[name]?.[count] as Record<string, number> | undefined;
  expect(of("price", "10")?.r2).toBeGreaterThan(0.5);
  expect(Object.keys(pixels?.probes?.["side:of"] ?? {})).toEqual(["10", String(found.labels[0]?.train)]);
  expect(found.groups).toMatchObject([{ models, seeds: [1, 2, 3], steps: [5, 5, 5], size: 8 }]);
  expect(found.bars[0]?.value).toBe(found.groups[0]?.mean.recall_at_10);
  expect(JSON.parse(await readFile(join(out, "evaluation.json"), "utf8"))).toMatchObject({
    groups: found.groups,
    labels: found.labels,
    bars: found.bars,
  });

  const { stdout } = await evaluate(...models, ...labels, "--out", out);
  const lines = stdout.split("\n");
  const percent = (value: number | undefined) => `${(100 * (value ?? Number.NaN)).toFixed(1)} %`;
  const head = lines.findIndex((line) => line.startsWith("3 seeds (seed-1, seed-2, seed-3): mean "));
  for (const [at, name] of (["mean", "deviation", "minimum", "maximum"] as const).entries())
    expect(lines[head + at]).toContain(` ${percent(found.groups[0]?.[name].recall_at_10)} `);
  const probe = lines.findIndex((line) => line.startsWith("probe side:of: "));
  expect(lines[probe]).toContain("2 classes, the most frequent ");
  expect(lines[probe + 1]).toMatch(/^ +10: right +balanced +\d+: right +balanced$/);
  expect(stdout).toMatch(/^probe price: .* to learn from, \d+ held out, \d\.\d+ ± \d\.\d+$/m);
  expect(stdout).toMatch(/^ +10: R² +error +\d+: R² +error$/m);
  expect(stdout).toMatch(
    /^(?:met {3}|MISSED) recall@10, 1\.15 × the bag of 64 words: 0\.\d+, bar \d\.\d+ \(by histograms, bag of 64 words; aim \d\.\d+\)$/m,
  );
});

test.each([
  [["lodging.csv"], 2, /--labels lodging\.csv: names no column \(mend: map, none, or FILE:COLUMN/],
  [["none", "map"], 2, /--labels none map: none stands alone/],
  [["map", "map"], 2, /--labels map: named twice/],
  [["gone.csv:price"], 3, /gone\.csv: no such file/],
] as const)("--labels %j is refused", async (labels, code, message) => {
  expect(await evaluate("seed-1", "--labels", ...labels)).toMatchObject({
    code,
    stderr: expect.stringMatching(message),
  });
});

test("labels that cannot be learned are refused before anything is computed, with file and column", async () => {
  const refused = async (args: readonly string[], code: number, message: RegExp) => {
    const { stderr, ...ended } = await evaluate("seed-1", "--labels", ...args);
    expect(ended.code, stderr).toBe(code);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("fitting baselines");
  };
  await refused(
    [file("prize")],
    3,
    /stays: 2025\.csv, row 1: no column "prize" among lon, lat, side:of, price, kind/,
  );
  // Of tents there are three: one class is left.
  await refused([file("kind")], 3, /column kind: one class only, "house", .*; rarer than 20: tent \(\d\)/);
  await refused(
    [file("kind"), "--within", "10"],
    3,
    /no labelled point lies within 10 m of a location; the nearest two are 33 m apart/,
  );
  await refused(
    [`${join(folder, "others.csv")}:price`],
    3,
    /others\.csv, column price: \d+ locations of data set stripes to learn from and \d+ to ask for/,
  );
  await refused([file("price"), "--log-labels", "cost"], 2, /--log-labels cost: --labels names price/);
  await refused(
    [file("side:of"), "--log-labels", "side:of"],
    3,
    /row 2: side:of "west" is not a number, and has no logarithm/,
  );
});
