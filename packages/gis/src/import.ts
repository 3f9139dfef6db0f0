import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Box, FarmError } from "@loc2vec/core";
import {
  inTransaction,
  libpqDatabase,
  libpqEnvironment,
  postgresProblem,
  serverOf,
  sessionSettings,
  sharesConnections,
  sqlState,
  withDatabase,
} from "@loc2vec/postgres";
import type pg from "pg";
import { boxOfAreas, cutAtAntimeridian, mapAreas } from "./areas.ts";
import { isMissingTable, withCancel } from "./database.ts";
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
  /** SHA-256 of the file, hex. */
  sha256: string;
  /** Size of the file, bytes. */
  size: number;
  /** Box around the imported features, degrees, WGS 84: west, south, east, north. */
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
    const before = await selectInfo(client).catch((error: unknown) => {
      // Who may not even read what is there learns below what an import takes.
      if (sqlState(error) === "42501") return undefined;
      throw error;
    });
    if (!force && before?.sha256 === sha256 && before.importHash === profile.importHash) {
      log(`${before.pbf}: already imported at ${before.importedAt}`);
      return before;
    }
    await checkRights(client, databaseUrl);
    if (await sharesConnections(client, databaseUrl)) {
      throw new FarmError(
        "postgres",
        `PostgreSQL at ${serverOf(databaseUrl)}: a pooler lends its connections by the transaction, and osm2pgsql needs sessions`,
        "import with a FARM_DATABASE_URL that names PostgreSQL itself, or a pooler in session mode",
      );
    }
    return withLock(databaseUrl, async (lock) => {
      const folder = await mkdtemp(join(tmpdir(), "loc2vec-import-"));
      try {
        const map = await prepareMap({ path, file, folder, log, signal });
        await createPostgis(client, databaseUrl);
        await sessionSettings(client);
        await liftLimits(client, false);
        await client.query(`DROP SCHEMA IF EXISTS ${STAGING} CASCADE; CREATE SCHEMA ${STAGING}`);
        const settings = await settingsOfSession(client);
        const left = await runOsm2pgsql({
          path,
          file,
          map,
          folder,
          databaseUrl,
          settings,
          profile,
          log,
          signal,
        });
        const what = `import of ${path}`;
        return await withCancel(client, signal, what, () =>
          withCancel(lock, signal, what, () =>
            finish(client, { lock, path, file, sha256, profile, left, log }),
          ),
        );
      } catch (error) {
        await client.query(`ROLLBACK; DROP SCHEMA IF EXISTS ${STAGING} CASCADE`).catch(() => {});
        throw error;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  });
}

/** Limits that a role may have for its usual clients; an import takes what it takes. Not every PostgreSQL has all. */
const LIMITS = [
  "statement_timeout",
  "lock_timeout",
  "transaction_timeout",
  "idle_in_transaction_session_timeout",
  "idle_session_timeout",
];

/** @param local for the transaction, else for the session */
async function liftLimits(client: pg.Client, local: boolean): Promise<void> {
  await client.query("SELECT set_config(name, '0', $2) FROM pg_settings WHERE name = ANY ($1)", [
    LIMITS,
    local,
  ]);
}

