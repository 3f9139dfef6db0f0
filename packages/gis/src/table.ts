import { FarmError, type Location } from "@loc2vec/core";
import { beginTransaction, connectDatabase, inTransaction, sqlState, withDatabase } from "@loc2vec/postgres";
import pg from "pg";
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
 * Reads locations from a table or view: `table`, `schema.table`, or quoted as in SQL. From a column `geom` (any reference
 * system; a shape's place is a point on it), from columns `lon` and `lat` of any type, degrees WGS 84, or from the only geometry
 * that it has; and where there are such from `kind`, `weight` and `label`. Rows come in the order of the primary key, else of the
 * table. A cursor streams them: memory does not grow with their number.
 *
 * @throws FarmError `input` for a table that is not there, has no such columns, no reference system, or holds no row, and naming
 * the row (from 1) for a location that cannot be used; `service` with the GRANT for one that may not be read
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

/** What PostgreSQL calls a table, view or foreign table by the name as it is, else as SQL reads it. */
async function findTable(client: pg.Client, table: string): Promise<string | undefined> {
  const parts = table.split(".");
  const [name = "", schema = null] = [...parts].reverse();
  if (parts.length <= 2) {
    const { rows } = await client.query<{ oid: string }>(
      `SELECT c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relname = $1 AND ($2::text IS NULL AND pg_table_is_visible(c.oid) OR n.nspname = $2)`,
      [name, schema],
    );
    if (rows[0] !== undefined) return rows[0].oid;
  }
  // It refuses what is no name at all.
  const { rows } = await client
    .query<{ oid: string | null }>("SELECT to_regclass($1)::oid::text AS oid", [table])
    .catch(() => ({ rows: [] }));
  if (rows[0]?.oid) return rows[0].oid;
  if (name === "" || (parts.length > 2 && !table.includes('"'))) {
    throw new FarmError(
      "input",
      `table ${JSON.stringify(table)}: not a table's name`,
      "TABLE or SCHEMA.TABLE",
    );
  }
  return undefined;
}

async function planOf(client: pg.Client, table: string): Promise<Plan> {
  const { rows: columns } = await client.query<{
    schema: string;
    table: string;
    view: boolean;
    enters: boolean;
    reads: boolean;
    role: string;
    name: string;
    type: string;
    key: number | null;
  }>(
    `SELECT n.nspname AS schema, c.relname AS table, c.relkind IN ('v', 'm') AS view,
       has_schema_privilege(n.oid, 'USAGE') AS enters, has_any_column_privilege(c.oid, 'SELECT') AS reads,
       quote_ident(current_user) AS role,
       a.attname AS name, t.typname AS type, array_position(i.indkey::int2[], a.attnum) AS key
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     JOIN pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     WHERE c.oid = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY key, a.attnum`,
    [(await findTable(client, table)) ?? null],
  );
  const [first] = columns;
  if (first === undefined) {
    throw new FarmError(
      "input",
      `there is no table ${table}`,
      "TABLE or SCHEMA.TABLE in FARM_DATABASE_URL's database",
    );
  }
  const quoted = pg.escapeIdentifier;
  const has = (column: string): boolean => columns.some((each) => each.name === column);
  const from = `${quoted(first.schema)}.${quoted(first.table)}`;
  if (!first.enters || !first.reads) {
    const grants = [
      ...(first.enters ? [] : [`GRANT USAGE ON SCHEMA ${quoted(first.schema)} TO ${first.role}`]),
      ...(first.reads ? [] : [`GRANT SELECT ON ${from} TO ${first.role}`]),
    ];
    throw new FarmError(
      "service",
      `table ${table}: role ${first.role} may not read it (42501)`,
      grants.join("; "),
    );
  }
  const shapes = columns.filter(({ type }) => type === "geometry" || type === "geography");
  const geometry =
    columns.find((column) => column.name === "geom" || column.name === "geometry") ??
    (shapes.length === 1 && !(has("lon") && has("lat")) ? shapes[0] : undefined);
  if (geometry === undefined && !(has("lon") && has("lat"))) {
    throw new FarmError(
      "input",
      `table ${table}: no column geom, and not both of lon and lat, among ${columns.map((column) => column.name).join(", ")}`,
      "name a view that has them",
    );
  }
  const point = geometry && `ST_Transform(ST_PointOnSurface(${quoted(geometry.name)}::geometry), 4326)`;
  // As text, whatever their type: what is no number is named with its row.
  const place = point ? `ST_X(${point}) AS lon, ST_Y(${point}) AS lat` : "lon::text, lat::text";
  const others = (["kind", "weight", "label"] as const).map((column) =>
    has(column) ? `${quoted(column)}::text AS ${column}` : `NULL AS ${column}`,
  );
  const key = columns.filter((column) => column.key !== null).map((column) => quoted(column.name));
  const order = key.length > 0 ? ` ORDER BY ${key.join(", ")}` : "";
  const shape = geometry && `${quoted(geometry.name)}::geometry`;
  const unplacedRows = shape ? `count(*) FILTER (WHERE ST_SRID(${shape}) = 0)::float8` : "0";
  const { rows: counted } = await inTransaction(client, () =>
    client.query<{ count: number; unplaced: number }>(
      `SELECT count(*)::float8 AS count, ${unplacedRows} AS unplaced FROM ${from}`,
    ),
  ).catch((error: unknown) => {
    throw tableError(error, table);
  });
  const { count = 0, unplaced = 0 } = counted[0] ?? {};
  if (geometry !== undefined && unplaced > 0) {
    const literals = [first.schema, first.table, geometry.name].map((each) => pg.escapeLiteral(each));
    throw new FarmError(
      "input",
      `table ${table}: ${geometry.name} of ${unplaced} of ${count} rows names no reference system (SRID 0)`,
      first.view || geometry.type !== "geometry"
        ? `where it holds degrees, ST_SetSRID(${quoted(geometry.name)}::geometry, 4326) AS geom in a view`
        : `where it holds degrees: SELECT UpdateGeometrySRID(${literals.join(", ")}, 4326)`,
    );
  }
  return {
    count,
    select: `SELECT ${place}, ${others.join(", ")} FROM ${from}${order}`,
  };
}

/** PostgreSQL's codes for values, columns and functions that do not do; PostGIS has XX000 for most of its own. */
const UNREADABLE = /^(22|42|P0|XX000)/;

/** What a query of the table failed by: by what it holds, unless by the server. */
function tableError(error: unknown, table: string): unknown {
  const state = sqlState(error);
  if (state === undefined || state === "42501" || !UNREADABLE.test(state)) return error;
  const said = ((error as FarmError).cause as Error).message.split("\n")[0];
  return new FarmError(
    "input",
    `table ${table}: ${said} (${state})`,
    "mend the table, or name a view of what can be used",
    { cause: error },
  );
}

async function* rows(
  databaseUrl: string,
  table: string,
  plan: Plan,
  options: ReadOptions,
): AsyncGenerator<Location> {
  const client = await connectDatabase(databaseUrl);
  const refuse = (error: unknown): never => {
    throw tableError(error, table);
  };
  try {
    await beginTransaction(client);
    await client.query(`DECLARE places NO SCROLL CURSOR FOR ${plan.select}`).catch(refuse);
    for (let row = 0; ; ) {
      const { rows: found } = await client.query(`FETCH ${BLOCK} FROM places`).catch(refuse);
      if (found.length === 0) break;
      for (const fields of found) yield toLocation(fields, `table ${table}, row ${++row}`, options);
    }
    await client.query("COMMIT");
  } finally {
    await client.end().catch(() => {});
  }
}
