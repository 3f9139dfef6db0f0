import { FarmError } from "@loc2vec/core";
import { serverOf, sqlState, withDatabase } from "@loc2vec/postgres";
import type pg from "pg";
import { SCHEMA, STAGING } from "./schemas.ts";

/** Key of the advisory lock that two imports into one database contend for ("loc2"). */
const LOCK = 0x6c6f6332;
/** Limits that a role may have for its usual clients; an import takes what it takes. Not every PostgreSQL has all. */
const LIMITS = [
  "statement_timeout",
  "lock_timeout",
  "transaction_timeout",
  "idle_in_transaction_session_timeout",
  "idle_session_timeout",
];

/** @param local for the transaction, else for the session */
export async function liftLimits(client: pg.Client, local: boolean): Promise<void> {
  await client.query("SELECT set_config(name, '0', $2) FROM pg_settings WHERE name = ANY ($1)", [
    LIMITS,
    local,
  ]);
}

/** @throws FarmError `service` where an import would fail for want of a right, at its beginning or after hours */
export async function checkRights(client: pg.Client, databaseUrl: string): Promise<void> {
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
export async function withLock<T>(databaseUrl: string, work: (lock: pg.Client) => Promise<T>): Promise<T> {
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
export async function settingsOfSession(client: pg.Client): Promise<Record<string, string>> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    `SELECT name, setting FROM pg_settings WHERE name = ANY ($1) AND setting IS DISTINCT FROM reset_val`,
    [["search_path", "standard_conforming_strings", ...LIMITS]],
  );
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
}

/** Makes PostGIS where the database lacks it. @throws FarmError `postgis-missing` where the server has none */
export async function createPostgis(client: pg.Client, databaseUrl: string): Promise<void> {
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