/** @throws FarmError `service` where an import would fail for want of a right, at its beginning or after hours */
async function checkRights(client: pg.Client, databaseUrl: string): Promise<void> {
  const { rows } = await client.query<{
    standby: boolean;
    readonly: boolean;
    creates: boolean;
    encoding: string;
    database: string;
    role: string;
    foreign: { schema: string; owner: string } | null;
  }>(
    `SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS readonly,
       has_database_privilege(current_database(), 'CREATE') AS creates, current_setting('server_encoding') AS encoding,
       quote_ident(current_database()) AS database, quote_ident(current_user) AS role,
       (SELECT json_build_object('schema', nspname, 'owner', pg_get_userbyid(nspowner)) FROM pg_namespace
        WHERE nspname IN ('${SCHEMA}', '${STAGING}') AND NOT pg_has_role(nspowner, 'USAGE') ORDER BY nspname LIMIT 1) AS foreign`,
  );
  const { standby, readonly, creates, encoding, database, role, foreign } = rows[0] as NonNullable<
    (typeof rows)[0]
  >;
  const refuse = (what: string, mend: string): FarmError =>
    new FarmError("postgres", `PostgreSQL at ${serverOf(databaseUrl)}: ${what}`, mend);
  if (standby) {
    throw refuse(
      "a standby, which only reads (25006)",
      "let FARM_DATABASE_URL name the primary for the import",
    );
  }
  if (readonly) {
    throw refuse(
      `role ${role} only reads: its default_transaction_read_only is on (25006)`,
      `import as another role, or ALTER ROLE ${role} SET default_transaction_read_only = off`,
    );
  }
  if (!creates) {
    throw refuse(
      `role ${role} may not create a schema in database ${database} (42501)`,
      `GRANT CREATE ON DATABASE ${database} TO ${role}, or import as another role`,
    );
  }
  if (foreign !== null) {
    throw refuse(
      `schema ${foreign.schema} belongs to role ${foreign.owner}, so role ${role} may not replace it (42501)`,
      `import as ${foreign.owner}, or ALTER SCHEMA ${foreign.schema} OWNER TO ${role}`,
    );
  }
  if (encoding !== "UTF8" && encoding !== "SQL_ASCII") {
    throw refuse(
      `database ${database} has the encoding ${encoding}, which lacks letters of the map`,
      "CREATE DATABASE osm ENCODING 'UTF8' TEMPLATE template0, and name that",
    );
  }
}

/**
 * Runs `work` while no other import may run. The lock is one of a transaction, which stays open on a connection of its own: it
 * goes with that connection whatever happens, also behind a pooler.
 */
async function withLock<T>(databaseUrl: string, work: (lock: pg.Client) => Promise<T>): Promise<T> {
  return withDatabase(databaseUrl, async (lock) => {
    await lock.query("BEGIN ISOLATION LEVEL READ COMMITTED");
    await liftLimits(lock, true);
    const { rows } = await lock.query("SELECT pg_try_advisory_xact_lock($1) AS got", [LOCK]);
    if (rows[0]?.got !== true) {
      throw new FarmError(
        "postgres",
        "another import into this database is running",
        "wait until it is done",
      );
    }
    return work(lock);
  });
}

/** What osm2pgsql must be told for its sessions to be like this one: where PostGIS is, and no limits. */
async function settingsOfSession(client: pg.Client): Promise<Record<string, string>> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    `SELECT name, setting FROM pg_settings WHERE name = ANY ($1) AND setting IS DISTINCT FROM reset_val`,
    [["search_path", "standard_conforming_strings", ...LIMITS]],
  );
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
}

/** The import in a database; undefined when there is none. @throws FarmError `service` */
export async function readImportInfo(databaseUrl: string): Promise<ImportInfo | undefined> {
  return withDatabase(databaseUrl, selectInfo);
}

export function noMap(cause?: unknown): FarmError {
  return new FarmError("map-missing", "no map is imported", "pnpm farm:import FILE.osm.pbf", { cause });
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
      "map-missing",
      `the map ${map.pbf} was imported with other rules than those of the profile ${profile.name}`,
      "pnpm farm:import it again",
    );
  }
  return map;
}

export async function selectInfo(client: pg.Client): Promise<ImportInfo | undefined> {
  const result = await inTransaction(client, () =>
    client.query(
      `SELECT pbf, sha256, size::float8, bbox, profile, import_hash, channels, labels, invalid, samples, imported_at
       FROM ${SCHEMA}.import_info`,
    ),
  ).catch((error: unknown) => {
    if (isMissingTable(error)) return undefined;
    throw error;
  });
  const row = result?.rows[0];
  if (row === undefined) return undefined;
  const { import_hash: importHash, imported_at: at, ...rest } = row;
  return { ...rest, importHash, importedAt: (at as Date).toISOString() };
}

