import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { distanceM, METRES_PER_DEGREE, type Place } from "@loc2vec/core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { importPbf, loadProfile, openVenues, type Profile, readColumns, readVenues } from "../src/index.ts";
import { createDatabase, type TestDatabase } from "./database.ts";

const STYLE = fileURLToPath(new URL("../../../styles/loc2vec.yaml", import.meta.url));
const HELSINKI = fileURLToPath(new URL("../../../examples/helsinki.osm.pbf", import.meta.url));
const ORIGIN = { lon: 10, lat: 50 };
let [shore, city] = [] as unknown as [TestDatabase, TestDatabase];
let profile: Profile;
let folder: string;

const moved = (east: number, north: number): Place => ({
  lon: ORIGIN.lon + east / (METRES_PER_DEGREE * Math.cos((ORIGIN.lat * Math.PI) / 180)),
  lat: ORIGIN.lat + north / METRES_PER_DEGREE,
});

/** A beach of 400 × 100 m, north of it an office of state with an outline of 20 × 20 m, and a kiosk. */
function shoreMap(): string {
  const nodes: string[] = [];
  const node = (id: number, east: number, north: number, tags = ""): number => {
    const { lon, lat } = moved(east, north);
    nodes.push(`<node id="${id}" version="1" lon="${lon.toFixed(7)}" lat="${lat.toFixed(7)}">${tags}</node>`);
    return id;
  };
  const way = (id: number, corners: readonly (readonly [number, number])[], tags: string): string => {
    const ids = corners.map(([east, north], i) => node(100 * id + i, east, north));
    return `<way id="${id}" version="1">${[...ids, ids[0]].map((ref) => `<nd ref="${ref}"/>`).join("")}${tags}</way>`;
  };
  const tag = (key: string, value: string): string => `<tag k="${key}" v="${value}"/>`;
  const box = (w: number, s: number, e: number, n: number) =>
    [
      [w, s],
      [e, s],
      [e, n],
      [w, n],
    ] as const;
  const ways = [
    way(1, box(-200, -100, 200, 0), tag("natural", "beach")),
    way(
      2,
      box(40, 20, 60, 40),
      tag("building", "yes") + tag("office", "government") + tag("name", "Lifeguards"),
    ),
  ];
  node(7, -30, 30, tag("amenity", "cafe") + tag("name", "Kiosk"));
  return `<?xml version="1.0"?><osm version="0.6">${nodes.join("")}${ways.join("")}</osm>`;
}

beforeAll(async () => {
  profile = await loadProfile(STYLE);
  folder = await mkdtemp(join(tmpdir(), "gis-candidates-"));
  [shore, city] = await Promise.all([createDatabase("gis_shore"), createDatabase("gis_city")]);
  await writeFile(join(folder, "shore.osm"), shoreMap());
  await importPbf({ pbf: join(folder, "shore.osm"), databaseUrl: shore.databaseUrl, profile });
  await importPbf({ pbf: HELSINKI, databaseUrl: city.databaseUrl, profile });
}, 120_000);
afterAll(async () => {
  await Promise.all([shore?.drop(), city?.drop()]);
  await rm(folder, { recursive: true, force: true });
});

function open({ databaseUrl }: TestDatabase) {
  const venues = openVenues(databaseUrl, profile);
  onTestFinished(() => venues.close());
  return venues;
}

test("distances are those to outlines, on the ground; inside it is 0, and a large ground is found far from its middle", async () => {
  const venues = open(shore);
  const near = await venues.near(moved(190, 10), 200, 10);
  expect(near.map((one) => [one.class, one.name, Math.round(one.metres / 2) * 2])).toEqual([
    ["beach", undefined, 10],
    ["office", "Lifeguards", 130],
  ]);
  expect(near[0]?.areaM2).toBeGreaterThan(39_500);
  expect(near[0]?.areaM2).toBeLessThan(40_500);
  expect((await venues.near(moved(190, -50), 30, 10)).map((one) => [one.id, one.metres])).toEqual([
    ["way 1", 0],
  ]);
  const [kiosk] = await venues.near(moved(-30, 40), 15, 10);
  expect(kiosk).toMatchObject({ id: "node 7", class: "food", name: "Kiosk", areaM2: 0 });
  expect(kiosk?.metres).toBeCloseTo(10, 0);
  expect(await venues.near(moved(0, 3000), 100, 10)).toEqual([]);
});

test("visits are simulated within outlines, as the seed says", async () => {
  const all = await readVenues(shore.databaseUrl, profile, 1);
  expect(all.map((venue) => [venue.class, venue.id])).toEqual([
    ["beach", "way 1"],
    ["food", "node 7"],
    ["office", "way 2"],
  ]);
  const venues = open(shore);
  for (const venue of all) {
    const own = (await venues.near(venue, 5, 10)).find(({ id }) => id === venue.id);
    expect(own?.metres, venue.id).toBeLessThan(0.05);
  }
  expect(await readVenues(shore.databaseUrl, profile, 1)).toEqual(all);
  expect((await readVenues(shore.databaseUrl, profile, 2))[0]).not.toEqual(all[0]);
});

test("in a real city all venues around are found, the nearest first, and no others", async () => {
  const venues = open(city);
  const all = await readVenues(city.databaseUrl, profile, 1);
  expect(all.length).toBeGreaterThan(300);
  const place = { lon: 24.9414, lat: 60.1699 };
  const near = await venues.near(place, 150, 1000);
  const metres = near.map((one) => one.metres);
  expect(metres).toEqual([...metres].sort((a, b) => a - b));
  expect(Math.max(...metres)).toBeLessThanOrEqual(150);
  const found = new Set(near.map((one) => `${one.class} ${one.id}`));
  // A point of a venue that lies nearer is one of its outline's that does, too.
  const within = all.filter((venue) => distanceM(venue, place) < 149);
  expect(within.length).toBeGreaterThan(20);
  expect(within.filter((venue) => !found.has(`${venue.class} ${venue.id}`))).toEqual([]);
  expect(await venues.near(place, 150, 5)).toEqual(near.slice(0, 5));
});

test("several columns of a file, and what is wrong with them, by row", async () => {
  const path = join(folder, "fixes.csv");
  const read = async (text: string, columns: string[]) => {
    await writeFile(path, text);
    return readColumns(path, columns);
  };
  const [first, second] = await read("lon,lat,what,hour\n1,2,bar,7.5\n3,4,,x\n", ["what", "hour"]);
  expect(first).toMatchObject({
    lon: 1,
    lat: 2,
    where: "fixes.csv, row 2",
    cells: { what: "bar", hour: "7.5" },
  });
  expect(first?.number("hour")).toBe(7.5);
  expect(second?.cells.what).toBeUndefined();
  expect(() => second?.number("hour")).toThrow(/fixes\.csv, row 3: hour "x" is not a number/);
  await expect(read("lon,lat,what\n1,2,bar\n", ["when"])).rejects.toThrow(/no column "when" among/);
  await expect(read("lon,lat,what\n1,200,bar\n", ["what"])).rejects.toThrow(/row 2: .* not on the globe/);
  await expect(read("lon,lat,what\n", ["what"])).rejects.toThrow(/holds no row/);
});
