import { connect } from "node:net";
import { FarmError } from "@loc2vec/core";
import { sqlState, withDatabase } from "@loc2vec/postgres";
import type pg from "pg";

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
