import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Box, errorMessage, FarmError, randomOf } from "@loc2vec/core";
import type pg from "pg";
import { boxOfAreas, cutAtAntimeridian, mapAreas } from "./areas.ts";
import { isMissingTable, libpqEnvironment, withCancel, withDatabase } from "./database.ts";
import { checkOsmFile, type OsmFile, sha256File } from "./osmfile.ts";
import { findNotUtf8, type PreparedMap, prepareMap, withNodes, xmlOf } from "./prepare.ts";
import type { Profile } from "./profile.ts";
import { assembleSea } from "./sea.ts";
import { flexStyle } from "./style.ts";
import { notUtf8 } from "./xml.ts";

/** What the imported map is: the single row of `farm.import_info`. */
export interface ImportInfo {
  /** Name of the file, without its folder. */
  pbf: string;
  /** Of the file, hex. */
  sha256: string;
  /** Of the file, bytes. */
  size: number;
  /** Of the imported features. */
  bbox: Box;
  profile: string;
  importHash: string;
  /** Rows of `farm.feature` per channel name. */
  channels: Readonly<Record<string, number>>;
  /** Rows of `farm.label`. */
  labels: number;
  /** Objects left out for want of a valid geometry: rings that cross themselves, or parts that the extract cuts off. */
  invalid: number;
  /** Rules whose features locations are sampled from. */
  samples: { readonly visit: readonly number[]; readonly transport: readonly number[] };
  /** ISO 8601, UTC. */
  importedAt: string;
}

export interface ImportOptions {
  /** A file that {@link checkOsmFile} knows. */
  pbf: string;
  databaseUrl: string;
  profile: Profile;
  /** Imports even what is imported already. */
  force?: boolean;
  log?: (line: string) => void;
  /** Stops it wherever it is; the previous import stays. */
  signal?: AbortSignal;
}

const SCHEMA = "farm";
const STAGING = "farm_import";
/** Key of the advisory lock that two imports into one database contend for ("loc2"). */
const LOCK = 0x6c6f6332;
/** Above this size osm2pgsql keeps its nodes on disk rather than in memory. */
const SLIM_BYTES = 1024 ** 3;

/**
 * Imports a map with osm2pgsql: into a schema of its own first, which replaces `farm` in one transaction, so that a
 * failed or stopped import leaves the previous one usable. Returns at once when the same file is already imported with
 * the same matching rules.
 *
 * @throws FarmError `input` (file missing, corrupt, of another kind, or without a feature), `missing` (osm2pgsql, osmium,
 *   bzip2 or PostGIS), `service`, `interrupted`
 */
