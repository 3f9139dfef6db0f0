import { errorMessage, FarmError, redact } from "@loc2vec/core";
import pg from "pg";

/** PostgreSQL's codes for "no such table", "no such schema", "no such function". */
const MISSING_TABLE = new Set(["42P01", "3F000", "42883"]);

export function isMissingTable(error: unknown): boolean {
  return error instanceof Error && MISSING_TABLE.has(String((error as { code?: unknown }).code));
}

/**
 * Runs `work` with a connection and closes it whatever happens.
 *
 * @throws FarmError `service` when the server cannot be reached or refuses; other errors of `work` pass through
 */
export async function withDatabase<T>(
  databaseUrl: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 10_000,
    application_name: "loc2vec-gis",
  });
  // A connection that breaks between queries would otherwise end the process; the next query reports it.
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (error) {
    throw new FarmError(
      "service",
      `PostgreSQL ${redact(databaseUrl)}: ${errorMessage(error)}`,
      "pnpm farm:up starts the private one; FARM_DATABASE_URL names another",
      { cause: error },
    );
  }
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** The libpq variables of a database URL: what a child process needs to connect, without a password in its arguments. */
export function libpqEnvironment(databaseUrl: string): Record<string, string> {
  const url = new URL(databaseUrl);
  const sslmode = url.searchParams.get("sslmode");
  const entries: [string, string | null][] = [
    ["PGHOST", url.searchParams.get("host") ?? url.hostname.replace(/^\[|\]$/g, "")],
    ["PGPORT", url.searchParams.get("port") ?? url.port],
    ["PGUSER", decodeURIComponent(url.username)],
    ["PGPASSWORD", decodeURIComponent(url.password)],
    ["PGDATABASE", decodeURIComponent(url.pathname.slice(1))],
    ["PGSSLMODE", sslmode],
  ];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => !!entry[1]));
}
