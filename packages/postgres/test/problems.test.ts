import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { FarmError } from "@loc2vec/core";
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { connectDatabase, inTransaction, openPool, sqlState, withDatabase } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
  }
}

const ROLE = `Odd role ${process.pid}`;
const NOLOGIN = `nologin_${process.pid}`;
const SCHEMA = `problems_${process.pid}`;
let url: string;
let role: string;

const ask = (text: string, to = url): Promise<unknown> => withDatabase(to, (client) => client.query(text));
const rejection = async (work: Promise<unknown>): Promise<FarmError> => {
  const error = await work.then(
    () => new Error("it did not fail"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FarmError)) throw error;
  expect(error.line).not.toContain("\n");
  expect(error.line).not.toContain("geheim");
  expect(error.mend).not.toBe("");
  return error;
};
/** The URL, changed. */
const other = (change: (given: URL) => void, from = url): string => {
  const changed = new URL(from);
  change(changed);
  return changed.href;
};

const asNologin = (): string =>
  other((given) => {
    given.username = NOLOGIN;
    given.password = "geheim";
  });

beforeAll(async () => {
  url = inject("databaseUrl");
  await ask(`CREATE ROLE "${ROLE}" LOGIN PASSWORD 'geheim/@' CONNECTION LIMIT 2;
    CREATE ROLE ${NOLOGIN} PASSWORD 'geheim';
    CREATE SCHEMA ${SCHEMA}; CREATE TABLE ${SCHEMA}.mine (i int); CREATE SCHEMA ${SCHEMA}_open;
    CREATE TABLE ${SCHEMA}_open."My Table" (i int); GRANT USAGE ON SCHEMA ${SCHEMA}_open TO PUBLIC`);
  role = other((given) => {
    given.username = ROLE;
    given.password = "geheim%2F%40";
  });
});
afterAll(() => ask(`DROP SCHEMA ${SCHEMA}, ${SCHEMA}_open CASCADE; DROP ROLE "${ROLE}", ${NOLOGIN}`));

test.each([
  [
    "42501 of a schema",
    () => ask(`SELECT * FROM ${SCHEMA}.mine`, role),
    "service",
    `GRANT USAGE ON SCHEMA ${SCHEMA} TO "${ROLE}"`,
  ],
  [
    "42501 of a table",
    () => ask(`SELECT * FROM ${SCHEMA}_open."My Table"`, role),
    "service",
    `GRANT SELECT ON "My Table" TO "${ROLE}"`,
  ],
  [
    "42501 of a database",
    () => ask(`CREATE SCHEMA x`, role),
    "service",
    "GRANT CONNECT, CREATE ON DATABASE loc2vec",
  ],
  [
    "42501 of an owner",
    () => ask(`ALTER SCHEMA ${SCHEMA}_open RENAME TO x`, role),
    "service",
    `ALTER SCHEMA ${SCHEMA}_open OWNER TO "${ROLE}"`,
  ],
  [
    "42501 of a new database",
    () => ask("CREATE DATABASE x", role),
    "service",
    `ALTER ROLE "${ROLE}" CREATEDB`,
  ],
  ["42P01", () => ask("SELECT * FROM nowhere"), "input", "farm:import"],
  ["42703", () => ask(`SELECT nothing FROM ${SCHEMA}.mine`), "input", "column"],
  [
    "42704",
    () =>
      ask(
        "SELECT NULL::geometry",
        other((given) => {
          given.pathname = "/postgres";
        }),
      ),
    "missing",
    "in database postgres: CREATE EXTENSION postgis",
  ],
  [
    "42883",
    () =>
      ask(
        "SELECT ST_Point(1, 2)",
        other((given) => {
          given.pathname = "/postgres";
        }),
      ),
    "missing",
    "CREATE EXTENSION postgis",
  ],
  ["42601", () => ask("SELEKT 1"), "service", ""],
  ["22P02", () => ask("SELECT 'x'::int"), "input", ""],
  ["25006", () => ask("BEGIN READ ONLY; CREATE TABLE x ()"), "service", "primary"],
  [
    "57014",
    () => ask("SET statement_timeout = 20; SELECT pg_sleep(9)", role),
    "service",
    `ALTER ROLE "${ROLE}" SET statement_timeout = 0`,
  ],
  [
    "25P03",
    () =>
      withDatabase(role, async (client) => {
        await client.query("SET idle_in_transaction_session_timeout = 20; BEGIN");
        await sleep(200);
        await client.query("SELECT 1");
      }),
    "service",
    `ALTER ROLE "${ROLE}" SET idle_in_transaction_session_timeout = 0`,
  ],
  ["42704 of a setting", () => ask("", `${url}?options=-cnonsense%3D1`), "service", "`options`"],
  ["28000", () => ask("", asNologin()), "service", `ALTER ROLE ${NOLOGIN} LOGIN`],
  ["57P01", () => ask("SELECT pg_terminate_backend(pg_backend_pid())"), "service", "server is back"],
  [
    "55P03",
    () =>
      withDatabase(url, async (holder) => {
        await holder.query(`BEGIN; LOCK TABLE ${SCHEMA}.mine`);
        await ask(`BEGIN; LOCK TABLE ${SCHEMA}.mine NOWAIT`);
      }),
    "service",
    "lock",
  ],
  [
    "28P01",
    () =>
      ask(
        "",
        other((given) => {
          given.password = "geheim-falsch";
        }),
      ),
    "service",
    "password",
  ],
  [
    "3D000",
    () =>
      ask(
        "",
        other((given) => {
          given.pathname = "/No Where";
        }),
      ),
    "service",
    'CREATE DATABASE "No Where"',
  ],
  [
    "53300",
    async () => {
      const held = [await connectDatabase(role), await connectDatabase(role)];
      onTestFinished(() => Promise.all(held.map((client) => client.end())).then(() => {}));
      await connectDatabase(role);
    },
    "service",
    "max_connections",
  ],
])("%s", async (name, action, kind, mend) => {
  const error = await rejection(
    action().catch((thrown: unknown) => {
      // Nothing can be said of wrong SQL.
      if (mend === "" && thrown instanceof FarmError)
        throw new FarmError(thrown.kind, thrown.message, "-", { cause: thrown.cause });
      throw thrown;
    }),
  );
  const code = name.slice(0, 5);
  expect(error.kind).toBe(kind);
  expect(error.mend).toContain(mend);
  expect(error.message).toMatch(new RegExp(`^PostgreSQL at 127\\.0\\.0\\.1:\\d+/.*: .* \\(${code}\\)$`));
  expect(sqlState(error)).toBe(code);
});

