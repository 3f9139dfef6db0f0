import { FarmError, type Location } from "@loc2vec/core";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { ensureDatabase, openLocationTable, type ReadOptions } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
  }
}

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
afterAll(() => client.end());

const read = async (table: string, options?: ReadOptions) => {
  const { count, read: rows } = await openLocationTable(databaseUrl, table, options);
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
