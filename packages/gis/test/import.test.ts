import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  importPbf,
  loadProfile,
  nearestVenues,
  type Profile,
  readImportInfo,
  sampleLocations,
} from "../src/index.ts";
import { createDatabase, query, type TestDatabase } from "./database.ts";

const TOWN = fileURLToPath(new URL("fixtures/town.osm", import.meta.url));
const COAST = fileURLToPath(new URL("./fixtures/coast.osm", import.meta.url));
const STYLE = fileURLToPath(new URL("../../../styles/loc2vec.yaml", import.meta.url));

let profile: Profile;
let database: TestDatabase;
let databaseUrl: string;
let folder: string;

beforeAll(async () => {
  database = await createDatabase("gis");
  databaseUrl = database.databaseUrl;
  profile = await loadProfile(STYLE);
  folder = await mkdtemp(join(tmpdir(), "gis-import-"));
});
afterAll(async () => {
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

const write = async (name: string, bytes: string | Buffer): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};
const load = (pbf: string, force = false) => importPbf({ pbf, databaseUrl, profile, force });

test("nothing imported", async () => {
  expect(await readImportInfo(databaseUrl)).toBeUndefined();
  await expect(sampleLocations({ databaseUrl, count: 1, seed: 1 })).rejects.toThrowError(
    /no map is imported/,
  );
});

describe("the town", () => {
  beforeAll(async () => {
    await load(TOWN);
  });

  test("each object has the geometry and the rules it should have", async () => {
    const ids = new Map(profile.channels.flatMap(({ rules }) => rules.map((rule) => [rule.index, rule.id])));
    const rows = await query(
      databaseUrl,
      "SELECT osm_type || osm_id AS id, rule, GeometryType(geom) AS type FROM farm.feature ORDER BY osm_type, osm_id, rule",
    );
    expect(rows.map((row) => `${row.id} ${ids.get(row.rule as number)} ${row.type}`)).toEqual([
      "N1 shop POINT",
      "N2 street_furniture POINT",
      "N3 bus_stop POINT",
      "R1 natural_water MULTIPOLYGON",
      "W10 motorway LINESTRING",
      "W11 trunk LINESTRING",
      "W12 motorway_tunnel LINESTRING",
      "W13 residential_road LINESTRING",
      "W20 building POLYGON",
      "W20 dwelling POLYGON",
      "W30 footway LINESTRING",
      "W31 pedestrian_area POLYGON",
      "W32 residential_land POLYGON",
      "W32 fence LINESTRING",
      "W33 running_track LINESTRING",
      "W35 platform_area POLYGON",
    ]);
  });

  test("the multipolygon keeps its hole and both its outer rings", async () => {
    const [row] = await query(
      databaseUrl,
      `SELECT ST_NumGeometries(geom) AS parts, ST_NRings(geom) AS rings, ST_SRID(geom) AS srid
       FROM farm.feature WHERE osm_type = 'R'`,
    );
    expect(row).toEqual({ parts: 2, rings: 3, srid: 3857 });
  });

  test("import_info says what was imported", async () => {
    const info = await readImportInfo(databaseUrl);
    expect(info).toMatchObject({
      pbf: "town.osm",
      profile: "loc2vec",
      importHash: profile.importHash,
      labels: 5,
    });
    expect(info?.channels).toMatchObject({ motorways_trunk: 3, water: 1, main_roads: 0 });
    // The bow-tie building, the bow-tie forest, and the road of which the extract holds one node.
    expect(info?.invalid).toBe(3);
    const [west, south, east, north] = info?.bbox ?? [];
    expect([west, south, east, north].map((degrees) => degrees?.toFixed(4))).toEqual([
      "10.0000",
      "50.0000",
      "10.0100",
      "50.0090",
    ]);
  });

  test("labels keep name and tags", async () => {
    const rows = await query(
      databaseUrl,
      "SELECT key, value, name, tags->>'shop' AS shop FROM farm.label WHERE osm_id = 1",
    );
    expect(rows).toEqual([{ key: "shop", value: "bakery", name: "Bäcker 'Ä'", shop: "bakery" }]);
  });

  test("the nearest venue: of its class, metres on the ground; furniture is none", async () => {
    const near = (places: { lon: number; lat: number }[], withinM: number) =>
      nearestVenues({ databaseUrl, profile, places, withinM });
    // At 50° north a degree of longitude is 71.5 km: 60 m to the west of the bakery.
    const west = { lon: 10.001 - 60 / 71_475, lat: 50.0005 };
    const bench = { lon: 10.002, lat: 50.0005 };
    expect(await near([west, { lon: 10.001, lat: 50.0005 }, { lon: 11, lat: 51 }], 61)).toEqual([
      "shop",
      "shop",
      undefined,
    ]);
    expect(await near([west, bench], 59)).toEqual([undefined, undefined]);
    expect(await near([bench], 80)).toEqual(["shop"]);
    await expect(
      nearestVenues({ databaseUrl, profile: { venues: {} }, places: [west], withinM: 10 }),
    ).rejects.toThrowError(/names no venues/);
  });

  test("the same file again is no work, unless forced or matched otherwise", async () => {
    const first = await load(TOWN);
    expect(await load(TOWN)).toEqual(first);
    expect((await load(TOWN, true)).importedAt).not.toBe(first.importedAt);
    const other = { ...profile, importHash: "0".repeat(64) };
    expect((await importPbf({ pbf: TOWN, databaseUrl, profile: other })).importHash).toBe(other.importHash);
    await load(TOWN);
  });
});

describe("a failed import names the file and leaves the previous one", () => {
  beforeAll(async () => {
    await load(TOWN);
  });

  /** A PBF block: big-endian length, BlobHeader {type, datasize}, blob. */
  const block = (type: string, blob: Buffer): Buffer => {
    const header = Buffer.concat([
      Buffer.from([0x0a, type.length]),
      Buffer.from(type),
      Buffer.from([0x18, blob.length]),
    ]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(header.length);
    return Buffer.concat([length, header, blob]);
  };
  const garbage = Buffer.concat([
    block("OSMHeader", Buffer.alloc(100, 7)),
    block("OSMData", Buffer.alloc(100, 9)),
  ]);

  test.each([
    ["empty.osm.pbf", Buffer.alloc(0), /the file is empty/],
    ["text.osm.pbf", "<!doctype html><title>404</title>", /a page of the web \(404\)/],
    ["short.osm.pbf", "PK", /not OpenStreetMap data/],
    ["gpx.osm", "<?xml version='1.0'?><gpx/>", /XML of another kind \(<gpx>\)/],
    ["cut.osm.pbf", garbage.subarray(0, -30), /truncated after \d+ bytes/],
    ["cut-header.osm.pbf", garbage.subarray(0, 122), /truncated after \d+ bytes/],
    ["foreign.osm.pbf", Buffer.concat([garbage, block("Else", Buffer.alloc(4))]), /damaged at byte \d+/],
    ["garbage.osm.pbf", garbage, /garbage\.osm\.pbf: /],
    ["cut.osm", "<?xml version='1.0'?><osm version='0.6'><node id='1'", /cut\.osm: /],
    ["void.osm", "<?xml version='1.0'?><osm version='0.6'></osm>", /the map is empty/],
  ])("%s", async (name, bytes, message) => {
    const path = await write(name, bytes);
    const error = await load(path).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({
      name: "FarmError",
      kind: "input",
      message: expect.stringMatching(message),
    });
    expect((error as Error).message).not.toContain("\n");
    expect((await readImportInfo(databaseUrl))?.pbf).toBe("town.osm");
    expect(await query(databaseUrl, "SELECT 1 FROM pg_namespace WHERE nspname = 'farm_import'")).toEqual([]);
  });

  test("a missing file", async () => {
    await expect(load(join(folder, "none.osm.pbf"))).rejects.toThrowError(/none\.osm\.pbf: no such file/);
  });

  test("an import that is stopped", async () => {
    const stopped = importPbf({ pbf: TOWN, databaseUrl, profile, force: true, signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ kind: "interrupted" });
    expect((await readImportInfo(databaseUrl))?.pbf).toBe("town.osm");
  });

  test("a second import at the same time", async () => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      await client.query(`SELECT pg_advisory_lock(${0x6c6f6332})`);
      await expect(load(TOWN, true)).rejects.toThrowError(/another import/);
    } finally {
      await client.end();
    }
  });

  test("osm2pgsql is not installed", async () => {
    const path = process.env.PATH;
    process.env.PATH = folder;
    try {
      await expect(load(TOWN, true)).rejects.toMatchObject({
        kind: "missing",
        mend: expect.stringContaining("apt-get"),
      });
    } finally {
      process.env.PATH = path;
    }
  });

  test("no server: the password is not told", async () => {
    const error = await readImportInfo("postgres://me:geheim@127.0.0.1:1/x").catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ kind: "service" });
    expect(String(error)).not.toContain("geheim");
  });
});