// What no test can bring a server to say by itself, it says when asked to.
test.each([
  ["53100", "disk"],
  ["53200", "memory"],
  ["53400", "limit"],
  ["40001", "again"],
  ["57P03", "back"],
  ["58030", "log"],
  ["XX001", "log"],
])("%s", async (code, mend) => {
  const error = await rejection(
    ask(`DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '${code}'; END $$`),
  );
  expect(error.kind).toBe("service");
  expect(error.message).toMatch(new RegExp(`: so it is \\(${code}\\)$`));
  expect(error.mend).toContain(mend);
});

test("a pool's queries fail in the same words, and the pool goes on", async () => {
  const pool = openPool(url, { connections: 1, application: "test" });
  onTestFinished(() => pool.end());
  const error = await rejection(pool.query({ text: "SELECT 1 FROM nowhere", rowMode: "array" }));
  expect(error).toMatchObject({ kind: "input", message: expect.stringMatching(/\(42P01\)$/) });
  expect(await pool.query({ text: "SELECT 1", rowMode: "array" })).toEqual([[1]]);
});

test("a server that is away, hangs, or is none; a host that is none", async () => {
  const away = await rejection(connectDatabase("postgres://me:geheim@127.0.0.1:9/x"));
  expect(away.line).toMatch(/^PostgreSQL at 127\.0\.0\.1:9\/x: connect ECONNREFUSED.*FARM_DATABASE_URL/);
  const silent = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  const rude = createServer((socket) => socket.end("220 welcome\r\n")).listen(0, "127.0.0.1");
  onTestFinished(() => void [silent, rude].map((server) => server.close()));
  for (const server of [silent, rude]) {
    if (!server.listening) await once(server, "listening");
    const { port } = server.address() as { port: number };
    const error = await rejection(
      connectDatabase(`postgres://me:geheim@127.0.0.1:${port}/x?connect_timeout=1`),
    );
    expect(error.kind).toBe("service");
  }
  const lost = await rejection(connectDatabase("postgres://me:geheim@nowhere.invalid/x"));
  expect(lost.line).toMatch(/nowhere\.invalid.*(ENOTFOUND|EAI_AGAIN)/);
});

test.each([
  ["postgres://me:geheim@a,b/x", /several hosts \(a,b\)/],
  ["postgres:///x?host=a,b", /several hosts \(a,b\)/],
  ["postgres://me@127.0.0.1/x?sslmode=always", /sslmode=always is unknown/],
  ["postgres://me@127.0.0.1/x?sslmode=require&sslrootcert=/nowhere/ca.pem", /\/nowhere\/ca\.pem/],
])("%s is refused", async (given, message) => {
  const error = await rejection(connectDatabase(given));
  expect(error.kind).toBe("usage");
  expect(error.message).toMatch(message);
});

test("inTransaction: nobody's settings are left behind, and an error passes through", async () => {
  await withDatabase(url, async (client) => {
    await client.query("SET extra_float_digits = -15");
    const third = () => client.query("SELECT 1 / 3::float8 AS third").then(({ rows }) => rows[0]?.third);
    expect(await inTransaction(client, third)).toBe(1 / 3);
    expect(await third()).toBe(0.3);
    await expect(inTransaction(client, () => Promise.reject(new Error("inside")))).rejects.toThrow("inside");
    await expect(inTransaction(client, () => client.query("CREATE TABLE x ()"))).rejects.toMatchObject({
      kind: "service",
    });
    expect(await third()).toBe(0.3);
  });
});
