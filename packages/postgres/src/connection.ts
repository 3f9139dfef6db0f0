import pg from "pg";
import { postgresError } from "./problems.ts";
import { driverConfig } from "./url.ts";

/** The driver's client, whose failures are FarmErrors: what a server answers is never a fault of the farm. */
class Client extends pg.Client {
  readonly #url: string;
  /** What broke the connection; queries after that only say that it is broken. */
  #broken: Error | undefined;

  constructor(databaseUrl: string) {
    super(driverConfig(databaseUrl, "loc2vec"));
    this.#url = databaseUrl;
    // A connection that breaks between queries would otherwise end the process; the next query reports it.
    this.on("error", (error) => {
      this.#broken ??= error;
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: the driver declares six forms; all of those that promise are meant
  override query(...args: any[]): any {
    const asked = (super.query as (...args: unknown[]) => unknown).apply(this, args);
    if (!(asked instanceof Promise)) return asked;
    return asked.catch((error: unknown) => {
      throw postgresError(this.#broken ?? error, this.#url);
    });
  }
}

/** @throws FarmError `service` when the server cannot be reached or refuses; `usage` for a URL that is none of a database */
export async function connectDatabase(databaseUrl: string): Promise<pg.Client> {
  try {
    const client = new Client(databaseUrl);
    await client.connect();
    return client;
  } catch (error) {
    throw postgresError(error, databaseUrl);
  }
}

/**
 * Runs `work` with a connection and closes it whatever happens.
 *
 * @throws FarmError what {@link connectDatabase} throws, and for whatever a query fails by (`postgresError`); other errors of
 * `work` pass through
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

/** Connections that are opened as they are needed. Both throw FarmErrors as {@link withDatabase} does. */
export interface DatabasePool {
  query<Row extends unknown[]>(query: pg.QueryArrayConfig): Promise<Row[]>;
  end(): Promise<void>;
}

/** @param connections at most */
export function openPool(
  databaseUrl: string,
  { connections, application }: { connections: number; application: string },
): DatabasePool {
  const pool = new pg.Pool({ ...driverConfig(databaseUrl, application), max: connections });
  // A connection that breaks while idle is replaced; the next query reports what is wrong.
  pool.on("error", () => {});
  return {
    async query<Row extends unknown[]>(query: pg.QueryArrayConfig): Promise<Row[]> {
      try {
        return (await pool.query<Row>(query)).rows;
      } catch (error) {
        throw postgresError(error, databaseUrl);
      }
    },
    end: () => pool.end(),
  };
}

async function backendOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid as number;
}

/**
 * Whether a pooler (PgBouncer and its like) stands between: it invents the process number that a client is told at its start.
 * Whether it lends connections by the session or by the transaction cannot be told so easily.
 */
export async function isPooled(client: pg.Client): Promise<boolean> {
  return (await backendOf(client)) !== (client as unknown as { processID: number | null }).processID;
}

/**
 * Whether a pooler lends the client's connection to others between its transactions, as PgBouncer does in transaction mode: then
 * there are no settings, locks or prepared statements of a session. Poolers lend the connection that was used last, so another
 * client gets that of this one.
 */
export async function sharesConnections(client: pg.Client, databaseUrl: string): Promise<boolean> {
  if (!(await isPooled(client))) return false;
  // Another client may get in between.
  for (let round = 0; round < 3; round++) {
    const mine = await backendOf(client);
    const theirs = await withDatabase(databaseUrl, async (competitor) => {
      await competitor.query("BEGIN");
      return backendOf(competitor);
    });
    if (mine === theirs) return true;
  }
  return false;
}
