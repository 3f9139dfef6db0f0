import { FarmError, type Location } from "@loc2vec/core";
import { withDatabase } from "@loc2vec/postgres";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { ensureDatabase, openLocationTable } from "../src/index.ts";
import type { ReadOptions } from "../src/locations/survey.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
  }
}

const ROLE = `table_reader_${process.pid}`;
let databaseUrl: string;
let client: pg.Client;

beforeAll(async () => {
  databaseUrl = await ensureDatabase(inject("databaseUrl"), `gis_table_${process.pid}`);
  client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(`
    CREATE EXTENSION IF NOT EXISTS postgis;
    CREATE SCHEMA "Odd ""schema";
    CREATE TABLE "Odd ""schema"."my places" (id int PRIMARY KEY, lon float8, lat float8, kind text, weight int, label text);
    INSERT INTO "Odd ""schema"."my places" VALUES (2, 25, 60.2, NULL, NULL, NULL), (1, 24.9, 60.1, 'transport', 2, 'Café; DROP');
    CREATE TABLE shapes (id int PRIMARY KEY, geom geometry);
    INSERT INTO shapes VALUES (1, ST_Transform(ST_SetSRID(ST_MakePoint(7.4, 43.7), 4326), 32632));
    CREATE VIEW many AS SELECT i AS id, i / 1000.0 AS lon, 1.0 AS lat FROM generate_series(1, 12000) i;
    CREATE TABLE nothing (lon float8, lat float8);
    CREATE TABLE bare (a int, y int);
    CREATE TABLE off (id int PRIMARY KEY, lon float8, lat float8);
    INSERT INTO off VALUES (1, 1, 1), (2, 1, 95);
    CREATE TABLE words (id int PRIMARY KEY, "Longitude" text, latitude numeric, "LABEL" int, x int, y int);
    INSERT INTO words VALUES (1, ' 24,9', 60.10, 7, 3, 4), (2, 'here', 60.1, 8, 3, 4), (3, NULL, 60.1, 9, 3, 4);
    CREATE TABLE two (lng float8, long float8, lat float8);
    CREATE TABLE cased ("lon" float8, "Lon" float8, lat float8);
    CREATE TABLE several (the_geom geometry(Point, 4326), "Geom" geometry(Point, 4326), lon text, lng text);
    INSERT INTO several VALUES ('SRID=4326;POINT(1 1)', 'SRID=4326;POINT(2 3)', 'a', 'b'), (NULL, NULL, 'a', 'b');
    CREATE TABLE other_name (shape geography(Point, 4326));
    INSERT INTO other_name VALUES ('POINT(2 3)');
    CREATE TABLE rivals (start geometry, "end" geometry);`);
});
afterAll(async () => {
  await client.end();
  await withDatabase(inject("databaseUrl"), async (server) => {
    await server.query(`DROP DATABASE gis_table_${process.pid} WITH (FORCE)`);
    await server.query(`DROP ROLE IF EXISTS ${ROLE}`);
  });
});

const read = async (table: string, options?: ReadOptions, url = databaseUrl) => {
  const { count, read: rows } = await openLocationTable(url, table, options);
  const locations: Location[] = [];
  for await (const location of rows()) locations.push(location);
  return { count, rows: locations };
};

test("columns lon and lat, whatever the table is called; rows in the order of the primary key", async () => {
  expect(await read('Odd "schema.my places')).toEqual({
    count: 2,
    rows: [
      { lon: 24.9, lat: 60.1, kind: "transport", weight: 2, label: "Café; DROP" },
      { lon: 25, lat: 60.2, kind: "visit" },
    ],
  });
});

test("a geometry of any reference system", async () => {
  const { rows } = await read("shapes");
  expect(rows[0]?.lon).toBeCloseTo(7.4, 9);
  expect(rows[0]?.lat).toBeCloseTo(43.7, 9);
});

test("a view of more rows than a round trip brings", async () => {
  const { count, rows } = await read("many");
  expect([count, rows.length, rows[11_999]?.lon]).toEqual([12_000, 12_000, 12]);
});

test("columns are named as those of files are, of any type; bad rows are counted", async () => {
  await expect(read("words")).rejects.toThrowError(
    /^table words: 2 of 3 rows are bad: row 2: longitude "here" is not a number; row 3: longitude is missing$/,
  );
  expect(await read("words", { skipBad: 2 })).toEqual({
    count: 1,
    rows: [{ lon: 24.9, lat: 60.1, kind: "visit", label: "7" }],
  });
});

