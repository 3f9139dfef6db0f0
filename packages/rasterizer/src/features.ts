import { FarmError, HALF_WORLD_M, MismatchError } from "@loc2vec/core";
import { type ImportInfo, noMap } from "@loc2vec/gis";
import { isPooled, openPool, serverOf, sqlState, withDatabase } from "@loc2vec/postgres";
import { type Coat, isDot } from "./style.ts";
import type { Frame } from "./window.ts";

/** Corners of the polygon that stands for a disc. */
const DISC = 24;
/** Areas, and borders of many lines, with fewer points than this are cheaper to draw than to clip … */
const CLIP_POINTS = 48;
/** … and single lines are clipped only where they are very long, for a dash pattern begins where its line does. */
const CLIP_LINE_POINTS = 5000;

/**
 * The features of a square of Web Mercator, with those that lie `$7` to the west of it, where the antimeridian crosses it.
 *
 * @param at PostGIS's schema and a dot. It stands before each of its names: nobody's search path need have it
 */
const near = (at: string): string => `
  found AS (
    SELECT rule, osm_type, osm_id, geom FROM farm.feature
    WHERE geom OPERATOR(${at}&&) ${at}ST_MakeEnvelope($1, $2, $3, $4, 3857)
    UNION ALL
    SELECT rule, osm_type, osm_id, ${at}ST_Translate(geom, $7, 0) FROM farm.feature
    WHERE $7::float8 <> 0 AND geom OPERATOR(${at}&&) ${at}ST_MakeEnvelope($1 - $7, $2, $3 - $7, $4, 3857)
  ), near AS MATERIALIZED (
    SELECT rule, osm_type, osm_id, CASE
      WHEN ${at}ST_NPoints(geom) < CASE ${at}GeometryType(geom) WHEN 'LINESTRING' THEN ${CLIP_LINE_POINTS} ELSE ${CLIP_POINTS} END THEN geom
      ELSE ${at}ST_ClipByBox2D(geom, ${at}ST_MakeEnvelope($1, $2, $3, $4, 3857)::${at}box2d) END AS geom
    FROM found
  )`;
const SAME = "info.sha256 = $5 AND info.import_hash = $6 AS same";

interface Query {
  name: string;
  text: string;
}

/** Rows in ground metres about the location, x to the east, y to the north, to the centimetre; at least one. */
const geojsonQuery = (at: string): Query => ({
  name: "features-geojson",
  text: `
    WITH ${near(at)}
    SELECT ${SAME}, rule, ${at}ST_AsGeoJSON(${at}ST_Affine(geom, $8, 0, 0, $9, $10, $11), 2, 0) AS geometry
    FROM farm.import_info AS info LEFT JOIN near ON NOT ${at}ST_IsEmpty(geom) ORDER BY rule, osm_type, osm_id`,
});

/** One row: all features, each its rule (int16, big-endian) and its WKB (EPSG:3857), as hexadecimal digits. */
const wkbQuery = (at: string): Query => ({
  name: "features-wkb",
  text: `
    WITH ${near(at)}
    SELECT ${SAME}, encode((
      SELECT string_agg(int2send(rule) || ${at}ST_AsBinary(geom, 'NDR'), '' ORDER BY rule, osm_type, osm_id)
      FROM near WHERE NOT ${at}ST_IsEmpty(geom)
    ), 'hex') AS features
    FROM farm.import_info AS info`,
});

/**
 * The same, of features whose box is at least `$8` wide or high alone, without the points between which nothing of `$8` shows.
 * Of lengths in Web Mercator metres.
 */
const coarseQuery = (at: string): Query => ({
  name: "features-coarse",
  text: `
    WITH ${near(at)}, large AS (
      SELECT rule, osm_type, osm_id, ${at}ST_Simplify(geom, $8::float8 / 2, true) AS geom FROM near
      WHERE greatest(${at}ST_XMax(geom) - ${at}ST_XMin(geom), ${at}ST_YMax(geom) - ${at}ST_YMin(geom)) >= $8::float8
    )
    SELECT ${SAME}, encode((
      SELECT string_agg(int2send(rule) || ${at}ST_AsBinary(geom, 'NDR'), '' ORDER BY rule, osm_type, osm_id)
      FROM large WHERE geom IS NOT NULL AND NOT ${at}ST_IsEmpty(geom)
    ), 'hex') AS features
    FROM farm.import_info AS info`,
});

/** A feature near a location: number of its rule, and its geometry as GeoJSON. */
export type Feature = readonly [rule: number, geometry: string];

/**
 * What lies near a location. Both throw FarmError `service`; `input` when the map is gone; MismatchError `data` when another
 * has taken its place.
 */
export interface FeatureSource {
  /** @param half half of the square's side, ground metres */
  geojson(frame: Frame, half: number): Promise<Feature[]>;
  /**
   * As one string of hexadecimal digits: see `Canvas.load`.
   *
   * @param coarse what is smaller than so many Web Mercator metres is left out, points of features too; default 0: nothing
   */
  wkb(frame: Frame, half: number, coarse?: number): Promise<string>;
  close(): Promise<void>;
}

