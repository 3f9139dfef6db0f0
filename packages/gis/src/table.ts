import { FarmError } from "@loc2vec/core";
import { beginTransaction, connectDatabase, inTransaction, sqlState, withDatabase } from "@loc2vec/postgres";
import pg from "pg";
import { FIELDS, matchNames, OTHER_FIELDS } from "./locations/columns.ts";
import type { Row } from "./locations/location.ts";
import { type LocationSource, openSource, type ReadOptions } from "./locations/survey.ts";

/** Rows per round trip. */
const BLOCK = 5000;

/**
 * Opens a table or view of locations, `table`, `schema.table` or quoted as in SQL, and reads it once to judge it: from a column
 * of geometries (any reference system; a shape's place is a point on it), else from columns of lon and lat of any type, degrees
 * WGS 84; and where there are such from `kind`, `weight` and `label`, named as columns of files are. Rows come in the order of the
 * primary key, else of the table. A cursor streams them: memory does not grow with their number.
 *
 * @throws FarmError `input` for a table that is not there, has no such columns or no reference system, and naming rows (from 1),
 *   see {@link openSource}; `service` with the GRANT for one that may not be read
 */
export async function openLocationTable(
  databaseUrl: string,
  table: string,
  options: ReadOptions = {},
): Promise<LocationSource> {
  const select = await withDatabase(databaseUrl, (client) => selectOf(client, table));
  return openSource(`table ${table}`, () => rows(databaseUrl, table, select), options);
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

/** A column, and the table that it is of. */
interface Column {
  schema: string;
  table: string;
  view: boolean;
  /** Whether the role may use the schema, and read the table or any column of it. */
  enters: boolean;
  reads: boolean;
  /** The role, quoted where it must be. */
  role: string;
  name: string;
  type: string;
  /** Place in the primary key; null for another. */
  key: number | null;
}

/** What a table of locations is read with: a query of lon, lat, kind, weight and label, in degrees. */
async function selectOf(client: pg.Client, table: string): Promise<string> {
  const { rows: columns } = await client.query<Column>(
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
  const from = `${quoted(first.schema)}.${quoted(first.table)}`;
  if (!first.enters || !first.reads) {
    const grants = [
      ...(first.enters ? [] : [`GRANT USAGE ON SCHEMA ${quoted(first.schema)} TO ${first.role}`]),
      ...(first.reads ? [] : [`GRANT SELECT ON ${from} TO ${first.role}`]),
    ];
    throw new FarmError(
      "postgres",
      `table ${table}: role ${first.role} may not read it (42501)`,
      grants.join("; "),
    );
  }
  const names = columns.map((column) => column.name);
  const where = `table ${table}`;
  const typed = geometryOf(columns, where);
  const { lon, lat, ...others } = matchNames(names, where, typed === undefined ? FIELDS : OTHER_FIELDS);
  const degrees = lon !== undefined && lat !== undefined;
  const geometry = typed ?? (degrees ? undefined : names.find((name) => rankOf(name) === 0));
  if (geometry === undefined && !degrees) {
    throw new FarmError(
      "input",
      `${where}: no column geom, and not both of lon and lat, among ${names.join(", ")}`,
      "name a view that has them",
    );
  }
  const text = (at: number | undefined): string =>
    at === undefined ? "NULL" : `${quoted(names[at] as string)}::text`;
  const point = geometry && `ST_Transform(ST_PointOnSurface(${quoted(geometry)}::geometry), 4326)`;
  const place = point ? [`ST_X(${point})`, `ST_Y(${point})`] : [text(lon), text(lat)];
  const selected = [
    `${place[0]} AS lon`,
    `${place[1]} AS lat`,
    ...OTHER_FIELDS.map((field) => `${text(others[field as keyof typeof others])} AS ${field}`),
  ];
  const shape = columns.find(({ name }) => name === geometry);
  if (shape !== undefined) await checkPlaced(client, table, shape);
  const key = columns.filter((column) => column.key !== null).map((column) => quoted(column.name));
  const order = key.length > 0 ? ` ORDER BY ${key.join(", ")}` : "";
  return `SELECT ${selected.join(", ")} FROM ${from}${order}`;
}

/** Names of geometry columns: those of one line are as good as each other. */
const GEOMETRIES = [
  ["geom", "geometry"],
  ["the_geom", "wkb_geometry", "way"],
];
const rankOf = (name: string): number => GEOMETRIES.findIndex((names) => names.includes(name.toLowerCase()));

/** The column whose type is a geometry; among several, the best by name. */
function geometryOf(columns: readonly { name: string; type: string }[], where: string): string | undefined {
  const typed = columns.filter(({ type }) => /\bgeo(metry|graphy)$/.test(type)).map(({ name }) => name);
  if (typed.length <= 1) return typed[0];
  const best = GEOMETRIES.map((_, rank) => typed.filter((name) => rankOf(name) === rank));
  const [first, second] = best.find((names) => names.length > 0) ?? typed;
  if (second === undefined) return first;
  throw new FarmError(
    "input",
    `${where}: two columns of geometries: ${JSON.stringify(first)} and ${JSON.stringify(second)}`,
    "name a view that has one of them",
  );
}

/** @throws FarmError `input` when geometries do not say where on the globe they are */
async function checkPlaced(client: pg.Client, table: string, shape: Column): Promise<void> {
  const name = pg.escapeIdentifier(shape.name);
  const { rows } = await inTransaction(client, () =>
    client.query<{ count: number; unplaced: number }>(
      `SELECT count(*)::float8 AS count, count(*) FILTER (WHERE ST_SRID(${name}::geometry) = 0)::float8 AS unplaced
       FROM ${pg.escapeIdentifier(shape.schema)}.${pg.escapeIdentifier(shape.table)}`,
    ),
  ).catch((error: unknown) => {
    throw tableError(error, table);
  });
  const { count = 0, unplaced = 0 } = rows[0] ?? {};
  if (unplaced === 0) return;
  const literals = [shape.schema, shape.table, shape.name].map((name) => pg.escapeLiteral(name));
  throw new FarmError(
    "input",
    `table ${table}: ${shape.name} of ${unplaced} of ${count} rows names no reference system (SRID 0)`,
    shape.view || shape.type !== "geometry"
      ? `where it holds degrees, ST_SetSRID(${name}::geometry, 4326) AS geom in a view`
      : `where it holds degrees: SELECT UpdateGeometrySRID(${literals.join(", ")}, 4326)`,
  );
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

async function* rows(databaseUrl: string, table: string, select: string): AsyncGenerator<Row> {
  const client = await connectDatabase(databaseUrl);
  const refuse = (error: unknown): never => {
    throw tableError(error, table);
  };
  try {
    await beginTransaction(client);
    await client.query(`DECLARE places NO SCROLL CURSOR FOR ${select}`).catch(refuse);
    for (let row = 0; ; ) {
      const { rows: block } = await client.query(`FETCH ${BLOCK} FROM places`).catch(refuse);
      if (block.length === 0) break;
      for (const fields of block) yield { place: `row ${++row}`, fields };
    }
    await client.query("COMMIT");
  } finally {
    await client.end().catch(() => {});
  }
}