export async function importPbf({
  pbf,
  databaseUrl,
  profile,
  force = false,
  log = () => {},
  signal,
}: ImportOptions): Promise<ImportInfo> {
  const path = resolve(pbf);
  const file = await checkOsmFile(path);
  const sha256 = await sha256File(path);
  return withDatabase(databaseUrl, async (client) => {
    const lock = await client.query("SELECT pg_try_advisory_lock($1) AS got", [LOCK]);
    if (lock.rows[0]?.got !== true) {
      throw new FarmError("service", "another import into this database is running", "wait until it is done");
    }
    const before = await selectInfo(client);
    if (!force && before?.sha256 === sha256 && before.importHash === profile.importHash) {
      log(`${before.pbf}: already imported at ${before.importedAt}`);
      return before;
    }
    const folder = await mkdtemp(join(tmpdir(), "loc2vec-import-"));
    try {
      const map = await prepareMap({ path, file, folder, log, signal });
      await createPostgis(client);
      await client.query(`DROP SCHEMA IF EXISTS ${STAGING} CASCADE; CREATE SCHEMA ${STAGING}`);
      const left = await runOsm2pgsql({ path, file, map, folder, databaseUrl, profile, log, signal });
      return await withCancel(client, signal, `import of ${path}`, () =>
        finish(client, { path, file, sha256, profile, left, log }),
      );
    } catch (error) {
      await client.query(`ROLLBACK; DROP SCHEMA IF EXISTS ${STAGING} CASCADE`).catch(() => {});
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

/** The import in a database; undefined when there is none. @throws FarmError `service` */
export async function readImportInfo(databaseUrl: string): Promise<ImportInfo | undefined> {
  return withDatabase(databaseUrl, selectInfo);
}

export function noMap(cause?: unknown): FarmError {
  return new FarmError("input", "no map is imported", "pnpm farm:import FILE.osm.pbf", { cause });
}

/**
 * The import in a database, which must be one by the rules of this profile.
 *
 * @throws FarmError `input` when there is none, or one by other rules; `service`
 */
export async function requireImport(databaseUrl: string, profile: Profile): Promise<ImportInfo> {
  const map = await readImportInfo(databaseUrl);
  if (map === undefined) throw noMap();
  if (map.importHash !== profile.importHash) {
    throw new FarmError(
      "input",
      `the map ${map.pbf} was imported with other rules than those of the profile ${profile.name}`,
      "pnpm farm:import it again",
    );
  }
  return map;
}

export async function selectInfo(client: pg.Client): Promise<ImportInfo | undefined> {
  const result = await client
    .query(
      `SELECT pbf, sha256, size::float8, bbox, profile, import_hash, channels, labels, invalid, samples, imported_at
       FROM ${SCHEMA}.import_info`,
    )
    .catch((error: unknown) => {
      if (isMissingTable(error)) return undefined;
      throw error;
    });
  const row = result?.rows[0];
  if (row === undefined) return undefined;
  const { import_hash: importHash, imported_at: at, ...rest } = row;
  return { ...rest, importHash, importedAt: (at as Date).toISOString() };
}

async function createPostgis(client: pg.Client): Promise<void> {
  try {
    await client.query("CREATE EXTENSION IF NOT EXISTS postgis");
  } catch (error) {
    throw new FarmError(
      "missing",
      `PostGIS in database ${client.database}: ${errorMessage(error)}`,
      "apt-get install postgresql-15-postgis-3, then CREATE EXTENSION postgis as a superuser",
      { cause: error },
    );
  }
}

interface Run extends Pick<ImportOptions, "databaseUrl" | "profile"> {
  /** What was given, and what is read. */
  path: string;
  file: OsmFile;
  map: PreparedMap;
  /** For temporary files. */
  folder: string;
  log: (line: string) => void;
  signal: AbortSignal | undefined;
}

/** Objects that osm2pgsql found no geometry for, e.g. `relation 42`. */
interface LeftOut {
  /** All. */
  invalid: Set<string>;
  /** Of these: ways whose nodes, and relations whose ways the map does not hold. */
  bare: number;
}

/** Runs osm2pgsql into the staging schema. */
async function runOsm2pgsql({
  path,
  file,
  map,
  folder,
  databaseUrl,
  profile,
  log,
  signal,
}: Run): Promise<LeftOut> {
  const style = join(folder, "style.lua");
  await writeFile(style, flexStyle(profile, STAGING));
  const slim =
    map.size > SLIM_BYTES
      ? ["--slim", "--drop", `--middle-schema=${STAGING}`, `--flat-nodes=${join(folder, "nodes")}`]
      : [];
  const args = ["--create", "--output=flex", "--style", style, "--log-progress=false"];
  args.push(`--input-reader=${map.format}`, ...slim, map.path);
  const child = spawn("osm2pgsql", args, {
    env: { ...process.env, ...libpqEnvironment(databaseUrl) },
    stdio: ["ignore", "pipe", "pipe"],
    ...(signal ? { signal } : {}),
  });
  const left: LeftOut = { invalid: new Set(), bare: 0 };
  const errors: string[] = [];
  const onLine = (line: string): void => {
    const [, kind, object] = /^loc2vec-(invalid|bare) (.*)$/.exec(line) ?? [];
    if (object !== undefined) {
      left.invalid.add(object);
      if (kind === "bare") left.bare++;
    } else if (/\bERROR:/.test(line)) errors.push(line.replace(/^.*?ERROR:\s*/, ""));
    else if (line.trim() !== "") log(line.replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s*/, ""));
  };
  createInterface(child.stdout).on("line", onLine);
  createInterface(child.stderr).on("line", onLine);
  const code = await new Promise<number | null>((done, fail) => {
    child.once("error", fail);
    child.once("close", done);
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      throw new FarmError("missing", "osm2pgsql is not installed", "apt-get install osm2pgsql");
    }
    if (signal?.aborted) throw new FarmError("interrupted", `import of ${path} stopped`, "run it again");
    throw error;
  });
  if (code !== 0) {
    const why = errors[0] ?? `osm2pgsql ended with code ${code ?? "none (killed)"}`;
    if (/invalid byte sequence|UTF-?8/i.test(why)) {
      const object = await findNotUtf8(map, signal);
      if (object !== undefined) throw notUtf8(path, object, xmlOf(path, file.format));
    }
    const service = /database|connect|server|schema|permission/i.test(why);
    throw new FarmError(
      service ? "service" : "input",
      `${path}: ${why}`,
      service ? "" : "fetch the file again",
    );
  }
  return left;
}

interface Outcome {
  path: string;
  file: OsmFile;
  sha256: string;
  profile: Profile;
  left: LeftOut;
  log: (line: string) => void;
}

/** Invalid objects that are named. */
const NAMED = 20;
/**
 * The largest share of ways and relations that may be bare. Of extracts that cut ways off at their border it is 3 % for a
 * city, and a quarter for a single block; of maps without the nodes of their ways it is nearly all.
 */
const MAX_BARE = 1 / 3;

/** @throws FarmError `input` where the map lacks what a large share of its objects consists of */
async function checkBare(client: pg.Client, path: string, { bare }: LeftOut): Promise<void> {
  if (bare === 0) return;
  const { rows } = await client.query(
    `SELECT count(*)::float8 AS drawn FROM (
       SELECT DISTINCT osm_type, osm_id FROM ${STAGING}.feature WHERE osm_type IN ('W', 'R')
     ) AS objects`,
  );
  const all = bare + rows[0].drawn;
  if (bare <= MAX_BARE * all) return;
  throw new FarmError(
    "input",
    `${path}: ${bare} of ${all} ways and relations have no geometry: the map does not hold the nodes that they consist of`,
    withNodes(path),
  );
}

/**
 * Makes a denser map of the imported one, for measurements: each feature `density` times, the copies up to 100 Web Mercator
 * metres away in each axis, by a seeded draw.
 */
export async function multiplyFeatures(databaseUrl: string, density: number, seed: number): Promise<void> {
  const random = randomOf(seed);
  const shift = (): number => Math.round(200 * random.uniform() - 100);
  await withDatabase(databaseUrl, async (client) => {
    for (let copy = 1; copy < density; copy++) {
      await client.query(
        `INSERT INTO ${SCHEMA}.feature (osm_type, osm_id, rule, geom)
         SELECT osm_type, osm_id + $1::bigint * 100000000000, rule, ST_Translate(geom, $2, $3)
         FROM ${SCHEMA}.feature WHERE osm_id < 100000000000`,
        [copy, shift(), shift()],
      );
    }
    await client.query(`ANALYZE ${SCHEMA}.feature`);
  });
}

/**
 * Copies every feature so often, all over the world: what a table as large as a planet's costs a query. Of benchmarks, in a
 * database of their own.
 */
export async function spreadFeatures(databaseUrl: string, copies: number): Promise<void> {
  const random = randomOf(copies);
  const far = (): number => Math.round(3.8e7 * (random.uniform() - 0.5));
  const shifts = Array.from({ length: copies - 1 }, () => [far(), far()] as const);
  await withDatabase(databaseUrl, async (client) => {
    // Built at the end, at once.
    await client.query(`DROP INDEX IF EXISTS ${SCHEMA}.feature_geom_idx`);
    await client.query(
      `INSERT INTO ${SCHEMA}.feature (osm_type, osm_id, rule, geom)
       SELECT osm_type, osm_id + n * 100000000000, rule, ST_Translate(geom, dx, dy)
       FROM unnest($1::float8[], $2::float8[]) WITH ORDINALITY AS copy (dx, dy, n), ${SCHEMA}.feature
       WHERE osm_id < 100000000000 ORDER BY n`,
      [shifts.map(([dx]) => dx), shifts.map(([, dy]) => dy)],
    );
    await client.query(`CREATE INDEX feature_geom_idx ON ${SCHEMA}.feature USING gist (geom)`);
    await client.query(`VACUUM ANALYZE ${SCHEMA}.feature`);
  });
}

/** Numbers of the rules whose features do not count to the map's area. */
function farReaching(profile: Profile): number[] {
  const rules = profile.channels.flatMap((channel) => channel.rules);
  return rules.filter((rule) => rule.geometry === "line" && rule.members).map((rule) => rule.index);
}

/** Removes what is invalid, counts, and swaps the staging schema in. */
async function finish(
  client: pg.Client,
  { path, file, sha256, profile, left, log }: Outcome,
): Promise<ImportInfo> {
  await checkBare(client, path, left);
  await cutAtAntimeridian(client, STAGING);
  const { rows: invalid } = await client.query(
    `DELETE FROM ${STAGING}.feature WHERE ST_IsEmpty(geom) OR NOT ST_IsValid(geom) RETURNING osm_type, osm_id`,
  );
  await mapAreas(client, STAGING, farReaching(profile));
  await assembleSea(client, STAGING, profile);
  const words: Record<string, string> = { N: "node", W: "way", R: "relation" };
  const all = new Set([...left.invalid, ...invalid.map((row) => `${words[row.osm_type]} ${row.osm_id}`)]);
  const { rows: counts } = await client.query(
    `SELECT rule, count(*)::float8 AS count FROM ${STAGING}.feature GROUP BY rule`,
  );
  const bbox = await boxOfAreas(client, STAGING);
  if (bbox === undefined) {
    throw new FarmError(
      "input",
      `${path}: no object of the map fits any rule of the profile`,
      "try another extract",
    );
  }
  const byRule = new Map(counts.map((row) => [row.rule as number, row.count as number]));
  const channels = Object.fromEntries(
    profile.channels.map((channel) => [
      channel.name,
      channel.rules.reduce((sum, rule) => sum + (byRule.get(rule.index) ?? 0), 0),
    ]),
  );
  const rules = profile.channels.flatMap((channel) => channel.rules);
  const sampled = (kind: string): number[] =>
    rules.filter((rule) => rule.sample === kind).map((rule) => rule.index);
  await client.query(`
    CREATE TABLE ${STAGING}.import_info (
      pbf text NOT NULL, sha256 text NOT NULL, size bigint NOT NULL, bbox float8[4] NOT NULL, profile text NOT NULL,
      import_hash text NOT NULL, channels jsonb NOT NULL, labels int NOT NULL, invalid int NOT NULL,
      samples jsonb NOT NULL, imported_at timestamptz NOT NULL DEFAULT now())`);
  await client.query(
    `INSERT INTO ${STAGING}.import_info (pbf, sha256, size, profile, import_hash, channels, invalid, samples, bbox, labels)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, count(*) FROM ${STAGING}.label`,
    [
      basename(path),
      sha256,
      file.size,
      profile.name,
      profile.importHash,
      JSON.stringify(channels),
      all.size,
      JSON.stringify({ visit: sampled("visit"), transport: sampled("transport") }),
      bbox,
    ],
  );
  await client.query(`DROP TABLE ${STAGING}.area; ANALYZE ${STAGING}.feature; ANALYZE ${STAGING}.label`);
  await client.query(
    `BEGIN; DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; ALTER SCHEMA ${STAGING} RENAME TO ${SCHEMA}; COMMIT`,
  );
  const info = await selectInfo(client);
  if (info === undefined) throw new FarmError("internal", "the import left no import_info");
  if (all.size > 0) {
    const named = [...all].sort().slice(0, NAMED).join(", ");
    log(
      `${all.size} objects are left out, their geometry is invalid: ${named}${all.size > NAMED ? ", …" : ""}`,
    );
  }
  return info;
}