test("a geometry column of any name; among several, the best by name", async () => {
  expect((await read("other_name")).rows).toEqual([{ lon: 2, lat: 3, kind: "visit" }]);
  expect((await read("several", { skipBad: 1 })).rows).toEqual([{ lon: 2, lat: 3, kind: "visit" }]);
});

test("what cannot be read is named, with the row", async () => {
  for (const [table, message] of [
    ["nowhere", /there is no table nowhere/],
    ["no.such.table", /not a table's name/],
    ["nothing", /holds no location/],
    ["bare", /no column geom, and not both of lon and lat, among a, y/],
    ["two", /table two: two columns for lon: "lng" and "long"/],
    ["cased", /table cased: two columns for lon: "lon" and "Lon"/],
    ["rivals", /table rivals: two columns of geometries: "start" and "end"/],
    ["off", /table off, row 2: latitude 95/],
    ["x; DROP TABLE off", /there is no table/],
  ] as const) {
    const error = await read(table).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(FarmError);
    expect(error.message).toMatch(message);
  }
});

test("names as SQL writes them: folded, quoted, with dots", async () => {
  await client.query(`
    CREATE SCHEMA "Upper"; CREATE TABLE "Upper"."Dotted.Name" (lon float8, lat float8); INSERT INTO "Upper"."Dotted.Name" VALUES (1, 2);
    CREATE TABLE "Mixed" (lon float8, lat float8); INSERT INTO "Mixed" VALUES (3, 4);
    CREATE TABLE plain (lon float8, lat float8); INSERT INTO plain VALUES (5, 6)`);
  for (const [table, lon] of [
    ["Mixed", 3],
    ['"Mixed"', 3],
    ["public.Mixed", 3],
    ['"Upper"."Dotted.Name"', 1],
    ["Plain", 5],
    ["PUBLIC.PLAIN", 5],
  ] as const) {
    expect((await read(table)).rows, table).toEqual([{ lon, lat: lon + 1, kind: "visit" }]);
  }
});

test("numbers of any type, to the last digit, whatever the role's settings", async () => {
  await client.query(`
    CREATE TABLE texts (id int PRIMARY KEY, lon text, lat varchar(30));
    INSERT INTO texts VALUES (1, '24.941234567890124', ' 60.17 '), (2, '2.5e1', '60');
    CREATE TABLE numerics (id int PRIMARY KEY, lon numeric(20, 15), lat real);
    INSERT INTO numerics VALUES (1, 24.941234567890124, 60.25);
    CREATE TABLE floats (lon float8, lat float8); INSERT INTO floats VALUES (24.941234567890124, 1 / 3::float8);
    ALTER DATABASE gis_table_${process.pid} SET extra_float_digits = -15`);
  const lon = 24.941234567890124;
  expect((await read("texts")).rows).toEqual([
    { lon, lat: 60.17, kind: "visit" },
    { lon: 25, lat: 60, kind: "visit" },
  ]);
  expect((await read("numerics")).rows).toEqual([{ lon, lat: 60.25, kind: "visit" }]);
  expect((await read("floats")).rows).toEqual([{ lon, lat: 1 / 3, kind: "visit" }]);
});

test("geometries of every sort: geography, shapes, curves, text, another name, views", async () => {
  await client.query(`
    CREATE TABLE sorts AS SELECT ST_Point(24.9, 60.2, 4326) AS at;
    CREATE TABLE globes (id int PRIMARY KEY, geom geography); INSERT INTO globes SELECT 1, at::geography FROM sorts;
    CREATE TABLE areas AS SELECT ST_Transform(ST_Expand(at, 0.001), 3857) AS geometry FROM sorts;
    CREATE TABLE curves AS SELECT 'SRID=4326;CURVEPOLYGON(CIRCULARSTRING(24.8 60.2, 24.9 60.3, 25 60.2, 24.9 60.1, 24.8 60.2))'::geometry AS geom;
    CREATE TABLE ewkts AS SELECT ST_AsEWKT(at) AS geom FROM sorts;
    CREATE VIEW seen AS SELECT at AS geom, 'transport' AS kind FROM sorts;
    CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen;
    CREATE TABLE parts (geom geometry(Point, 4326)) PARTITION BY RANGE (ST_X(geom));
    CREATE TABLE parts_all PARTITION OF parts DEFAULT; INSERT INTO parts SELECT at FROM sorts`);
  for (const table of ["sorts", "globes", "areas", "curves", "ewkts", "seen", "kept", "parts"]) {
    const { count, rows } = await read(table);
    expect([count, rows.length], table).toEqual([1, 1]);
    expect(rows[0]?.lon, table).toBeCloseTo(24.9, 6);
    // The middle of an area in Web Mercator is not that in degrees, and a curve's is that of its chords.
    expect(rows[0]?.lat, table).toBeCloseTo(60.2, table === "curves" ? 2 : 4);
  }
  expect((await read("kept")).rows[0]?.kind).toBe("transport");
});

test("what holds no usable place is the table's fault, and named", async () => {
  await client.query(`
    CREATE TABLE unplaced (id int PRIMARY KEY, geom geometry(Point)); INSERT INTO unplaced SELECT i, ST_MakePoint(1, i) FROM generate_series(1, 3) i;
    CREATE VIEW unplaced_view AS SELECT * FROM unplaced;
    CREATE TABLE "Half ""placed" (geom geometry); INSERT INTO "Half ""placed" VALUES (ST_Point(1, 2, 4326)), (ST_MakePoint(1, 2));
    CREATE TABLE unknown (geom geometry); INSERT INTO unknown VALUES (ST_SetSRID(ST_MakePoint(1, 2), 990000));
    CREATE TABLE holes (id int PRIMARY KEY, geom geometry); INSERT INTO holes VALUES (1, ST_Point(1, 2, 4326)), (2, NULL);
    CREATE TABLE empties (id int PRIMARY KEY, geom geometry); INSERT INTO empties VALUES (1, 'SRID=4326;POINT EMPTY');
    CREATE TABLE dots (id int PRIMARY KEY, lon text, lat text); INSERT INTO dots VALUES (1, '1', '2'), (2, '24..9', '60');
    CREATE TABLE scribbles (geom text); INSERT INTO scribbles VALUES ('here');
    CREATE TABLE integers (geom int); INSERT INTO integers VALUES (1);
    CREATE SEQUENCE counter`);
  for (const [table, line] of [
    [
      "unplaced",
      /unplaced: geom of 3 of 3 rows .*SRID 0.*UpdateGeometrySRID\('public', 'unplaced', 'geom', 4326\)/,
    ],
    [
      "unplaced_view",
      /unplaced_view: geom of 3 of 3 rows .*SRID 0.*ST_SetSRID\("geom"::geometry, 4326\) AS geom in a view/,
    ],
    ['Half "placed', /geom of 1 of 2 rows .*UpdateGeometrySRID\('public', 'Half "placed', 'geom', 4326\)/],
    ["unknown", /table unknown: .*990000/],
    ["holes", /table holes, row 2: longitude is missing/],
    ["empties", /table empties, row 1: longitude is missing/],
    ["dots", /table dots, row 2: longitude "24..9" is not a number/],
    ["scribbles", /table scribbles: .*parse error/],
    ["integers", /table integers: cannot cast type integer to .*geometry \(42846\)/],
    ["counter", /there is no table counter/],
  ] as const) {
    const error = await read(table).catch((thrown) => thrown);
    expect(error, table).toMatchObject({ name: "FarmError", kind: "input" });
    expect(error.line).toMatch(line);
    expect(error.line).not.toContain("\n");
  }
});

test("the mend of SRID 0 mends it", async () => {
  await client.query(
    "CREATE TABLE mended (geom geometry(Point)); INSERT INTO mended VALUES (ST_MakePoint(24.9, 60.2))",
  );
  const { mend } = await read("mended").catch((thrown) => thrown);
  await client.query(mend.replace(/^.*?: /, ""));
  expect((await read("mended")).rows).toEqual([{ lon: 24.9, lat: 60.2, kind: "visit" }]);
});

test("a table that the role may not read, with the GRANT that lets it", async () => {
  await client.query(`
    CREATE ROLE ${ROLE} LOGIN PASSWORD 'pass';
    CREATE SCHEMA closed; CREATE TABLE closed."Secret places" AS SELECT 1 AS lon, 2 AS lat`);
  const url = new URL(databaseUrl);
  url.username = ROLE;
  url.password = "pass";
  const refused = async () => read("closed.Secret places", {}, url.href).catch((thrown) => thrown);
  const error = await refused();
  expect(error).toMatchObject({
    kind: "service",
    message: expect.stringMatching(/may not read it \(42501\)/),
  });
  expect(error.mend).toBe(
    `GRANT USAGE ON SCHEMA "closed" TO ${ROLE}; GRANT SELECT ON "closed"."Secret places" TO ${ROLE}`,
  );
  await client.query(error.mend);
  expect((await refused()).rows).toEqual([{ lon: 1, lat: 2, kind: "visit" }]);
});