/**
 * Opens the map. A query is a statement for itself that depends on no setting of its session, so any pooler will do.
 *
 * @param map what was imported when the source was opened; it must stay
 * @throws FarmError `service`; `missing` without PostGIS
 */
export async function openFeatures(databaseUrl: string, map: ImportInfo): Promise<FeatureSource> {
  const { pooled, at } = await withDatabase(databaseUrl, async (client) => {
    const { rows } = await client.query<{ at: string }>(
      `SELECT quote_ident(nspname) || '.' AS at FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
       WHERE extname = 'postgis'`,
    );
    return { pooled: await isPooled(client), at: rows[0]?.at };
  });
  if (at === undefined) {
    throw new FarmError(
      "postgis-missing",
      `PostgreSQL at ${serverOf(databaseUrl)}: its database has no PostGIS`,
      "pnpm farm:import creates it",
    );
  }
  const queries = { geojson: geojsonQuery(at), wkb: wkbQuery(at), coarse: coarseQuery(at) };
  const pool = openPool(databaseUrl, { connections: 4, application: "loc2vec-rasterizer" });
  const select = async <Row extends [boolean, ...unknown[]]>(
    { name, text }: Query,
    { x, y, kx, ky }: Frame,
    half: number,
    more: readonly number[],
  ): Promise<Row[]> => {
    const square = [x - half * kx, y - half * ky, x + half * kx, y + half * ky];
    const beyond = x + half * kx > HALF_WORLD_M ? 1 : x - half * kx < -HALF_WORLD_M ? -1 : 0;
    const values = [...square, map.sha256, map.importHash, 2 * HALF_WORLD_M * beyond, ...more];
    // A prepared statement is one of its connection, and the pooler's next may be another.
    const prepared = pooled ? { text } : { name, text };
    const rows = await pool.query<Row>({ ...prepared, values, rowMode: "array" }).catch((error: unknown) => {
      const state = sqlState(error);
      throw state === "42P01" || state === "3F000" ? noMap(error) : error;
    });
    if (rows[0] === undefined) throw noMap();
    if (!rows[0][0]) {
      throw new MismatchError(
        "map-mismatch",
        `the map ${map.pbf} was replaced by another import while tiles were drawn from it`,
        "import it again, or start anew with a data set of another name",
      );
    }
    return rows;
  };
  return {
    async geojson(frame, half) {
      const { x, y, kx, ky } = frame;
      const affine = [1 / kx, 1 / ky, -x / kx, -y / ky];
      const rows = await select<[boolean, number | null, string]>(queries.geojson, frame, half, affine);
      return rows.flatMap(([, rule, geometry]): Feature[] => (rule === null ? [] : [[rule, geometry]]));
    },
    async wkb(frame, half, coarse = 0) {
      const [query, more] = coarse > 0 ? [queries.coarse, [coarse]] : [queries.wkb, []];
      const [row] = await select<[boolean, string | null]>(query, frame, half, more);
      return row?.[1] ?? "";
    },
    close: () => pool.end(),
  };
}

/** For each channel the GeoJSON of its features in the order of painting; undefined for a channel without any. */
export function collections(
  coats: readonly (readonly Coat[])[],
  features: readonly Feature[],
): (string | undefined)[] {
  const byRule = new Map<number, string[]>();
  for (const [rule, geometry] of features) {
    const list = byRule.get(rule);
    if (list === undefined) byRule.set(rule, [geometry]);
    else list.push(geometry);
  }
  return coats.map((channel) => {
    const painted: string[] = [];
    for (const coat of channel) {
      const geometries = byRule.get(coat.rule.index);
      if (geometries === undefined) continue;
      const head = `{"type":"Feature","properties":{"s":${coat.id}},"geometry":`;
      const { rule } = coat;
      for (const geometry of geometries) {
        const shape = isDot(coat)
          ? dot(geometry)
          : rule.geometry === "point"
            ? disc(geometry, rule.draw.radius)
            : geometry;
        painted.push(`${head}${shape}}`);
      }
    }
    return painted.length === 0
      ? undefined
      : `{"type":"FeatureCollection","features":[${painted.join(",")}]}`;
  });
}

/** A point as a line of a centimetre: GeoJSON's text is that of ST_AsGeoJSON, `{"type":"Point","coordinates":[x,y]}`. */
function dot(point: string): string {
  const at = point.slice(point.indexOf("[") + 1, -2);
  const comma = at.indexOf(",");
  return `{"type":"LineString","coordinates":[[${at}],[${(Number(at.slice(0, comma)) + 0.01).toFixed(2)}${at.slice(comma)}]]}`;
}

/** A point as a polygon: Mapnik's dots and markers do not turn with the map. */
function disc(point: string, radius: number): string {
  const [x, y] = (JSON.parse(point) as { coordinates: [number, number] }).coordinates;
  const ring = Array.from({ length: DISC + 1 }, (_, i) => {
    const angle = (2 * Math.PI * (i % DISC)) / DISC;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
  return JSON.stringify({ type: "Polygon", coordinates: [ring] });
}
