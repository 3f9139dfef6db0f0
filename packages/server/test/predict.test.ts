// Takes a quarter of a minute: places are drawn, described and learned from by the command line, as a user does it.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { countTags, requireImport } from "@loc2vec/gis";
import { openProbe, type SavedProbe, saveProbe } from "@loc2vec/probe";
import { beforeAll, expect, test } from "vitest";
import { farm } from "../../cli/test/farm.ts";
import { ask, get, LOCATIONS, serve, testWorld } from "./world.ts";

const world = testWorld("predict_test");
/** Spots of a grid over the map's middle, and the buildings within 100 m of each: labels that the map itself gives. */
let spots: { lon: number; lat: number; buildings: number }[];
let file: string;

beforeAll(async () => {
  const { bbox } = await requireImport(world.databaseUrl, world.profile);
  const [west, south, east, north] = bbox;
  const places = Array.from({ length: 144 }, (_, i) => ({
    lon: west + ((east - west) * (0.5 + (i % 12))) / 12,
    lat: south + ((north - south) * (0.5 + Math.floor(i / 12))) / 12,
  }));
  const { databaseUrl, profile } = world;
  const { tags, counts } = await countTags({ databaseUrl, profile, places, withinM: 100, most: 1000 });
  const columns = [...tags.keys()].filter((at) => /^buildings: /.test(tags[at] as string));
  spots = places.map((place, i) => ({
    ...place,
    buildings: columns.reduce((sum, at) => sum + (counts[i * tags.length + at] as number), 0),
  }));
  file = join(world.home, "spots.csv");
  const classOf = (buildings: number, i: number): string =>
    i < 3 ? "odd" : buildings > 5 ? "built up" : "open";
  const rows = spots.map(
    ({ lon, lat, buildings }, i) =>
      `${lon},${lat},${buildings},${classOf(buildings, i)},${i < 139 ? "same" : "other"}`,
  );
  await writeFile(file, ["lon,lat,buildings,look,side", ...rows].join("\n"));
});

const ground = ["--block", "400", "--border", "250", "--folds", "3", "--seeds", "1", "--most", "40"];
const probe = (...args: string[]) =>
  farm(["probe", "--labels", file, "--model", "pretrained", ...ground, ...args, "--json"], world.settings);

test("labels are told on other ground, beside rivals; a saved probe answers for any spot of the map", {
  timeout: 600_000,
}, async () => {
  const out = join(world.home, "page");
  const numbers = await probe("--column", "buildings", "--save", "buildings", "--out", out);
  expect(numbers.code, numbers.stderr).toBe(0);
  const { results } = numbers.json.judgement;
  const told = (name: string, role: string) =>
    results
      .find((one: { name: string; role: string }) => one.name === name && one.role === role)
      ?.curve.at(-1).scores;
  // Tags are what was counted; tiles show it; the mean of other ground does not know.
  expect(told("ours", "model").r2.mean).toBeGreaterThan(0.3);
  expect(told("tags within 100 m", "rival").r2.mean).toBeGreaterThan(0.3);
  expect(told("the mean", "naive").r2.mean).toBeLessThan(0.05);
  expect(results.map(({ role }: { role: string }) => role)).toEqual([
    ...["model", ...Array(5).fill("rival"), ...Array(5).fill("beside"), "naive"],
  ]);
  const page = await readFile(join(out, "index.html"), "utf8");
  expect(page).toContain("OpenStreetMap");
  expect(await readFile(join(out, "errors.svg"), "utf8")).toMatch(/<circle .*fill="#/);

  const classes = await probe("--column", "look", "--save", "look");
  expect(classes.code, classes.stderr).toBe(0);
  expect(classes.json.left_out).toMatchObject([{ name: "odd", rows: 3 }]);
  expect(Object.keys(classes.json.classes)).toEqual(["built up", "open"]);

  // A data set's locations are labelled by the nearest spot, and their tiles taken as they are.
  const own = ["--dataset", "city", "--within", "300", "--border", "100", "--most", "20"];
  const stored = await probe("--column", "buildings", ...own);
  expect(stored.code, stored.stderr).toBe(0);
  expect(stored.json.rows).toBeGreaterThan(LOCATIONS / 2);
  expect(stored.json.rows).toBeLessThanOrEqual(LOCATIONS);

  expect((await openProbe(world.store, "look"))?.score.name).toBe("balanced_accuracy");

  const { url } = await serve(world);
  const places = spots.slice(50, 90).map(({ lon, lat }) => ({ lon, lat }));
  const answer = await get(`${url}/v1/predict/buildings`, { body: { places } });
  expect(answer).toMatchObject({
    probe: "buildings",
    meaning: "buildings of spots.csv",
    score: { name: "r2" },
  });
  const values = answer.predictions.map(({ value }: { value: number }) => value);
  const many = spots.slice(50, 90).map(({ buildings }, i) => ({ buildings, value: values[i] as number }));
  many.sort((a, b) => a.buildings - b.buildings);
  const mean = (some: typeof many) => some.reduce((sum, { value }) => sum + value, 0) / some.length;
  expect(mean(many.slice(-10))).toBeGreaterThan(mean(many.slice(0, 10)) + 1);
  const look = await get(`${url}/v1/predict/look`, { body: places[0] });
  const [{ class: named, shares }] = look.predictions;
  expect(["built up", "open"]).toContain(named);
  expect(shares.open + shares["built up"]).toBeCloseTo(1, 6);

  expect((await ask(`${url}/v1/predict/nothing`, { body: places[0] })).json.error).toMatchObject({
    ...{ code: "probe-missing", field: "name", mend: "pnpm farm:probe --model pretrained --save nothing" },
  });
  const saved = (await openProbe(world.store, "look")) as SavedProbe;
  await saveProbe(world.store, { ...saved, name: "others", model: "city", weights_sha256: "0".repeat(64) });
  const others = await ask(`${url}/v1/predict/others`, { body: places[0] });
  expect([others.status, others.json.error.code]).toEqual([409, "probe-mismatch"]);
  const beyond = await ask(`${url}/v1/predict/look`, { body: { lon: 2.35, lat: 48.85 } });
  expect([beyond.status, beyond.json.error.code]).toEqual([422, "beyond-map"]);
  expect((await ask(`${url}/v1/predict/No%20Name`, { body: places[0] })).status).toBe(400);
});

test("what cannot be judged is refused before anything is drawn, with file, column and what mends it", {
  timeout: 300_000,
}, async () => {
  const refused = async (args: readonly string[], code: number, message: RegExp) => {
    const ended = await probe(...args);
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(code);
    expect(ended.stderr).not.toContain("are drawn");
  };
  await refused(["--column", "prize"], 3, /spots\.csv, row 1: no column "prize" among/);
  await refused(
    ["--column", "side"],
    3,
    /spots\.csv, column side: one class only, "same"; left out: other \(5 rows in/,
  );
  const beyond = join(world.home, "beyond.csv");
  await writeFile(beyond, `${await readFile(file, "utf8")}\n2.35,48.85,1,open,same`);
  await refused(
    ["--labels", beyond, "--column", "look"],
    3,
    /beyond\.csv: 1 of 145 labelled points lie beyond the map helsinki\.osm\.pbf .* first at lon 2\.35, lat 48\.85 .*--skip-bad 1/,
  );
  await refused(
    ["--column", "look", "--block", "90000"],
    3,
    /0 labelled places are too few, .* in 1 block\).*a smaller --block/,
  );
});
