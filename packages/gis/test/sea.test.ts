import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withCancel } from "@loc2vec/postgres";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mapAreas } from "../src/areas.ts";
import { importPbf, loadProfile, type Profile, readImportInfo } from "../src/index.ts";
import { assembleSea } from "../src/sea.ts";
import { createDatabase, type TestDatabase } from "./database.ts";

const STYLE = fileURLToPath(new URL("../../../styles/loc2vec.yaml", import.meta.url));

let profile: Profile;
let database: TestDatabase;
let client: pg.Client;
let folder: string;
let sea: number;
let coast: number;

beforeAll(async () => {
  database = await createDatabase("sea");
  profile = await loadProfile(STYLE);
  const rules = profile.channels.flatMap((channel) => channel.rules);
  const index = (id: string): number => rules.find((rule) => rule.id === id)?.index ?? Number.NaN;
  [sea, coast] = [index("sea"), index("coastline")];
  folder = await mkdtemp(join(tmpdir(), "gis-sea-"));
  client = new pg.Client({ connectionString: database.databaseUrl });
  await client.connect();
  await client.query("CREATE EXTENSION postgis");
});
afterAll(async () => {
  await client?.end();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

describe("of archipelagos", () => {
  beforeEach(async () => {
    await client.query("DROP SCHEMA IF EXISTS sea_test CASCADE; CREATE SCHEMA sea_test");
    await client.query(
      "CREATE TABLE sea_test.feature (osm_type char, osm_id bigint, rule smallint, geom geometry(geometry, 3857))",
    );
  });

  /** Draws a square of so many round islands of 32 points and 500 m, and a hut at two of its corners. */
  async function draw(islands: number): Promise<void> {
    await client.query("TRUNCATE sea_test.feature");
    await client.query(
      `INSERT INTO sea_test.feature
       SELECT 'W', n, $2, ST_ForcePolygonCCW(ST_Buffer(ST_Point(2000 * (n % side), 2000 * (n / side), 3857), 500))
       FROM generate_series(0, $1 - 1) AS n, LATERAL (SELECT ceil(sqrt($1))::int AS side) AS square`,
      [islands, coast],
    );
    await client.query("UPDATE sea_test.feature SET geom = ST_ExteriorRing(geom)");
    await client.query(
      `INSERT INTO sea_test.feature SELECT 'W', -1, -1, ST_Expand(ST_SetSRID(ST_Extent(geom)::geometry, 3857), 1000)
       FROM sea_test.feature`,
    );
    await client.query("DROP TABLE IF EXISTS sea_test.area");
    await mapAreas(client, "sea_test", []);
  }
  /** Seconds; the best of three, for others work on this machine too. */
  async function secondsOf(islands: number): Promise<number> {
    let best = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < 3; turn++) {
      await draw(islands);
      const begin = performance.now();
      await assembleSea(client, "sea_test", profile);
      best = Math.min(best, performance.now() - begin);
    }
    return best / 1000;
  }

  test("is all but the islands, in pieces", async () => {
    await draw(100);
    await assembleSea(client, "sea_test", profile);
    const { rows } = await client.query(
      `SELECT max(ST_NPoints(geom)) AS points, count(*)::int AS pieces, ST_Area(ST_Union(geom)) AS area
       FROM sea_test.feature WHERE rule = $1`,
      [sea],
    );
    // 32 points of a circle of 500 m: 16 r² sin(2π / 32).
    const island = 16 * 500 ** 2 * Math.sin((2 * Math.PI) / 32);
    expect(rows[0].area).toBeCloseTo(21_000 ** 2 - 100 * island, -1);
    expect(rows[0].points).toBeLessThanOrEqual(1000);
    expect(rows[0].pieces).toBeGreaterThan(1);
  });

  // Sorting would take 11 times the time; to ask every face of every point, 64 times.
  test("takes n·log n: eight times the islands take less than 24 times the time", {
    timeout: 180_000,
  }, async () => {
    const [few, many] = [await secondsOf(100), await secondsOf(800)];
    expect(many / few).toBeLessThan(24);
  });
});

/** Writes and imports a map; resolves to its bbox. */
async function load(name: string, text: string): Promise<readonly number[]> {
  const path = join(folder, name);
  await writeFile(path, `<osm version="0.6">${text}</osm>`);
  const { databaseUrl } = database;
  return (await importPbf({ pbf: path, databaseUrl, profile, force: true })).bbox;
}

/** Whether there is sea at a place. */
async function isSea(lon: number, lat: number): Promise<boolean> {
  const rows = await database.query(
    `SELECT 1 FROM farm.feature WHERE rule = ${sea} AND ST_Intersects(geom, ST_Transform(ST_Point(${lon}, ${lat}, 4326), 3857))`,
  );
  return rows.length > 0;
}

/** Nodes at places (degrees), and a way along them. */
let ids = 0;
function way(places: readonly (readonly [lon: number, lat: number])[], key: string, value: string): string {
  const refs = places.map(() => ++ids);
  const nodes = places.map(
    ([lon, lat], i) => `<node id="${refs[i]}" version="1" lon="${lon}" lat="${lat}"/>`,
  );
  const closed = places.length > 2 && places[0] === places.at(-1);
  if (closed) nodes.pop();
  const along = (closed ? [...refs.slice(0, -1), refs[0]] : refs).map((ref) => `<nd ref="${ref}"/>`);
  return `${nodes.join("")}<way id="${++ids}" version="1">${along.join("")}<tag k="${key}" v="${value}"/></way>`;
}
/** A closed coastline, land within, and a wall far around it: the map's border. */
function island(lon: number, lat: number): string {
  const at = (x: number, y: number) => [lon + x, lat + y] as const;
  const start = at(-0.01, -0.01);
  return (
    way([start, at(0.01, -0.01), at(0.01, 0.01), at(-0.01, 0.01), start], "natural", "coastline") +
    way([at(-0.03, -0.03), at(0.03, 0.03)], "barrier", "wall")
  );
}

describe("where no map is, is no sea", () => {
  test("maps that lie far apart in one file have a sea each", async () => {
    const bbox = await load("apart.osm", island(10, 50) + island(12, 50) + island(12, 57));
    for (const [lon, lat] of [
      [10, 50],
      [12, 50],
      [12, 57],
    ] as const) {
      expect(await isSea(lon, lat), "on the island").toBe(false);
      expect(await isSea(lon + 0.02, lat), "beside it").toBe(true);
    }
    for (const [lon, lat] of [
      [11, 50],
      [10.02, 57],
      [12, 53],
      [10.5, 50],
    ] as const)
      expect(await isSea(lon, lat)).toBe(false);
    expect(bbox.map((degrees) => Number(degrees.toFixed(3)))).toEqual([9.97, 49.97, 12.03, 57.03]);
  });

  test("around the antimeridian; the box reaches over it", async () => {
    const start = [179.99, -16.85] as const;
    const far =
      way(
        [
          [179.9, -16.95],
          [180, -16.75],
        ],
        "barrier",
        "wall",
      ) +
      way(
        [
          [-180, -16.95],
          [-179.9, -16.75],
        ],
        "barrier",
        "wall",
      );
    const coastlines =
      way([[180, -16.84], [179.99, -16.84], start, [180, -16.85]], "natural", "coastline") +
      way(
        [
          [-180, -16.85],
          [-179.98, -16.85],
          [-179.98, -16.84],
          [-180, -16.84],
        ],
        "natural",
        "coastline",
      );
    const bbox = await load("antimeridian.osm", far + coastlines);
    expect(bbox.map((degrees) => Number(degrees.toFixed(3)))).toEqual([179.9, -16.95, -179.9, -16.75]);
    for (const lon of [0, 30, 170, -170, 179.8, -179.8])
      expect(await isSea(lon, -16.84), `at ${lon}`).toBe(false);
    expect(await isSea(179.95, -16.84), "to the west of the island").toBe(true);
    expect(await isSea(-179.95, -16.84), "to its east").toBe(true);
    expect(await isSea(179.995, -16.845), "on it").toBe(false);
    expect(await isSea(-179.99, -16.845), "on it").toBe(false);
  });

  test("ways and areas over the antimeridian are cut there", async () => {
    const corner = [179.96, -16.85] as const;
    await load(
      "over.osm",
      way(
        [
          [179.97, -16.85],
          [-179.97, -16.85],
        ],
        "highway",
        "residential",
      ) +
        way([corner, [-179.96, -16.85], [-179.96, -16.84], [179.96, -16.84], corner], "leisure", "park") +
        way(
          [
            [-170, 0],
            [170, 0],
          ],
          "highway",
          "primary",
        ),
    );
    const rows = await database.query(
      `SELECT GeometryType(geom) || ' ' || round(ST_XMin(box)::numeric, 2) || ' ' || round(ST_XMax(box)::numeric, 2) AS part
       FROM (SELECT geom, ST_Transform(ST_Envelope(geom), 4326) AS box FROM farm.feature) AS boxes ORDER BY 1`,
    );
    expect(rows.map((row) => row.part)).toEqual([
      "LINESTRING -180.00 -170.00",
      "LINESTRING -180.00 -179.97",
      "LINESTRING 170.00 180.00",
      "LINESTRING 179.97 180.00",
      "POLYGON -180.00 -179.96",
      "POLYGON 179.96 180.00",
    ]);
    const [label] = await database.query(
      "SELECT round(abs(ST_X(ST_Transform(geom, 4326)))::numeric, 2)::text AS lon FROM farm.label",
    );
    expect(label?.lon).toBe("179.98");
    expect((await readImportInfo(database.databaseUrl))?.bbox.map((degrees) => Math.round(degrees))).toEqual([
      170, -17, -170, 0,
    ]);
  });

  test("a map of the whole world has the box of the world", async () => {
    const lines = Array.from({ length: 36 }, (_, i) =>
      way(
        [
          [10 * i - 180, 10],
          [10 * i - 170, 20],
        ],
        "highway",
        "primary",
      ),
    );
    const bbox = await load("world.osm", lines.join(""));
    expect(bbox.map((degrees) => Math.round(degrees))).toEqual([-180, 10, 180, 20]);
  });
});

describe("Ctrl-C", () => {
  test("reaches a query that runs, and the connection goes on", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 200);
    const begin = performance.now();
    const slept = withCancel(client, stop.signal, "import of x", () => client.query("SELECT pg_sleep(50)"));
    await expect(slept).rejects.toMatchObject({ kind: "interrupted", message: "import of x stopped" });
    expect(performance.now() - begin).toBeLessThan(10_000);
    expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("while the sea is assembled: the former import stays", async () => {
    await load("town.osm", island(10, 50));
    const places = Array.from({ length: 400 }, (_, i) =>
      island(10 + 0.1 * (i % 20), 50 + 0.1 * Math.floor(i / 20)),
    );
    const path = join(folder, "archipelago.osm");
    await writeFile(path, `<osm version="0.6">${places.join("")}</osm>`);
    const stop = new AbortController();
    const { databaseUrl } = database;
    const loaded = importPbf({ pbf: path, databaseUrl, profile, signal: stop.signal });
    let assembling = false;
    const watch = setInterval(async () => {
      const rows = await database.query(
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'loc2vec' AND state = 'active' AND query LIKE 'WITH RECURSIVE chains%'",
      );
      if (rows.length > 0 && !stop.signal.aborted) {
        assembling = true;
        stop.abort();
      }
    }, 20);
    try {
      await expect(loaded).rejects.toMatchObject({ kind: "interrupted" });
    } finally {
      clearInterval(watch);
    }
    expect(assembling).toBe(true);
    expect((await readImportInfo(databaseUrl))?.pbf).toBe("town.osm");
    expect(await database.query("SELECT 1 FROM pg_namespace WHERE nspname = 'farm_import'")).toEqual([]);
  });
});
