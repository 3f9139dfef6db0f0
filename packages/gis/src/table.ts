import { FarmError, type Location } from "@loc2vec/core";
import pg from "pg";
import { connectDatabase, withDatabase } from "./database.ts";
import { type ReadOptions, toLocation } from "./locations.ts";

/** Rows per round trip. */
const BLOCK = 5000;

/** What a table of locations is read with. */
interface Plan {
  count: number;
  /** Of lon, lat, kind, weight and label, in degrees. */
  select: string;
}

/**
 * Reads locations from a table or view, `table` or `schema.table`: from a column `geom` (any reference system) or
 * columns `lon` and `lat`, degrees WGS 84, and where there are such from `kind`, `weight` and `label`. Rows come in the
 * order of the primary key, else of the table. A cursor streams them: memory does not grow with their number.
 *
 * @throws FarmError `input` for a table that is not there, has no such columns, or holds no row, and naming the row (from 1) for
 * a location that cannot be used
 */
export async function openLocationTable(
  databaseUrl: string,
  table: string,
  options: ReadOptions = {},
): Promise<{ count: number; read: () => AsyncGenerator<Location> }> {
  const plan = await withDatabase(databaseUrl, (client) => planOf(client, table));
  if (plan.count === 0)
    throw new FarmError("input", `table ${table}: holds no location`, "add at least one row");
  return { count: plan.count, read: () => rows(databaseUrl, table, plan, options) };
}

async function planOf(client: pg.Client, table: string): Promise<Plan> {
  const parts = table.split(".");
  const [name = "", schema] = parts.reverse();
  if (name === "" || parts.length > 2) {
    throw new FarmError(
      "input",
      `table ${JSON.stringify(table)}: not a table's name`,
      "TABLE or SCHEMA.TABLE",
    );
  }
  const { rows: columns } = await client.query<{
    schema: string;
    name: string;
    type: string;
    key: number | null;
  }>(
    `SELECT n.nspname AS schema, a.attname AS name, format_type(a.atttypid, NULL) AS type,
       array_position(i.indkey::int2[], a.attnum) AS key
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     WHERE c.relname = $1 AND ($2::text IS NULL AND pg_table_is_visible(c.oid) OR n.nspname = $2)
     ORDER BY key, a.attnum`,
    [name, schema ?? null],
  );
  if (columns.length === 0) {
    throw new FarmError(
      "input",
      `there is no table ${table}`,
      "TABLE or SCHEMA.TABLE in FARM_DATABASE_URL's database",
    );
  }
  const quoted = pg.escapeIdentifier;
  const has = (column: string): boolean => columns.some((each) => each.name === column);
  const geometry = columns.find((column) => column.name === "geom" || column.name === "geometry");
  if (geometry === undefined && !(has("lon") && has("lat"))) {
    throw new FarmError(
      "input",
      `table ${table}: no column geom, and not both of lon and lat, among ${columns.map((column) => column.name).join(", ")}`,
      "name a view that has them",
    );
  }
  const point = geometry && `ST_Transform(ST_PointOnSurface(${quoted(geometry.name)}::geometry), 4326)`;
  const place = point ? `ST_X(${point}) AS lon, ST_Y(${point}) AS lat` : "lon::float8, lat::float8";
  const others = (["kind", "weight", "label"] as const).map((column) =>
    has(column) ? `${quoted(column)}::text AS ${column}` : `NULL AS ${column}`,
  );
  const from = `${quoted(columns[0]?.schema ?? "")}.${quoted(name)}`;
  const key = columns.filter((column) => column.key !== null).map((column) => quoted(column.name));
  const order = key.length > 0 ? ` ORDER BY ${key.join(", ")}` : "";
  const counted = await client.query<{ count: number }>(`SELECT count(*)::float8 AS count FROM ${from}`);
  return {
    count: counted.rows[0]?.count ?? 0,
    select: `SELECT ${place}, ${others.join(", ")} FROM ${from}${order}`,
  };
}

async function* rows(
  databaseUrl: string,
  table: string,
  plan: Plan,
  options: ReadOptions,
): AsyncGenerator<Location> {
  const client = await connectDatabase(databaseUrl);
  try {
    await client.query("BEGIN READ ONLY");
    await client.query(`DECLARE places NO SCROLL CURSOR FOR ${plan.select}`);
    for (let row = 0; ; ) {
      const { rows: found } = await client.query(`FETCH ${BLOCK} FROM places`);
      if (found.length === 0) return;
      for (const fields of found) yield toLocation(fields, `table ${table}, row ${++row}`, options);
    }
  } finally {
    await client.end();
  }
}
