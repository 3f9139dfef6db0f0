import { FarmError } from "@loc2vec/core";
import pg from "pg";
import { connectDatabase, withDatabase } from "./database.ts";
import { FIELDS, matchNames, OTHER_FIELDS } from "./locations/columns.ts";
import type { Row } from "./locations/location.ts";
import { type LocationSource, openSource, type ReadOptions } from "./locations/survey.ts";

/** Rows per round trip. */
const BLOCK = 5000;

/**
 * Opens a table or view of locations, `table` or `schema.table`, and reads it once to judge it: from a column of geometries
 * (any reference system), else from columns of lon and lat, degrees WGS 84; and where there are such from `kind`, `weight` and
 * `label`, named as columns of files are. Rows come in the order of the primary key, else of the table. A cursor streams
 * them: memory does not grow with their number.
 *
 * @throws FarmError `input` for a table that is not there or has no such columns, and naming rows (from 1), see
 *   {@link openSource}
 */
export async function openLocationTable(
  databaseUrl: string,
  table: string,
  options: ReadOptions = {},
): Promise<LocationSource> {
  const select = await withDatabase(databaseUrl, (client) => selectOf(client, table));
  return openSource(`table ${table}`, () => rows(databaseUrl, select), options);
}

/** What a table of locations is read with: a query of lon, lat, kind, weight and label, in degrees. */
async function selectOf(client: pg.Client, table: string): Promise<string> {
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
  const names = columns.map((column) => column.name);
  const where = `table ${table}`;
  const typed = geometryOf(columns, where);
  const { lon, lat, ...others } = matchNames(names, where, typed === undefined ? FIELDS : OTHER_FIELDS);
  const degrees = lon !== undefined && lat !== undefined;
  const geometry = typed ?? (degrees ? undefined : names.find((each) => rankOf(each) === 0));
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
  const from = `${quoted(columns[0]?.schema ?? "")}.${quoted(name)}`;
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

async function* rows(databaseUrl: string, select: string): AsyncGenerator<Row> {
  const client = await connectDatabase(databaseUrl);
  try {
    await client.query("BEGIN READ ONLY");
    await client.query(`DECLARE places NO SCROLL CURSOR FOR ${select}`);
    for (let row = 0; ; ) {
      const { rows: found } = await client.query(`FETCH ${BLOCK} FROM places`);
      if (found.length === 0) return;
      for (const fields of found) yield { place: `row ${++row}`, fields };
    }
  } finally {
    await client.end();
  }
}
