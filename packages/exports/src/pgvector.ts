import { FarmError } from "@loc2vec/core";
import { inTransaction, serverOf, sqlState, withCancel, withDatabase } from "@loc2vec/postgres";
import pg from "pg";
import { decimals } from "./decimals.ts";
import type { EmbeddingTable, Origin, TableBlock } from "./table.ts";

/** Rows of one INSERT. */
const ROWS_AT_A_TIME = 4096;
/** The first pgvector with HNSW. */
const HNSW_SINCE = [0, 5] as const;
/** Longest name of a table: its indexes have names of up to 63 bytes that begin with it. */
const NAME = /^(?:([a-z_][a-z0-9_]{0,62})\.)?([a-z_][a-z0-9_]{0,39})$/;

export interface VectorTableOptions {
  /** `table` or `schema.table`, a–z, 0–9 and `_`. Default: `embeddings_<dataset>_<model>`. */
  name?: string | undefined;
  signal?: AbortSignal | undefined;
  /** All rows are there, and the indexes come, which takes minutes for millions. */
  onIndexing?: (() => void) | undefined;
}

export interface WrittenTable {
  /** `schema.table`. */
  table: string;
  rows: number;
  /** Whether it was there already, of the same vectors. */
  kept: boolean;
}

/**
 * Writes a table `(location, geometry, kind, label, embedding)` into PostgreSQL: points in EPSG:4326, vectors of pgvector,
 * with indexes over place (GiST) and vectors (HNSW, Euclidean). One transaction: readers see the table of before until all is
 * there. A table of the same vectors stays as it is; one of the same data set and model is replaced.
 *
 * @throws FarmError `pgvector-missing`, `postgis-missing`; `usage` for a name that cannot be one, or that something else has;
 *   `interrupted`; `postgres`
 */
export async function writeVectorTable(
  databaseUrl: string,
  table: EmbeddingTable,
  { name, signal, onIndexing }: VectorTableOptions = {},
): Promise<WrittenTable> {
  const { origin } = table;
  const asked = name ?? `embeddings_${origin.dataset}_${origin.model}`.replace(/[^a-z0-9_]/g, "_");
  const [, schema, bare = ""] = NAME.exec(asked) ?? [];
  if (bare === "" || schema === "farm")
    throw new FarmError(
      "usage",
      schema === "farm"
        ? `table ${asked}: each import makes that schema anew`
        : `table ${asked} is no name that will do`,
      "--table NAME or SCHEMA.NAME, of a-z, 0-9 and _, NAME of 40 characters at most",
    );
  return withDatabase(databaseUrl, (client) =>
    withCancel(client, signal, `export of ${origin.dataset} to ${asked}`, () =>
      inTransaction(
        client,
        async () => {
          await openExtensions(client, databaseUrl);
          const names = await namesOf(client, schema, bare);
          await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [
            `loc2vec ${names.told}`,
          ]);
          const before = await lookUp(client, names, table);
          if (before !== "same") await replace(client, names, table, before === "older", onIndexing);
          return { table: names.told, rows: table.rows, kept: before === "same" };
        },
        "ISOLATION LEVEL READ COMMITTED READ WRITE",
      ),
    ),
  );
}

interface Names {
  /** For people. */
  told: string;
  schema: string;
  bare: string;
  /** A name as SQL has it, in the schema. */
  sql(bare: string): string;
}