describe("sampled locations", () => {
  beforeAll(async () => {
    await load(TOWN);
  });
  const sample = (seed: number, count = 300) => sampleLocations({ databaseUrl, count, seed });

  test("come out the same for a seed, also after another import of the same map", async () => {
    const first = await sample(1);
    await load(TOWN, true);
    expect(await sample(1)).toEqual(first);
    expect(await sample(2)).not.toEqual(first);
  });

  test("with a profile, transport is labelled with the mode of its road; the places stay the same", async () => {
    const plain = await sample(1);
    const labelled = await sampleLocations({ databaseUrl, count: 300, seed: 1, profile });
    expect(labelled.map(({ label: _, ...rest }) => rest)).toEqual(plain);
    // As it was drawn before there were labels.
    expect(plain[0]).toEqual({ lon: 10.001190387517916, lat: 50.00071204955475, kind: "visit" });
    for (const { kind, label, lat } of labelled)
      if (kind === "visit") expect(label).toBeUndefined();
      // The street lies north of motorway and trunk road, which count as one.
      else expect(label).toBe(lat > 50.0005 ? "street" : "motorway");
    expect(new Set(labelled.map(({ label }) => label)).size).toBe(3);
    const other = { ...profile, importHash: "0".repeat(64) };
    await expect(sampleLocations({ databaseUrl, count: 1, seed: 1, profile: other })).rejects.toMatchObject({
      code: "map-missing",
    });
  });

  test("are 2 : 1, shuffled", async () => {
    const kinds = (await sample(1)).map((location) => location.kind);
    expect(kinds.filter((kind) => kind === "visit")).toHaveLength(200);
    const early = kinds.slice(0, 150).filter((kind) => kind === "visit").length;
    expect(early).toBeGreaterThan(80);
    expect(early).toBeLessThan(120);
  });

  test("visits lie 3–30 m from a place; fixes lie on a road, by length", async () => {
    const locations = await sample(3, 900);
    const values = locations
      .map(({ lon, lat, kind }) => `('${kind}', ${lon}::float8, ${lat}::float8)`)
      .join(",");
    const rows = await query(
      databaseUrl,
      `SELECT kind, lat,
         (SELECT min(ST_Distance(ST_Transform(l.geom, 4326)::geography, p::geography)) FROM
           (SELECT geom FROM farm.label UNION ALL SELECT ST_Centroid(geom) FROM farm.feature WHERE osm_id = 20) l) AS place,
         (SELECT min(ST_Distance(ST_Transform(f.geom, 4326)::geography, p::geography)) FROM farm.feature f
           WHERE osm_id IN (10, 11, 13)) AS road
       FROM (SELECT *, ST_SetSRID(ST_Point(lon, lat), 4326) AS p FROM (VALUES ${values}) v (kind, lon, lat)) q`,
    );
    const visits = rows.filter((row) => row.kind === "visit").map((row) => row.place as number);
    // Neighbouring labels are 72 m apart, and a sphere's metres differ by up to 0.5% from the ellipsoid's.
    expect(Math.min(...visits)).toBeGreaterThan(2.9);
    expect(Math.max(...visits)).toBeLessThan(30.3);
    const transport = rows.filter((row) => row.kind === "transport");
    expect(Math.max(...transport.map((row) => row.road as number))).toBeLessThan(0.5);
    // Motorway and trunk are 10 steps of 71.7 m each; the street is one step and a diagonal of 132.3 m: 12.5 % of all.
    const street = transport.filter((row) => (row.lat as number) > 50.0005).length / transport.length;
    expect(street).toBeGreaterThan(0.08);
    expect(street).toBeLessThan(0.17);
  });

  test("a city without roads, or a senseless count, is refused", async () => {
    const path = await write(
      "shop.osm",
      (await readFile(TOWN, "utf8")).replace(/ {2}<way[\s\S]*<\/relation>\n/, ""),
    );
    await load(path);
    await expect(sample(1)).rejects.toThrowError(/no road and no rail/);
    expect(
      await sampleLocations({ databaseUrl, count: 5, seed: 1, kinds: { visit: 1, transport: 0 } }),
    ).toHaveLength(5);
    await expect(sample(1, 0)).rejects.toMatchObject({ kind: "usage" });
  });
});

