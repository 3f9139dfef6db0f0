import { connect } from "node:net";
import { FarmError } from "@loc2vec/core";
import type pg from "pg";

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
