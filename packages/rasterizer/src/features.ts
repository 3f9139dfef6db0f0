import { errorMessage, FarmError, redact } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import pg from "pg";
import type { Paint } from "./style.ts";
import type { Frame } from "./window.ts";

/** Corners of the polygon that stands for a disc. */
const DISC = 24;
/** Geometries with fewer points than this are cheaper to draw than to clip. */
const CLIP_POINTS = 48;

/** In ground metres about the location, x to the east, y to the north, to the centimetre. */
const QUERY = {
  name: "features",
  text: `
    SELECT rule, ST_AsGeoJSON(ST_Affine(geom, $5, 0, 0, $6, $7, $8), 2, 0) AS geometry FROM (
      SELECT rule, osm_type, osm_id,
        CASE WHEN ST_NPoints(geom) < ${CLIP_POINTS} THEN geom
          ELSE ST_ClipByBox2D(geom, ST_MakeEnvelope($1, $2, $3, $4, 3857)::box2d) END AS geom
      FROM farm.feature WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 3857)
    ) AS near WHERE NOT ST_IsEmpty(geom) ORDER BY rule, osm_type, osm_id`,
};

/** Rows of `farm.feature` near a location: rule and GeoJSON geometry. */
export type Row = readonly [rule: number, geometry: string];

export interface FeatureSource {
  /** @param half half of the window's side, ground metres */
  near(frame: Frame, half: number): Promise<Row[]>;
  close(): Promise<void>;
}

export function openFeatures(databaseUrl: string): FeatureSource {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 4,
    connectionTimeoutMillis: 10_000,
    application_name: "loc2vec-rasterizer",
  });
  // A connection that breaks while idle is replaced; the next query reports what is wrong.
  pool.on("error", () => {});
  return {
    async near({ x, y, kx, ky }, half) {
      const values = [
        ...[x - half * kx, y - half * ky, x + half * kx, y + half * ky],
        ...[1 / kx, 1 / ky, -x / kx, -y / ky],
      ];
      try {
        const { rows } = await pool.query<[number, string]>({ ...QUERY, values, rowMode: "array" });
        return rows;
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        if (code === "42P01" || code === "3F000")
          throw new FarmError("input", "no map is imported", "pnpm farm:import FILE.osm.pbf", {
            cause: error,
          });
        throw new FarmError(
          "service",
          `PostgreSQL ${redact(databaseUrl)}: ${errorMessage(error)}`,
          "pnpm farm:up starts the private one; FARM_DATABASE_URL names another",
          { cause: error },
        );
      }
    },
    close: () => pool.end(),
  };
}

/** For each channel the GeoJSON of its features in the order of painting; undefined for a channel without any. */
export function collections(
  profile: Profile,
  paints: readonly (readonly Paint[])[],
  rows: readonly Row[],
): (string | undefined)[] {
  const byRule = new Map<number, string[]>();
  for (const [rule, geometry] of rows) {
    const list = byRule.get(rule);
    if (list === undefined) byRule.set(rule, [geometry]);
    else list.push(geometry);
  }
  return profile.channels.map((_, at) => {
    const features: string[] = [];
    for (const { id, rule } of paints[at] ?? []) {
      for (const geometry of byRule.get(rule.index) ?? []) {
        const shape = rule.geometry === "point" ? discs(geometry, rule.draw.radius) : geometry;
        features.push(`{"type":"Feature","properties":{"s":${id}},"geometry":${shape}}`);
      }
    }
    return features.length === 0
      ? undefined
      : `{"type":"FeatureCollection","features":[${features.join(",")}]}`;
  });
}

/** A point as a polygon: Mapnik's dots and markers do not turn and shift with the map. */
function discs(point: string, radius: number): string {
  const [x, y] = (JSON.parse(point) as { coordinates: [number, number] }).coordinates;
  const ring = Array.from({ length: DISC + 1 }, (_, i) => {
    const angle = (2 * Math.PI * (i % DISC)) / DISC;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
  return JSON.stringify({ type: "Polygon", coordinates: [ring] });
}
