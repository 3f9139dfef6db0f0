// Takes half a minute: maps are imported under roles and settings of many kinds.

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { FarmError } from "@loc2vec/core";
import {
  importPbf,
  loadProfile,
  nearestVenues,
  openLocationTable,
  type Profile,
  readImportInfo,
  sampleLocations,
} from "@loc2vec/gis";
import { withDatabase } from "@loc2vec/postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type Pooler, startPgbouncer } from "../../../test/support/pgbouncer.ts";
import { startStandby } from "../../../test/support/standby.ts";
import { createRasterizer } from "../src/index.ts";
import { ANCHOR, box, osmXml, type Place, STYLE, type Thing } from "./helpers.ts";

/** Everything that the farm asks of a PostgreSQL, of whatever kind that is: the answers must be those of the simplest one. */

const VILLAGE: Place = { lon: 24.9, lat: 60.2 };
const THINGS: Thing[] = [
  { at: VILLAGE, tags: { building: "house" }, points: box(-40, -40, -10, -5), ring: true },
  { at: VILLAGE, tags: { landuse: "forest" }, points: box(-90, 20, 90, 95), ring: true },
  {
    at: VILLAGE,
    tags: { highway: "residential" },
    points: [
      [-150, 3],
      [160, -90],
    ],
  },
  { at: VILLAGE, tags: { shop: "bakery", name: "Bäcker Ж" }, points: [[20.123, 20.456]] },
];
/** Settings of a role that change what numbers, dates and bytes look like. */
const ODD_SETTINGS = [
  "bytea_output = escape",
  "extra_float_digits = -15",
  "datestyle = 'SQL, DMY'",
  "intervalstyle = sql_standard",
  "timezone = 'Asia/Kolkata'",
  "standard_conforming_strings = off",
  "default_transaction_isolation = 'repeatable read'",
  "array_nulls = off",
  "client_encoding = latin1",
  "statement_timeout = '20s'",
];

const run = `${process.pid}`;
const OWNER = `map_owner_${run}`;
const READER = `map_reader_${run}`;
const ODD = `map_odd_${run}`;
let profile: Profile;
let folder: string;
let pbf: string;
let plain: string;
const poolers: Pooler[] = [];
let places = 0;

const as = (role: string, databaseUrl: string): string => {
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = "pass";
  return url.href;
};

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query(text);
    return Array.isArray(result) ? [] : result.rows;
  } finally {
    await client.end();
  }
}

/** A table of locations. */
const STOPS = (schema: string): string => `
  CREATE TABLE public.stops (id int PRIMARY KEY, geom "${schema}".geometry(Point, 32635));
  INSERT INTO public.stops SELECT 1, "${schema}".ST_Transform("${schema}".ST_Point(24.9, 60.2, 4326), 32635);
  GRANT SELECT ON public.stops TO PUBLIC`;

/** A database of its own, whose PostGIS lies in `schema`; any role may import into it. */
async function createDatabase(kind: string, schema = "public"): Promise<string> {
  const name = `map_${kind}_${run}`;
  const url = new URL(inject("databaseUrl"));
  await query(url.href, `CREATE DATABASE ${name}`);
  url.pathname = `/${name}`;
  await query(
    url.href,
    `CREATE SCHEMA IF NOT EXISTS "${schema}"; CREATE EXTENSION postgis SCHEMA "${schema}";
     GRANT USAGE ON SCHEMA "${schema}" TO PUBLIC; GRANT CREATE ON DATABASE ${name} TO PUBLIC;
     ${STOPS(schema)}`,
  );
  return url.href;
}

