import pg from "pg";
import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** A PostgreSQL with PostGIS, whose user may create databases. */
    databaseUrl: string;
  }
}

export interface TestDatabase {
  databaseUrl: string;
  query(text: string): Promise<Record<string, unknown>[]>;
  drop(): Promise<void>;
}

export async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** An empty database of the test file's own. */
export async function createDatabase(name: string): Promise<TestDatabase> {
  const server = new URL(inject("databaseUrl"));
  const database = `${name}_test_${process.pid}`;
  await query(server.href, `CREATE DATABASE ${database}`);
  const url = new URL(server);
  url.pathname = `/${database}`;
  return {
    databaseUrl: url.href,
    query: (text) => query(url.href, text),
    drop: async () => void (await query(server.href, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)),
  };
}
