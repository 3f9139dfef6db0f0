import { FarmError } from "@loc2vec/core";
import { sqlState, withDatabase } from "@loc2vec/postgres";

/** PostgreSQL's codes for "no such table", "no such schema". */
const MISSING_TABLE = new Set(["42P01", "3F000"]);

export function isMissingTable(error: unknown): boolean {
  return MISSING_TABLE.has(sqlState(error) ?? "");
}

/**
 * Makes a database on the server of `databaseUrl` unless it is there.
 *
 * @param name a-z, 0-9 and `_`
 * @returns its URL
 * @throws FarmError `service` when the server cannot be reached, or its user may not create databases
 */
export async function ensureDatabase(databaseUrl: string, name: string): Promise<string> {
  if (!/^[a-z_][a-z0-9_]*$/.test(name)) throw new FarmError("internal", `${name} is no name of a database`);
  await withDatabase(databaseUrl, async (client) => {
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
    if (rowCount !== 0) return;
    await client.query(`CREATE DATABASE ${name}`).catch((error: unknown) => {
      // Made by another process just now: one code or the other, by how near they were.
      if (!["42P04", "23505"].includes(sqlState(error) ?? "")) throw error;
    });
  });
  const named = new URL(databaseUrl);
  named.pathname = `/${name}`;
  return named.href;
}
