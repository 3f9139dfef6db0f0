import type pg from "pg";

/**
 * What results depend on, whatever the role, the database or the server has for it: numbers with all their digits, dates and
 * bytes that the driver reads, and arrays as it writes them.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  extra_float_digits: "1",
  datestyle: "ISO",
  intervalstyle: "postgres",
  bytea_output: "hex",
  timezone: "UTC",
  standard_conforming_strings: "on",
  array_nulls: "on",
};

/** PostGIS is found wherever it is installed: its schema comes last in the search path, unless it is there. */
const searchPath = (local: boolean): string =>
  `SELECT set_config('search_path',
     concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(nspname)), ${local})
   FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
   WHERE extname = 'postgis' AND nspname <> ALL (current_schemas(true))`;

const settings = (local: boolean): string =>
  [
    searchPath(local),
    ...Object.entries(SETTINGS).map(
      ([name, value]) => `SET ${local ? "LOCAL" : "SESSION"} ${name} = '${value}'`,
    ),
  ].join("; ");

/** Sets for the session what results depend on. Only where the connection is ours alone: see `sharesConnections`. */
export async function sessionSettings(client: pg.ClientBase): Promise<void> {
  await client.query(settings(false));
}

/** How a transaction may begin. Each names its isolation level: a role may have another as default. */
export type TransactionMode =
  | "ISOLATION LEVEL READ COMMITTED READ ONLY"
  | "ISOLATION LEVEL READ COMMITTED READ WRITE"
  | "ISOLATION LEVEL REPEATABLE READ READ ONLY";

/**
 * Begins a transaction in which results do not depend on anybody's settings, and PostGIS is found. All is of the transaction,
 * so it holds behind a pooler that gives the next transaction another connection. One round trip.
 */
export async function beginTransaction(
  client: pg.ClientBase,
  mode: TransactionMode = "ISOLATION LEVEL READ COMMITTED READ ONLY",
): Promise<void> {
  await client.query(`BEGIN ${mode}; ${settings(true)}`);
}

/** Runs `work` in a transaction as `beginTransaction` begins it; whatever it throws passes through. */
export async function inTransaction<T>(
  client: pg.ClientBase,
  work: () => Promise<T>,
  mode?: TransactionMode,
): Promise<T> {
  try {
    await beginTransaction(client, mode);
    const result = await work();
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}