describe("borders and routes, which an extract cuts off", () => {
  const node = (id: number, lon: number, lat: number): string =>
    `<node id="${id}" lon="${lon}" lat="${lat}"/>`;
  const way = (id: number, refs: number[], tags = ""): string =>
    `<way id="${id}">${refs.map((ref) => `<nd ref="${ref}"/>`).join("")}${tags}</way>`;
  const tags = (values: Record<string, string>): string =>
    Object.entries(values)
      .map(([k, v]) => `<tag k="${k}" v="${v}"/>`)
      .join("");
  const relation = (id: number, members: number[], values: Record<string, string>): string =>
    `<relation id="${id}">${members.map((ref) => `<member type="way" ref="${ref}" role="outer"/>`).join("")}${tags(values)}</relation>`;
  const ids = () =>
    new Map(profile.channels.flatMap(({ rules }) => rules.map((rule) => [rule.index, rule.id])));

  beforeAll(async () => {
    const map = [
      // A house of 0.001° is all that says where the map is.
      ...[
        [1, 0, 0],
        [2, 0.001, 0],
        [3, 0.001, 0.001],
        [4, 0, 0.001],
      ].map(([id, x, y]) => node(id as number, 10 + (x as number), 50 + (y as number))),
      node(5, 9, 49),
      node(6, 11, 51),
      node(7, 11, 49),
      way(1, [1, 2, 3, 4, 1], tags({ building: "yes" })),
      way(2, [5, 1]),
      way(3, [1, 6], tags({ route: "ferry" })),
      way(4, [5, 6]),
      way(5, [5, 7, 6, 5], tags({ leisure: "nature_reserve" })),
      // Way 99 is not in the extract.
      relation(1, [2, 99], { type: "boundary", boundary: "protected_area" }),
      relation(2, [98, 99], { type: "boundary", boundary: "national_park" }),
      relation(3, [4], { type: "route", route: "ferry" }),
      relation(4, [4], { type: "route", route: "bus", leisure: "nature_reserve" }),
      relation(5, [2, 3, 4], { type: "multipolygon", landuse: "military" }),
      relation(6, [2, 3], { type: "route", route: "ferry", tourism: "yes" }),
    ];
    await load(await write("cut.osm", `<osm version="0.6">${map.join("\n")}</osm>`), true);
  });

  test("are drawn by the ways that are there, and do not count as invalid", async () => {
    const rows = await query(
      databaseUrl,
      `SELECT osm_type || osm_id AS id, rule, GeometryType(geom) AS type, ST_NumGeometries(geom) AS parts
       FROM farm.feature ORDER BY osm_type, osm_id, rule`,
    );
    expect(rows.map((row) => `${row.id} ${ids().get(row.rule as number)} ${row.type} ${row.parts}`)).toEqual([
      "R1 protected_area LINESTRING 1",
      "R3 ferry LINESTRING 1",
      "R5 military_land MULTILINESTRING 3",
      "R6 ferry MULTILINESTRING 2",
      "W1 building POLYGON 1",
      "W3 ferry LINESTRING 1",
      "W5 nature_reserve LINESTRING 1",
    ]);
    expect((await readImportInfo(databaseUrl))?.invalid).toBe(0);
  });

  test("do not widen the area of the map", async () => {
    const bbox = (await readImportInfo(databaseUrl))?.bbox.map((degrees) => degrees.toFixed(4));
    expect(bbox).toEqual(["10.0000", "50.0000", "10.0010", "50.0010"]);
  });

  test("routes give no labels", async () => {
    const rows = await query(databaseUrl, "SELECT osm_type || osm_id AS id, key, value FROM farm.label");
    expect(rows).toEqual([{ id: "W5", key: "leisure", value: "nature_reserve" }]);
  });
});

describe("the sea", () => {
  const at = async (lon: number, lat: number): Promise<boolean> => {
    const sea = profile.channels.flatMap(({ rules }) => rules).find(({ id }) => id === "sea");
    const rows = await query(
      databaseUrl,
      `SELECT 1 FROM farm.feature WHERE rule = ${sea?.index}
       AND ST_Contains(geom, ST_Transform(ST_Point(${lon}, ${lat}, 4326), 3857))`,
    );
    return rows.length > 0;
  };

  test("lies to the right of a coastline, though the extract cuts that off, and around an island", async () => {
    await load(COAST);
    expect(await at(10.015, 50.002)).toBe(true);
    expect(await at(10.015, 50.015), "inland").toBe(false);
    expect(await at(10.015, 50.0045), "on the island").toBe(false);
    expect(await at(10.0005, 50.008), "before the western end of the coastline").toBe(true);
    expect(await at(10.0295, 50.012), "behind its eastern end").toBe(false);
    expect((await readImportInfo(databaseUrl))?.channels.water).toBe(4);
  });

  test("is nowhere without a coastline", async () => {
    await load(TOWN);
    expect(await at(10.001, 50.001)).toBe(false);
  });
});