async function createPostgis(client: pg.Client, databaseUrl: string): Promise<void> {
  // Asked first: CREATE EXTENSION IF NOT EXISTS wants the right to create it, also where it exists.
  const { rowCount } = await client.query("SELECT 1 FROM pg_extension WHERE extname = 'postgis'");
  if (rowCount !== 0) return;
  try {
    await client.query("CREATE EXTENSION IF NOT EXISTS postgis");
  } catch (error) {
    if (!["0A000", "58P01"].includes(sqlState(error) ?? "")) throw error;
    const { rows } = await client.query("SELECT current_setting('server_version_num')::int / 10000 AS major");
    throw new FarmError(
      "postgis-missing",
      `PostgreSQL at ${serverOf(databaseUrl)}: PostGIS is not installed there (${sqlState(error)})`,
      `apt-get install postgresql-${rows[0]?.major}-postgis-3 on its machine`,
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
  /** PostgreSQL's settings for osm2pgsql's sessions. */
  settings: Readonly<Record<string, string>>;
  log: (line: string) => void;
  signal: AbortSignal | undefined;
}

/** Objects that osm2pgsql found no geometry for, e.g. `relation 42`. */
interface LeftOut {
  /** All. */
  invalid: Set<string>;
  /** Among these, ways whose nodes and relations whose ways the map does not hold. */
  bare: number;
}

/** Runs osm2pgsql into the staging schema. */
async function runOsm2pgsql({
  path,
  file,
  map,
  folder,
  databaseUrl,
  settings,
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
  const database = libpqDatabase(databaseUrl);
  if (database !== undefined) args.push(`--database=${database}`);
  args.push(`--input-reader=${map.format}`, ...slim, map.path);
  const child = spawn("osm2pgsql", args, {
    env: { ...libpqEnvironment(databaseUrl, settings), LC_ALL: "C.UTF-8" },
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
    throw (
      postgresProblem(why, databaseUrl) ?? new FarmError("input", `${path}: ${why}`, "fetch the file again")
    );
  }
  return left;
}

interface Outcome {
  /** The connection whose transaction holds the lock. */
  lock: pg.Client;
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

/** Numbers of the rules whose features do not count to the map's area. */
function farReaching(profile: Profile): number[] {
  const rules = profile.channels.flatMap((channel) => channel.rules);
  return rules.filter((rule) => rule.geometry === "line" && rule.members).map((rule) => rule.index);
}

/** Removes what is invalid, counts, and swaps the staging schema in. */
async function finish(
  client: pg.Client,
  { lock, path, file, sha256, profile, left, log }: Outcome,
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
  await keepGrants(client);
  // With the lock: nothing is replaced unless it was held throughout. A failure goes back to the savepoint and keeps it.
  await lock.query(
    `SAVEPOINT swap; DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; ALTER SCHEMA ${STAGING} RENAME TO ${SCHEMA}; COMMIT`,
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

/** Who might read the previous import may read the new one. */
async function keepGrants(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `SELECT format('GRANT %s ON %s TO %s', acl.privilege_type, target,
       CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END) AS statement
     FROM (
       SELECT 'SCHEMA ${STAGING}' AS target, nspacl AS acl_items, nspowner AS owner FROM pg_namespace WHERE nspname = '${SCHEMA}'
       UNION ALL
       SELECT format('${STAGING}.%I', relname), relacl, relowner FROM pg_class
       WHERE relnamespace = to_regnamespace('${SCHEMA}') AND relname IN ('feature', 'label', 'import_info')
     ) AS object, aclexplode(acl_items) AS acl WHERE acl.grantee <> owner`,
  );
  for (const { statement } of rows) await client.query(statement);
}
