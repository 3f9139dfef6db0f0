import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TileTransform } from "@loc2vec/core";
import { importPbf, type Profile } from "@loc2vec/gis";
import pg from "pg";
import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** A PostgreSQL with PostGIS, whose user may create databases. */
    databaseUrl: string;
  }
}

/** The profile that users have. */
export const STYLE = fileURLToPath(new URL("../../../styles/loc2vec.yaml", import.meta.url));
export const PIXELS = 128;
export const AREA = PIXELS * PIXELS;
export const ANCHOR: TileTransform = { rotation: 0, dx: 0, dy: 0 };
const PIXELS_PER_METRE = PIXELS / 200;

export interface Place {
  lon: number;
  lat: number;
}

/** Ground metres about a place: to the east, to the north. */
export type Point = readonly [x: number, y: number];

/** An object of the invented maps: a node of one point, an open way, or a ring, with a hole or without. */
export interface Thing {
  at: Place;
  tags: Record<string, string>;
  points: readonly Point[];
  ring?: boolean;
  hole?: readonly Point[];
}

export const box = (west: number, south: number, east: number, north: number): Point[] => [
  [west, south],
  [east, south],
  [east, north],
  [west, north],
];

export interface TestMap {
  databaseUrl: string;
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  /** The places that lie so far from a place, along geodesics of the ellipsoid. */
  project(offsets: readonly (Place & { x: number; y: number })[]): Promise<Place[]>;
  /** Imports an invented map. */
  load(things: readonly Thing[], profile: Profile): Promise<void>;
  drop(): Promise<void>;
}

