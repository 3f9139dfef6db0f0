import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Bbox, errorMessage, FarmError, randomOf } from "@loc2vec/core";
import type pg from "pg";
import { boxOfAreas, cutAtAntimeridian, mapAreas } from "./areas.ts";
import { isMissingTable, libpqEnvironment, withDatabase } from "./database.ts";
import { checkOsmFile, type OsmFile, sha256File } from "./osmfile.ts";
import type { Profile } from "./profile.ts";
import { assembleSea } from "./sea.ts";
import { flexStyle } from "./style.ts";

/** What the imported map is: the single row of `farm.import_info`. */
export interface ImportInfo {
  /** Name of the file, without its folder. */
  pbf: string;
  /** Of the file, hex. */
  sha256: string;
  /** Of the file, bytes. */
  size: number;
  /** Of the imported features. */
  bbox: Bbox;
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
  /** An `.osm.pbf`, `.osm` or `.osm.bz2` file. */
  pbf: string;
  databaseUrl: string;
  profile: Profile;
  /** Imports even what is imported already. */
  force?: boolean;
  log?: (line: string) => void;
  /** Stops osm2pgsql; the previous import stays. */
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
 * @throws FarmError `input` (file missing, corrupt, or without a feature), `missing` (osm2pgsql or PostGIS), `service`,
 *   `interrupted`
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
    await createPostgis(client);
    await client.query(`DROP SCHEMA IF EXISTS ${STAGING} CASCADE; CREATE SCHEMA ${STAGING}`);
    try {
      const dropped = await runOsm2pgsql({ path, file, databaseUrl, profile, log, signal });
      return await finish(client, { path, file, sha256, profile, dropped, log });
    } catch (error) {
      await client.query(`ROLLBACK; DROP SCHEMA IF EXISTS ${STAGING} CASCADE`).catch(() => {});
      throw error;
    }
  });
}

/** The import in a database; undefined when there is none. @throws FarmError `service` */
export async function readImportInfo(databaseUrl: string): Promise<ImportInfo | undefined> {
  return withDatabase(databaseUrl, selectInfo);
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
  path: string;
  file: OsmFile;
  log: (line: string) => void;
  signal: AbortSignal | undefined;
}

/** Runs osm2pgsql into the staging schema; resolves to the objects it found invalid, e.g. `relation 42`. */
async function runOsm2pgsql({ path, file, databaseUrl, profile, log, signal }: Run): Promise<Set<string>> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-import-"));
  try {
    const style = join(folder, "style.lua");
    await writeFile(style, flexStyle(profile, STAGING));
    const slim =
      file.size > SLIM_BYTES
        ? ["--slim", "--drop", `--middle-schema=${STAGING}`, `--flat-nodes=${join(folder, "nodes")}`]
        : [];
    const format = file.format === "pbf" ? "pbf" : "xml";
    const reader = file.format === "bz2" ? [] : [`--input-reader=${format}`];
    const args = [
      "--create",
      "--output=flex",
      "--style",
      style,
      "--log-progress=false",
      ...reader,
      ...slim,
      path,
    ];
    const child = spawn("osm2pgsql", args, {
      env: { ...process.env, ...libpqEnvironment(databaseUrl) },
      stdio: ["ignore", "pipe", "pipe"],
      ...(signal ? { signal } : {}),
    });
    const invalid = new Set<string>();
    const errors: string[] = [];
    const onLine = (line: string): void => {
      if (line.startsWith("loc2vec-invalid ")) invalid.add(line.slice("loc2vec-invalid ".length));
      else if (/\bERROR:/.test(line)) errors.push(line.replace(/^.*?ERROR:\s*/, ""));
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
      const service = /database|connect|server|schema|permission/i.test(why);
      throw new FarmError(
        service ? "service" : "input",
        `${path}: ${why}`,
        service ? "" : "fetch the file again",
      );
    }
    return invalid;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Outcome {
  path: string;
  file: OsmFile;
  sha256: string;
  profile: Profile;
  dropped: ReadonlySet<string>;
  log: (line: string) => void;
}

/** Invalid objects that are named. */
const NAMED = 20;

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

/** Removes what is invalid, counts, and swaps the staging schema in. */
async function finish(
  client: pg.Client,
  { path, file, sha256, profile, dropped, log }: Outcome,
): Promise<ImportInfo> {
  await cutAtAntimeridian(client, STAGING);
  const { rows: invalid } = await client.query(
    `DELETE FROM ${STAGING}.feature WHERE ST_IsEmpty(geom) OR NOT ST_IsValid(geom) RETURNING osm_type, osm_id`,
  );
  await mapAreas(client, STAGING);
  await assembleSea(client, STAGING, profile);
  const words: Record<string, string> = { N: "node", W: "way", R: "relation" };
  const all = new Set([...dropped, ...invalid.map((row) => `${words[row.osm_type]} ${row.osm_id}`)]);
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