/** All that is read from a map. */
async function answers(databaseUrl: string) {
  const info = await readImportInfo(databaseUrl);
  const tiles = [];
  for (const kind of ["fast", "exact"] as const) {
    const rasterizer = await createRasterizer({ databaseUrl, profile, kind });
    try {
      // Twice: with a pooler, each may go by another connection.
      const transforms = [ANCHOR, { rotation: 30, dx: 5, dy: -7 }];
      tiles.push(await rasterizer.render(VILLAGE, transforms), await rasterizer.render(VILLAGE, transforms));
    } finally {
      await rasterizer.close();
    }
  }
  const { count, read } = await openLocationTable(databaseUrl, "public.stops");
  return {
    bbox: info?.bbox,
    channels: info?.channels,
    recent: Math.abs(Date.now() - Date.parse(info?.importedAt ?? "")) < 3_600_000,
    tiles: tiles.map((drawn) => drawn.map((tile) => Buffer.from(tile).toString("base64"))),
    sampled: await sampleLocations({ databaseUrl, count: 20, seed: 1 }),
    venues: await nearestVenues({ databaseUrl, profile, places: [VILLAGE], withinM: 100 }),
    names: await withDatabase(databaseUrl, (client) =>
      client.query("SELECT name, tags FROM farm.label").then(({ rows }) => rows),
    ),
    stops: [count, await Array.fromAsync(read())],
  };
}
let expected: Awaited<ReturnType<typeof answers>>;

const load = (databaseUrl: string, force = true) => importPbf({ pbf, databaseUrl, profile, force });

async function failure(work: Promise<unknown>): Promise<FarmError> {
  const error = await work.then(
    () => new Error("it did not fail"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FarmError)) throw error;
  expect(error.line).not.toContain("\n");
  expect(error.line).not.toContain("pass@");
  return error;
}

beforeAll(async () => {
  profile = await loadProfile(STYLE);
  folder = await mkdtemp(join(tmpdir(), "rasterizer-database-"));
  pbf = join(folder, "map.osm");
  for (const role of [OWNER, READER, ODD]) {
    await query(inject("databaseUrl"), `CREATE ROLE ${role} LOGIN PASSWORD 'pass'`);
  }
  for (const setting of ODD_SETTINGS) await query(inject("databaseUrl"), `ALTER ROLE ${ODD} SET ${setting}`);
  plain = await createDatabase("plain");
  await writeFile(pbf, await osmXml(THINGS, (offsets) => project(plain, offsets)));
  await load(plain);
  expected = await answers(plain);
  expect(expected.venues).toEqual(["shop"]);
  expect(expected.recent).toBe(true);
});
afterAll(async () => {
  for (const pooler of poolers) await pooler.stop();
  for (const { datname } of await query(
    inject("databaseUrl"),
    `SELECT datname FROM pg_database WHERE datname ~ '^map_.*_${run}$'`,
  )) {
    await query(inject("databaseUrl"), `DROP DATABASE ${datname} WITH (FORCE)`);
  }
  for (const role of [OWNER, READER, ODD]) await query(inject("databaseUrl"), `DROP ROLE ${role}`);
  await rm(folder, { recursive: true });
});

describe("PostGIS in a schema that is in nobody's search path", () => {
  test.each([
    ["extensions", ""],
    ["Odd schema", ""],
    ["extensions", "?options=-csearch_path%3Dpublic,extensions%20-cwork_mem%3D8MB"],
    [
      "extensions",
      "?options=-csearch_path%3D&keepalives=1&keepalives_idle=30&connect_timeout=5&application_name=a%20b",
    ],
  ])("%s, with %s", async (schema, parameters) => {
    const url = `${await createDatabase(`place${++places}`, schema)}${parameters}`;
    await load(url);
    expect(await answers(url)).toEqual(expected);
  });
});

test("settings of the role change neither the import nor what is read", async () => {
  const url = as(ODD, await createDatabase("odd"));
  await load(url);
  expect(await answers(url)).toEqual(expected);
});