/** A database of its own with PostGIS and no map. */
export async function createMap(name: string): Promise<TestMap> {
  const server = new URL(inject("databaseUrl"));
  const database = `${name}_test_${process.pid}`;
  await once(server.href, `CREATE DATABASE ${database}`);
  const url = new URL(server);
  url.pathname = `/${database}`;
  const databaseUrl = url.href;
  await once(databaseUrl, "CREATE EXTENSION postgis");
  const query: TestMap["query"] = (text, values) => once(databaseUrl, text, values);
  const project: TestMap["project"] = async (offsets) => {
    const rows = await query(
      `SELECT ST_X(p::geometry) AS lon, ST_Y(p::geometry) AS lat FROM (
         SELECT n, ST_Project(ST_Point(lon, lat, 4326)::geography, distance, azimuth) AS p
         FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[]) WITH ORDINALITY
           AS t (lon, lat, distance, azimuth, n)) AS points ORDER BY n`,
      [
        offsets.map(({ lon }) => lon),
        offsets.map(({ lat }) => lat),
        offsets.map(({ x, y }) => Math.hypot(x, y)),
        offsets.map(({ x, y }) => Math.atan2(x, y)),
      ],
    );
    return rows as unknown as Place[];
  };
  return {
    databaseUrl,
    query,
    project,
    async load(things, profile) {
      const folder = await mkdtemp(join(tmpdir(), "rasterizer-"));
      try {
        const pbf = join(folder, "map.osm");
        await writeFile(pbf, await osmXml(things, project));
        await importPbf({ pbf, databaseUrl, profile });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    async drop() {
      await once(server.href, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    },
  };
}

async function once(url: string, text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

export async function osmXml(things: readonly Thing[], project: TestMap["project"]): Promise<string> {
  const offsets = things.flatMap(({ at, points, hole = [] }) =>
    [...points, ...hole].map(([x, y]) => ({ ...at, x, y })),
  );
  const places = await project(offsets);
  const version = `version="1" timestamp="2020-01-01T00:00:00Z"`;
  const tag = (tags: Record<string, string>): string =>
    Object.entries(tags)
      .map(([k, v]) => `<tag k="${k}" v="${v}"/>`)
      .join("");
  const nodes: string[] = [];
  const ways: string[] = [];
  const relations: string[] = [];
  /** Writes the next `count` places as nodes. */
  const take = (count: number, tags = ""): number[] =>
    places.slice(nodes.length, nodes.length + count).map(({ lon, lat }) => {
      nodes.push(
        `<node id="${nodes.length + 1}" ${version} lon="${lon.toFixed(7)}" lat="${lat.toFixed(7)}">${tags}</node>`,
      );
      return nodes.length;
    });
  const way = (ids: readonly number[], tags = ""): number => {
    const refs = ids.map((id) => `<nd ref="${id}"/>`).join("");
    return ways.push(`<way id="${ways.length + 1}" ${version}>${refs}${tags}</way>`);
  };
  const closed = (ids: number[]): number[] => [...ids, ids[0] as number];
  for (const { tags, points, ring, hole } of things) {
    if (points.length === 1) take(1, tag(tags));
    else if (hole !== undefined) {
      const outer = way(closed(take(points.length)));
      const inner = way(closed(take(hole.length)));
      const members = [
        [outer, "outer"],
        [inner, "inner"],
      ].map(([ref, role]) => `<member type="way" ref="${ref}" role="${role}"/>`);
      relations.push(
        `<relation id="${relations.length + 1}" ${version}>${members.join("")}${tag({ ...tags, type: "multipolygon" })}</relation>`,
      );
    } else if (ring) way(closed(take(points.length)), tag(tags));
    else way(take(points.length), tag(tags));
  }
  return `<?xml version="1.0" encoding="UTF-8"?>\n<osm version="0.6" generator="test">\n${[...nodes, ...ways, ...relations].join("\n")}\n</osm>\n`;
}

export function plane(tile: Uint8Array, channel: number): Uint8Array {
  return tile.subarray(channel * AREA, (channel + 1) * AREA);
}

/** The pixel of an anchor tile that holds a point of the ground. */
export function pixel(tile: Uint8Array, channel: number, [x, y]: Point): number | undefined {
  const column = Math.floor((x + 100) * PIXELS_PER_METRE);
  const row = Math.floor((100 - y) * PIXELS_PER_METRE);
  return tile[channel * AREA + row * PIXELS + column];
}

export function largestDifference(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
}

/** Metres from a shape's edge, negative inside; outside of corners it may say less than it is. */
export type Shape = (x: number, y: number) => number;

/** @param points corners, counterclockwise */
export const convex = (points: readonly Point[]): Shape => {
  const edges = points.map(([x0, y0], i) => {
    const [x1, y1] = points[(i + 1) % points.length] as Point;
    const length = Math.hypot(x1 - x0, y1 - y0);
    return [x0, y0, (y1 - y0) / length, (x0 - x1) / length] as const;
  });
  return (x, y) => Math.max(...edges.map(([x0, y0, nx, ny]) => (x - x0) * nx + (y - y0) * ny));
};

export const disc =
  ([cx, cy]: Point, radius: number): Shape =>
  (x, y) =>
    Math.hypot(x - cx, y - cy) - radius;

/** A line of round ends and joins. */
export const stroke = (points: readonly Point[], width: number): Shape => {
  const parts = points.slice(1).map(([x1, y1], i): Shape => {
    const [x0, y0] = points[i] as Point;
    const square = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    return (x, y) => {
      const along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / square;
      const t = Math.min(1, Math.max(0, along));
      return Math.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0)) - width / 2;
    };
  });
  return union(parts);
};

export const union =
  (shapes: readonly Shape[]): Shape =>
  (x, y) =>
    Math.min(...shapes.map((shape) => shape(x, y)));

/**
 * The plane that a shape should give, from the definition of a tile alone: each pixel asks SAMPLES² points of the ground.
 */
export function expectedPlane(shape: Shape, { rotation, dx, dy }: TileTransform): Uint8Array {
  const SAMPLES = 32;
  const [sin, cos] = [Math.sin((rotation * Math.PI) / 180), Math.cos((rotation * Math.PI) / 180)];
  /** @param column pixels from the left, not whole; @param row from the top */
  const at = (column: number, row: number): number => {
    const right = (column - PIXELS / 2) / PIXELS_PER_METRE;
    const up = (PIXELS / 2 - row) / PIXELS_PER_METRE;
    // What was turned clockwise is looked up counterclockwise.
    return shape(dx + right * cos - up * sin, dy + right * sin + up * cos);
  };
  return Uint8Array.from({ length: AREA }, (_, i) => {
    const [column, row] = [i % PIXELS, Math.floor(i / PIXELS)];
    const distance = at(column + 0.5, row + 0.5) * PIXELS_PER_METRE;
    if (Math.abs(distance) > 0.75) return distance < 0 ? 255 : 0;
    let inside = 0;
    for (let s = 0; s < SAMPLES * SAMPLES; s++) {
      const x = column + ((s % SAMPLES) + 0.5) / SAMPLES;
      const y = row + (Math.floor(s / SAMPLES) + 0.5) / SAMPLES;
      if (at(x, y) < 0) inside++;
    }
    return Math.round((255 * inside) / SAMPLES ** 2);
  });
}
