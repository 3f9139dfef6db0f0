import { errorMessage, FarmError, redact } from "@loc2vec/core";
import type { ImportInfo } from "@loc2vec/gis";
import pg from "pg";
import { type Coat, isDot } from "./style.ts";
import type { Frame } from "./window.ts";

/** Corners of the polygon that stands for a disc. */
const DISC = 24;
/** Geometries with fewer points than this are cheaper to draw than to clip. */
const CLIP_POINTS = 48;

/**
 * The features of a square in ground metres about the location, x to the east, y to the north, to the centimetre; at least
 * one row, which says whether the map is still the one that was opened. A dash pattern
 * begins where its line is clipped, which is the same for all samples of a location.
 */
const QUERY = {
  name: "features",
  text: `
    WITH near AS MATERIALIZED (
      SELECT rule, osm_type, osm_id,
        CASE WHEN ST_NPoints(geom) < ${CLIP_POINTS} THEN geom
          ELSE ST_ClipByBox2D(geom, ST_MakeEnvelope($1, $2, $3, $4, 3857)::box2d) END AS geom
      FROM farm.feature WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 3857)
    )
    SELECT info.sha256 = $9 AND info.import_hash = $10 AS same, rule,
      ST_AsGeoJSON(ST_Affine(geom, $5, 0, 0, $6, $7, $8), 2, 0) AS geometry
    FROM farm.import_info AS info LEFT JOIN near ON NOT ST_IsEmpty(geom) ORDER BY rule, osm_type, osm_id`,
};

/** A feature near a location: number of its rule, and its geometry as GeoJSON. */
export type Feature = readonly [rule: number, geometry: string];

export interface FeatureSource {
  /**
   * @param half half of the square's side, ground metres
   * @throws FarmError `service`; `input` when the map is gone; `data` when another has taken its place
   */
  near(frame: Frame, half: number): Promise<Feature[]>;
  close(): Promise<void>;
}

/** @param map what was imported when the source was opened; it must stay */
export function openFeatures(databaseUrl: string, map: ImportInfo): FeatureSource {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 4,
    connectionTimeoutMillis: 10_000,
    application_name: "loc2vec-rasterizer",
  });
  // A connection that breaks while idle is replaced; the next query reports what is wrong.
  pool.on("error", () => {});
  const select = async (values: unknown[]): Promise<[boolean, number | null, string][]> => {
    try {
      const { rows } = await pool.query<[boolean, number | null, string]>({
        ...QUERY,
        values,
        rowMode: "array",
      });
      return rows;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === "42P01" || code === "3F000") throw noMap(error);
      throw new FarmError(
        "service",
        `PostgreSQL ${redact(databaseUrl)}: ${errorMessage(error)}`,
        "pnpm farm:up starts the private one; FARM_DATABASE_URL names another",
        { cause: error },
      );
    }
  };
  return {
    async near({ x, y, kx, ky }, half) {
      const rows = await select([
        ...[x - half * kx, y - half * ky, x + half * kx, y + half * ky],
        ...[1 / kx, 1 / ky, -x / kx, -y / ky],
        ...[map.sha256, map.importHash],
      ]);
      if (rows[0] === undefined) throw noMap();
      if (!rows[0][0]) {
        throw new FarmError(
          "data",
          `the map ${map.pbf} was replaced by another import while tiles were drawn from it`,
          "import it again, or start anew with a data set of another name",
        );
      }
      return rows.flatMap(([, rule, geometry]): Feature[] => (rule === null ? [] : [[rule, geometry]]));
    },
    close: () => pool.end(),
  };
}

export function noMap(cause?: unknown): FarmError {
  return new FarmError("input", "no map is imported", "pnpm farm:import FILE.osm.pbf", { cause });
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
      const found = byRule.get(coat.rule.index);
      if (found === undefined) continue;
      const head = `{"type":"Feature","properties":{"s":${coat.id}},"geometry":`;
      const { rule } = coat;
      for (const geometry of found) {
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