test("limits of the role do not stop an import that takes longer", async () => {
  const role = `map_limited_${run}`;
  const url = await createDatabase("limited");
  await query(
    url,
    `CREATE ROLE ${role} LOGIN PASSWORD 'pass';
     ALTER ROLE ${role} SET idle_in_transaction_session_timeout = '1s'; ALTER ROLE ${role} SET idle_session_timeout = '1s'`,
  );
  // An osm2pgsql that takes its time.
  const real = execFileSync("which", ["osm2pgsql"], { encoding: "utf8" }).trim();
  await writeFile(join(folder, "osm2pgsql"), `#!/bin/sh\nsleep 2.5\nexec ${real} "$@"\n`, { mode: 0o755 });
  const path = process.env.PATH;
  process.env.PATH = `${folder}${delimiter}${path}`;
  try {
    await load(as(role, url));
    expect(await answers(url)).toEqual(expected);
  } finally {
    process.env.PATH = path;
    await query(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

describe("a role that only reads", () => {
  let url: string;
  beforeAll(async () => {
    url = await createDatabase("rights");
    await query(
      url,
      `REVOKE CREATE ON DATABASE map_rights_${run} FROM PUBLIC; GRANT CREATE ON DATABASE map_rights_${run} TO ${OWNER}`,
    );
    await load(as(OWNER, url));
  });

  test("that may not even read what is there, and would import: told what that takes", async () => {
    const error = await failure(load(as(READER, url)));
    expect(error.line).toMatch(/may not create a schema.*GRANT CREATE ON DATABASE/);
  });

  test("is told which GRANT it lacks, then reads all; another import keeps the grants", async () => {
    const reader = as(READER, url);
    for (const action of [
      () => answers(reader),
      () => createRasterizer({ databaseUrl: reader, profile }),
      () => sampleLocations({ databaseUrl: reader, count: 1, seed: 1 }),
    ]) {
      const error = await failure(action());
      expect(error.kind).toBe("service");
      expect(error.message).toMatch(/permission denied for schema farm \(42501\)/);
      expect(error.mend).toContain(
        `GRANT USAGE ON SCHEMA farm TO ${READER}; GRANT SELECT ON ALL TABLES IN SCHEMA farm TO ${READER}`,
      );
    }
    const { mend } = await failure(answers(reader));
    await query(as(OWNER, url), mend);
    expect(await answers(reader)).toEqual(expected);
    await load(as(OWNER, url));
    expect(await answers(reader)).toEqual(expected);
    await query(url, `ALTER ROLE ${READER} SET default_transaction_read_only = on`);
    expect(await answers(reader)).toEqual(expected);
    // What is imported already needs no right.
    expect((await load(reader, false)).pbf).toBe("map.osm");
  });

  test("cannot import, and why is said before anything is done", async () => {
    const reader = as(READER, url);
    const denied = async () => {
      const error = await failure(load(reader));
      expect(error.kind).toBe("service");
      return error.line;
    };
    expect(await denied()).toMatch(
      /only reads.*\(25006\).*ALTER ROLE .* SET default_transaction_read_only = off/,
    );
    await query(url, `ALTER ROLE ${READER} RESET default_transaction_read_only`);
    expect(await denied()).toMatch(
      new RegExp(
        `may not create a schema.*\\(42501\\).*GRANT CREATE ON DATABASE map_rights_${run} TO ${READER}`,
      ),
    );
    await query(url, `GRANT CREATE ON DATABASE map_rights_${run} TO ${READER}`);
    expect(await denied()).toMatch(
      new RegExp(`schema farm belongs to role ${OWNER}.*\\(42501\\).*ALTER SCHEMA farm OWNER TO ${READER}`),
    );
    await query(url, `ALTER SCHEMA farm OWNER TO ${READER}`);
    await load(reader);
    expect(await query(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'farm_import'")).toEqual([]);
  });

  test("PostGIS that only a superuser can create", async () => {
    const bare = new URL(url);
    bare.pathname = `/map_bare_${run}`;
    await query(url, `CREATE DATABASE map_bare_${run} OWNER ${OWNER}`);
    const error = await failure(load(as(OWNER, bare.href)));
    expect(error.kind).toBe("service");
    expect(error.line).toMatch(
      new RegExp(
        `\\(42501\\) \\(mend: as a superuser, in database map_bare_${run}: CREATE EXTENSION postgis`,
      ),
    );
    await query(bare.href, "CREATE EXTENSION postgis");
    await load(as(OWNER, bare.href));
  });
});

test("an import that lost its lock on the way replaces nothing", async () => {
  const url = await createDatabase("lock");
  await load(url);
  const before = await readImportInfo(url);
  let broken: Promise<unknown> | undefined;
  const log = () => {
    broken ??= query(
      url,
      "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND datname = current_database()",
    );
  };
  const error = await failure(importPbf({ pbf, databaseUrl: url, profile, force: true, log }));
  expect(await broken).toHaveLength(1);
  expect(error.kind).toBe("service");
  expect(error.message).toMatch(/terminating connection due to administrator command \(57P01\)/);
  expect(await readImportInfo(url)).toEqual(before);
  expect(await query(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'farm_import'")).toEqual([]);
});

test("a hot standby: all is read, and an import is refused", async () => {
  const standby = await startStandby(inject("databaseUrl"), async (primary) => {
    await query(primary, `CREATE EXTENSION postgis; ${STOPS("public")}`);
    await load(primary);
  });
  try {
    expect(await answers(standby.url)).toEqual(expected);
    const error = await failure(load(standby.url));
    expect(error.kind).toBe("service");
    expect(error.line).toMatch(/a standby, which only reads \(25006\).*primary/);
  } finally {
    await standby.stop();
  }
});

describe("PgBouncer", () => {
  const start = async (databaseUrl: string, settings: Record<string, string | number>): Promise<string> => {
    const pooler = await startPgbouncer(databaseUrl, settings);
    poolers.push(pooler);
    return pooler.url;
  };

  test.each([
    ["transaction", {}],
    ["transaction", { server_round_robin: 1, default_pool_size: 3 }],
    ["transaction", { default_pool_size: 1 }],
    ["session", {}],
  ])("in %s mode (%o): all is read, by several at a time", async (pool_mode, settings) => {
    const url = await start(plain, { pool_mode, ...settings });
    const all = await Promise.all([answers(url), ...("default_pool_size" in settings ? [answers(url)] : [])]);
    for (const each of all) expect(each).toEqual(expected);
  });

  test.each([{}, { default_pool_size: 1 }])(
    "in transaction mode (%o) an import is refused, and leaves neither lock nor schema",
    async (settings) => {
      const direct = await createDatabase(`pooled${Object.keys(settings).length}`);
      const url = await start(direct, { pool_mode: "transaction", ...settings });
      for (let time = 0; time < 2; time++) {
        const error = await failure(load(url));
        expect(error.kind).toBe("service");
        expect(error.line).toMatch(
          /pooler lends its connections by the transaction.*names PostgreSQL itself/,
        );
      }
      await load(direct);
      expect(await answers(url)).toEqual(expected);
    },
  );

  test("whose connections go round, so that only osm2pgsql meets it: the same mend, and no lock is left", async () => {
    const direct = await createDatabase("round");
    const url = await start(direct, { pool_mode: "transaction", server_round_robin: 1 });
    const error = await failure(load(url));
    expect(error.kind).toBe("service");
    expect(error.mend).toMatch(/names? PostgreSQL itself/);
    await load(direct);
  });

  test("in session mode an import works", async () => {
    const url = await start(await createDatabase("session"), { pool_mode: "session" });
    await load(url);
    expect(await answers(url)).toEqual(expected);
  });

  test("in session mode, where osm2pgsql cannot be told of PostGIS's schema", async () => {
    const direct = await createDatabase("elsewhere", "extensions");
    const error = await failure(load(await start(direct, { pool_mode: "session" })));
    expect(error.kind).toBe("service");
    expect(error.line).toMatch(/\(08P01\).*ignore_startup_parameters/);
    await load(direct);
  });

  test("that refuses a start-up parameter, and one that lends connections by the statement", async () => {
    const url = await start(plain, { pool_mode: "statement" });
    const refused = await failure(readImportInfo(`${url}?options=-cwork_mem%3D8MB`));
    expect(refused.line).toMatch(/\(08P01\).*ignore_startup_parameters = options/);
    const statement = await failure(readImportInfo(url));
    expect(statement.kind).toBe("service");
    expect(statement.mend).toContain("pool_mode = transaction");
  });
});

async function project(
  url: string,
  offsets: readonly (Place & { x: number; y: number })[],
): Promise<Place[]> {
  const points = offsets.map(({ lon, lat, x, y }, n) => `(${n}, ${lon}, ${lat}, ${x}, ${y})`);
  return (await query(
    url,
    `SELECT ST_X(p::geometry) AS lon, ST_Y(p::geometry) AS lat FROM (
       SELECT n, ST_Project(ST_Point(lon, lat, 4326)::geography, sqrt(x * x + y * y), atan2(x, y)) AS p
       FROM (VALUES ${points.join(", ")}) AS given (n, lon, lat, x, y)) AS points ORDER BY n`,
  )) as unknown as Place[];
}