async function namesOf(client: pg.ClientBase, given: string | undefined, bare: string): Promise<Names> {
  if (given !== undefined) {
    const { rowCount } = await client.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", [given]);
    if (rowCount === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(given)}`);
  }
  const { rows } = await client.query<{ schema: string | null }>("SELECT current_schema() AS schema");
  const schema = given ?? rows[0]?.schema ?? "public";
  const sql = (name: string): string => `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
  return { told: `${schema}.${bare}`, schema, bare, sql };
}

/** Makes sure of PostGIS and pgvector, and that the transaction finds pgvector's types wherever they are installed. */
async function openExtensions(client: pg.ClientBase, databaseUrl: string): Promise<void> {
  const { rows } = await client.query<{ name: string; available: string; installed: string | null }>(
    `SELECT name, default_version AS available, installed_version AS installed
     FROM pg_available_extensions WHERE name IN ('postgis', 'vector')`,
  );
  const of = (name: string) => rows.find((row) => row.name === name);
  const where = serverOf(databaseUrl);
  if (!of("postgis")?.installed)
    throw new FarmError(
      "postgis-missing",
      `${where}: the database has no PostGIS`,
      "CREATE EXTENSION postgis",
    );
  const vector = of("vector");
  if (vector === undefined)
    throw new FarmError(
      "pgvector-missing",
      `${where}: the server has no pgvector`,
      "install it there (Debian 13 and Ubuntu 24.04: postgresql-NN-pgvector, NN the server's version), or choose --format geoparquet",
    );
  const [major = 0, minor = 0] = (vector.installed ?? vector.available).split(".").map(Number);
  if (major === HNSW_SINCE[0] && minor < HNSW_SINCE[1])
    throw new FarmError(
      "pgvector-missing",
      `${where}: pgvector ${vector.installed ?? vector.available} has no HNSW`,
      `install pgvector ${HNSW_SINCE.join(".")} or later there, then ALTER EXTENSION vector UPDATE`,
    );
  if (vector.installed === null)
    await client.query("CREATE EXTENSION IF NOT EXISTS vector").catch((error: unknown) => {
      if (sqlState(error) !== "42501") throw error;
      throw new FarmError(
        "pgvector-missing",
        `${where}: this role may not create pgvector in the database`,
        "as a superuser, in that database: CREATE EXTENSION vector",
        { cause: error },
      );
    });
  await client.query(
    `SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(nspname)), true)
     FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
     WHERE extname = 'vector' AND nspname <> ALL (current_schemas(true))`,
  );
}

/** What a table's comment says of it. */
const commentOf = ({ origin, rows }: EmbeddingTable): string =>
  JSON.stringify({ loc2vec: { ...origin, rows } });

/** What has the name: nothing, the same vectors, or older ones of the same data set and model. @throws FarmError `usage` for anything else */
async function lookUp(
  client: pg.ClientBase,
  { told, sql, bare }: Names,
  table: EmbeddingTable,
): Promise<"nothing" | "same" | "older"> {
  const { rows } = await client.query<{ there: boolean; comment: string | null }>(
    `SELECT to_regclass($1) IS NOT NULL AS there, obj_description(to_regclass($1), 'pg_class') AS comment`,
    [sql(bare)],
  );
  const { there = false, comment = null } = rows[0] ?? {};
  if (!there) return "nothing";
  if (comment === commentOf(table)) return "same";
  const was = originIn(comment);
  const { dataset, model } = table.origin;
  if (was?.dataset === dataset && was.model === model) return "older";
  throw new FarmError(
    "usage",
    `table ${told} is there, ${was === undefined ? "and no export of the farm's" : `of ${was.dataset} by ${was.model}`}`,
    "--table names another one",
  );
}

function originIn(comment: string | null): Partial<Origin> | undefined {
  try {
    return (JSON.parse(comment ?? "{}") as { loc2vec?: Partial<Origin> }).loc2vec;
  } catch {
    return undefined;
  }
}

/** Fills a table beside the one of before, and puts it in its place at the end: readers wait for that moment alone. */
async function replace(
  client: pg.ClientBase,
  { sql, bare }: Names,
  table: EmbeddingTable,
  older: boolean,
  onIndexing?: () => void,
): Promise<void> {
  const made = `${bare}__new`;
  await client.query(
    `CREATE TABLE ${sql(made)} (
       location integer NOT NULL, geometry geometry(Point, 4326) NOT NULL, kind text NOT NULL, label text,
       embedding vector(${table.size}) NOT NULL)`,
  );
  for await (const block of table.blocks()) await insert(client, sql(made), table.size, block);
  onIndexing?.();
  const indexes = {
    pkey: `ALTER TABLE ${sql(made)} ADD CONSTRAINT ${pg.escapeIdentifier(`${made}_pkey`)} PRIMARY KEY (location)`,
    geometry: `CREATE INDEX ${pg.escapeIdentifier(`${made}_geometry`)} ON ${sql(made)} USING gist (geometry)`,
    embedding: `CREATE INDEX ${pg.escapeIdentifier(`${made}_embedding`)} ON ${sql(made)} USING hnsw (embedding vector_l2_ops)`,
  };
  for (const make of Object.values(indexes)) await client.query(make);
  await client.query(`COMMENT ON TABLE ${sql(made)} IS ${pg.escapeLiteral(commentOf(table))}`);
  if (older) await client.query(`DROP TABLE ${sql(bare)}`);
  await client.query(`ALTER TABLE ${sql(made)} RENAME TO ${pg.escapeIdentifier(bare)}`);
  for (const index of Object.keys(indexes))
    await client.query(
      `ALTER INDEX ${sql(`${made}_${index}`)} RENAME TO ${pg.escapeIdentifier(`${bare}_${index}`)}`,
    );
}

async function insert(client: pg.ClientBase, into: string, size: number, block: TableBlock): Promise<void> {
  const { location, lon, lat, kind, label, vectors } = block;
  for (let from = 0; from < location.length; from += ROWS_AT_A_TIME) {
    const to = Math.min(location.length, from + ROWS_AT_A_TIME);
    await client.query(
      `INSERT INTO ${into}
       SELECT location, ST_SetSRID(ST_MakePoint(lon, lat), 4326), kind, label, embedding::vector
       FROM unnest($1::integer[], $2::float8[], $3::float8[], $4::text[], $5::text[], $6::text[])
         AS rows (location, lon, lat, kind, label, embedding)`,
      [
        ...[location, lon, lat].map((column) => Array.from(column.subarray(from, to))),
        ...[kind, label].map((column) => column.slice(from, to)),
        Array.from(
          { length: to - from },
          (_, i) => `[${decimals(vectors, (from + i) * size, size).join(",")}]`,
        ),
      ],
    );
  }
}
