// Takes a quarter of a minute: each command is a process that draws and embeds tiles.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureDatabase, loadProfile, readVenues, type Venue } from "@loc2vec/gis";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { STYLE } from "../../rasterizer/test/helpers.ts";
import { farm } from "./farm.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
  }
}

const MAP = new URL("../../../examples/helsinki.osm.pbf", import.meta.url).pathname;
let folder: string;
let settings: Record<string, string>;
let restaurants: Venue[];
let visited: Venue[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "venues-"));
  const databaseUrl = await ensureDatabase(inject("databaseUrl"), "cli_venues");
  settings = {
    FARM_HOME: folder,
    FARM_STORE: `file://${join(folder, "store")}`,
    FARM_DATABASE_URL: databaseUrl,
  };
  const { code, stderr } = await farm(["import", MAP], settings);
  if (code !== 0) throw new Error(stderr);
  const all = await readVenues(databaseUrl, await loadProfile(STYLE), 1);
  const of = (name: string): Venue[] => all.filter((venue) => venue.class === name);
  restaurants = of("food");
  // Nobody goes to offices or shops here: food is what is visited, parks now and then.
  visited = [...restaurants.slice(0, 50), ...of("park").slice(0, 10)];
  await file(
    "visits.csv",
    visited.map((venue, i) => `${venue.lon},${venue.lat},${venue.class},25,${i % 24}`),
  );
  await file(
    "fixes.csv",
    restaurants.slice(60, 66).map(({ lon, lat }) => `${lon},${lat},,40,`),
  );
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, rows: readonly string[]): Promise<string> {
  await writeFile(join(folder, name), ["lon,lat,class,accuracy,hour", ...rows].join("\n"));
  return join(folder, name);
}
const path = (name: string): string => join(folder, name);
const venues = (...args: string[]) => farm(["venues", ...args], settings);

test("a prior is learnt, kept, and weighs the venues around each fix", { timeout: 180_000 }, async () => {
  const of = ["--accuracy", "accuracy", "--hour", "hour", "--fixes", path("fixes.csv")];
  const learn = ["--visits", `${path("visits.csv")}:class`, "--save", path("prior.json")];
  const learnt = await venues(...of, ...learn, "--picture", path("picture.svg"), "--top", "4", "--json");
  expect(learnt.code, learnt.stderr).toBe(0);
  expect(learnt.json.prior).toEqual({
    model: "pretrained",
    visits: visited.length,
    hidden: ["amenities_shops"],
  });
  expect(learnt.json.fixes).toHaveLength(6);
  for (const [i, { venues: found, ...fix }] of learnt.json.fixes.entries()) {
    expect(fix).toMatchObject({
      lon: restaurants[60 + i]?.lon,
      accuracy_m: 40,
      candidates: expect.any(Number),
    });
    expect(found).toHaveLength(4);
    const food = found.filter((one: { class: string }) => one.class === "food");
    expect(food.length).toBeGreaterThan(0);
    for (const one of food) expect(one.probability).toBeGreaterThan(one.by_distance);
  }
  const picture = await readFile(path("picture.svg"), "utf8");
  expect(picture).toContain("© OpenStreetMap contributors");
  expect(picture.match(/<circle/g)?.length).toBeGreaterThan(10);
  const again = await venues(...of, "--prior", path("prior.json"), "--top", "4", "--json");
  expect(again.json.fixes).toEqual(learnt.json.fixes);
});

test("what cannot be used is named, with file, row and column", { timeout: 300_000 }, async () => {
  const fixes = path("fixes.csv");
  const rows = restaurants.slice(0, 30).map(({ lon, lat }) => `${lon},${lat},food,9,`);
  const [only, few] = [await file("only.csv", rows), await file("few.csv", rows.slice(0, 5))];
  const beyond = await file("beyond.csv", ["2.35,48.85,,9,"]);
  const late = await file("late.csv", ["24.94,60.17,,9,25"]);
  const cases: [string[], number, RegExp][] = [
    [[], 2, /neither --fixes nor --save is given/],
    [["--fixes", fixes, "--accuracy", "precision"], 3, /fixes\.csv.*no column "precision"/],
    [["--fixes", late, "--hour", "hour"], 3, /late\.csv, row 2: hour 25 is not from 0/],
    [["--fixes", beyond], 3, /lon 2\.35, lat 48\.85 lies beyond the map helsinki\.osm\.pbf/],
    [["--fixes", fixes, "--visits", `${only}:class`], 3, /all 30 visits are of one class, "food"/],
    [["--fixes", fixes, "--visits", `${few}:class`], 3, /5 of 5 visits .* where 20 are needed/],
    [["--fixes", fixes, "--prior", fixes], 3, /is no prior of venues/],
  ];
  for (const [args, exit, words] of cases) {
    const { code, stderr } = await venues(...args);
    expect([code, stderr]).toEqual([exit, expect.stringMatching(words)]);
  }
});
