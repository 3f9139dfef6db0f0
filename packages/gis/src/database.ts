import { connect } from "node:net";
import { errorMessage, FarmError, redact } from "@loc2vec/core";
import pg from "pg";

/** PostgreSQL's codes for "no such table", "no such schema", "no such function". */
const MISSING_TABLE = new Set(["42P01", "3F000", "42883"]);

export function isMissingTable(error: unknown): boolean {
  return error instanceof Error && MISSING_TABLE.has(String((error as { code?: unknown }).code));
}

/** @throws FarmError `service` when the server cannot be reached or refuses */
export async function connectDatabase(databaseUrl: string): Promise<pg.Client> {
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
  return client;
}

/**
 * Runs `work` with a connection and closes it whatever happens.
 *
 * @throws FarmError what {@link connectDatabase} throws; other errors of `work` pass through
 */
export async function withDatabase<T>(
  databaseUrl: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connectDatabase(databaseUrl);
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
    ["PGSSLROOTCERT", url.searchParams.get("sslrootcert")],
    ["PGSSLCERT", url.searchParams.get("sslcert")],
    ["PGSSLKEY", url.searchParams.get("sslkey")],
  ];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => !!entry[1]));
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
      if ((error as { code?: unknown }).code === "42P04") return; // made by another process just now
      throw new FarmError(
        "service",
        `database ${name}: ${errorMessage(error)}`,
        "a role with CREATEDB is needed",
        { cause: error },
      );
    });
  });
  const named = new URL(databaseUrl);
  named.pathname = `/${name}`;
  return named.href;
}

/** How often a query that is to stop is told so: the first time may have come between two. */
const CANCEL_MS = 500;

/**
 * Runs `work`, whose queries on `client` stop when `signal` says so: the server is asked to cancel them, as libpq's
 * PQcancel does (also behind PgBouncer), which needs no right and no place among the server's connections.
 *
 * @param what for the error, e.g. `import of monaco.osm.pbf`
 * @throws FarmError `interrupted`; other errors of `work` pass through
 */
export async function withCancel<T>(
  client: pg.Client,
  signal: AbortSignal | undefined,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return work();
  const interrupted = (cause?: unknown): FarmError =>
    new FarmError("interrupted", `${what} stopped`, "run it again", { cause });
  if (signal.aborted) throw interrupted();
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    requestCancel(client);
    timer = setInterval(() => requestCancel(client), CANCEL_MS);
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await work();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw interrupted(error);
  } finally {
    signal.removeEventListener("abort", stop);
    clearInterval(timer);
  }
}

/** Sends PostgreSQL's CancelRequest (its protocol, 55.2.8) on a connection of its own. */
function requestCancel(client: pg.Client): void {
  // What the server gave for this is no part of the driver's types.
  const { host, port, processID, secretKey } = client as pg.Client & { processID: number; secretKey: number };
  const packet = Buffer.alloc(16);
  packet.writeInt32BE(16, 0);
  packet.writeInt32BE(80877102, 4);
  packet.writeInt32BE(processID, 8);
  packet.writeInt32BE(secretKey, 12);
  const socket = host.startsWith("/") ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket.on("error", () => {});
  socket.end(packet);
}
