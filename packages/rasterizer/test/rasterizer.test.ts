import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TileTransform } from "@loc2vec/core";
import { importPbf, loadProfile, type Profile, parseProfile } from "@loc2vec/gis";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRasterizer, frameOf, type Rasterizer, rendererInfo } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
  }
}

const NAME = `rasterizer_test_${process.pid}`;
const P = 128;
/** Metres of a pixel. */
const M = 200 / P;
const EQUATOR = { lon: 10, lat: 0 };
const NORTH = { lon: 24.9, lat: 60.2 };
/** A third place, with nothing near. */
const SEA = { lon: 0, lat: 30 };
const STRAIGHT: TileTransform = { rotation: 0, dx: 0, dy: 0 };

/** Order of painting, R, G, B of two passes, points, outlines: what the test looks for, and no more. */
const PROFILE = `
name: test
version: 1
channels:
  - { name: houses, title: Houses, colour: [0, 0, 0], z: 1, rules: [{ id: house, geometry: polygon, match: { building: "*" }, draw: { intensity: 200 } }] }
  - { name: roads, title: Roads, colour: [0, 0, 0], z: 2, rules: [
      { id: road, geometry: line, match: { highway: residential }, draw: { width: 12.5, intensity: 250, cap: butt } } ] }
  - { name: shops, title: Shops, colour: [0, 0, 0], z: 3, rules: [{ id: shop, geometry: point, match: { shop: "*" }, draw: { radius: 10, intensity: 120 } }] }
  - { name: layers, title: Order, colour: [0, 0, 0], z: 4, rules: [
      { id: under, geometry: polygon, match: { landuse: forest }, draw: { intensity: 240 } },
      { id: over, geometry: polygon, match: { leisure: park }, draw: { intensity: 60, outline: { width: 3.125, intensity: 30 } } } ] }
labels: { amenity: "*" }
`;

/** Degrees per metre on the WGS 84 ellipsoid, from its radii of curvature. */
function degreesPerMetre(lat: number): { lon: number; lat: number } {
  const [a, e2, phi] = [6378137, 0.00669437999014, (lat * Math.PI) / 180];
  const w = Math.sqrt(1 - e2 * Math.sin(phi) ** 2);
  const n = a / w;
  const m = (a * (1 - e2)) / w ** 3;
  return { lon: 180 / Math.PI / (n * Math.cos(phi)), lat: 180 / Math.PI / m };
}

/** An OSM file from shapes in metres east and north of a place. */
class Town {
  readonly #nodes: string[] = [];
  readonly #ways: string[] = [];
  #id = 1;
  #place: { lon: number; lat: number };

  constructor(place: { lon: number; lat: number }) {
    this.#place = place;
  }

  at(place: { lon: number; lat: number }): this {
    this.#place = place;
    return this;
  }

  node(east: number, north: number, tags: Record<string, string> = {}): number {
    const scale = degreesPerMetre(this.#place.lat);
    const lon = (this.#place.lon + east * scale.lon).toFixed(9);
    const lat = (this.#place.lat + north * scale.lat).toFixed(9);
    this.#nodes.push(`<node id="${this.#id}" version="1" lon="${lon}" lat="${lat}">${tagsXml(tags)}</node>`);
    return this.#id++;
  }

  way(points: readonly (readonly [number, number])[], tags: Record<string, string>, closed = false): this {
    const ids = points.map(([east, north]) => this.node(east, north));
    if (closed) ids.push(ids[0] as number);
    this.#ways.push(
      `<way id="${this.#id++}" version="1">${ids.map((id) => `<nd ref="${id}"/>`).join("")}${tagsXml(tags)}</way>`,
    );
    return this;
  }

  box(west: number, south: number, east: number, north: number, tags: Record<string, string>): this {
    return this.way(
      [
        [west, south],
        [east, south],
        [east, north],
        [west, north],
      ],
      tags,
      true,
    );
  }

  xml(): string {
    return `<?xml version="1.0"?><osm version="0.6">${this.#nodes.join("")}${this.#ways.join("")}</osm>`;
  }
}

const tagsXml = (tags: Record<string, string>): string =>
  Object.entries(tags)
    .map(([key, value]) => `<tag k="${key}" v="${value}"/>`)
    .join("");

let databaseUrl: string;
let folder: string;
let profile: Profile;
let rasterizer: Rasterizer;

async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(text).finally(() => client.end());
}

beforeAll(async () => {
  const server = new URL(inject("databaseUrl"));
  await query(server.href, `CREATE DATABASE ${NAME}`);
  server.pathname = `/${NAME}`;
  databaseUrl = server.href;
  folder = await mkdtemp(join(tmpdir(), "rasterizer-"));
  profile = parseProfile(PROFILE, "test.yaml");
  const town = new Town(EQUATOR);
  for (const place of [EQUATOR, NORTH]) {
    town.at(place);
    town.box(10, 20, 60, 40, { building: "yes" });
    town.way(
      [
        [-400, -50],
        [400, -50],
      ],
      { highway: "residential" },
    );
    town.node(-50, 50, { shop: "bakery" });
    town.box(-60, -30, 0, 30, { landuse: "forest" });
    town.box(-40, -20, -20, 20, { leisure: "park" });
    town.box(88, 88, 98, 98, { building: "yes" });
    // Beyond the straight window; a turned one has a corner there.
    town.box(15, 135, 25, 145, { building: "yes" });
  }
  const pbf = join(folder, "town.osm");
  await writeFile(pbf, town.xml());
  await importPbf({ pbf, databaseUrl, profile });
  rasterizer = await createRasterizer({ databaseUrl, profile });
});
afterAll(async () => {
  await rasterizer.close();
  await query(inject("databaseUrl"), `DROP DATABASE IF EXISTS ${NAME} WITH (FORCE)`);
  await rm(folder, { recursive: true, force: true });
});

const draw = async (
  place: { lon: number; lat: number },
  transform: Partial<TileTransform> = {},
): Promise<Uint8Array> => (await rasterizer.render(place, [{ ...STRAIGHT, ...transform }]))[0] as Uint8Array;
const plane = (tile: Uint8Array, channel: number): Uint8Array =>
  tile.subarray(channel * P * P, (channel + 1) * P * P);
const sum = (values: Uint8Array): number => values.reduce((total, value) => total + value, 0);
/** The pixel that holds a point, metres east and north of the window's centre. */
const pixel = (channel: Uint8Array, east: number, north: number): number =>
  channel[Math.floor((100 - north) / M) * P + Math.floor((100 + east) / M)] as number;

describe.each([
  ["at the equator", EQUATOR],
  ["at 60° north", NORTH],
])("%s", (_, place) => {
  test("areas on the ground are true, and things are where they are", async () => {
    const tile = await draw(place);
    const houses = plane(tile, 0);
    // 50 m × 20 m, and 10 m × 10 m, both inside the window.
    expect((sum(houses) / 200) * M * M).toBeCloseTo(1100, -1);
    expect([pixel(houses, 35, 30), pixel(houses, 12, 22), pixel(houses, 58, 38)]).toEqual([200, 200, 200]);
    expect([
      pixel(houses, 7, 30),
      pixel(houses, 63, 30),
      pixel(houses, 35, 43),
      pixel(houses, 35, 17),
    ]).toEqual([0, 0, 0, 0]);
    const roads = plane(tile, 1);
    expect((sum(roads) / 250) * M * M).toBeCloseTo(200 * 12.5, -2);
    expect([pixel(roads, -99, -50), pixel(roads, 99, -50), pixel(roads, 0, -41)]).toEqual([250, 250, 0]);
    const shops = plane(tile, 2);
    expect((sum(shops) / 120) * M * M).toBeGreaterThan(0.97 * Math.PI * 100);
    expect((sum(shops) / 120) * M * M).toBeLessThan(1.02 * Math.PI * 100);
    expect([pixel(shops, -50, 50), pixel(shops, -50, 58), pixel(shops, -50, 62)]).toEqual([120, 120, 0]);
  });

  test("a shift moves the window, so the map moves the other way", async () => {
    const [anchor, shifted] = [await draw(place), await draw(place, { dx: 50, dy: -25 })];
    for (let channel = 0; channel < 4; channel++) {
      const [a, b] = [plane(anchor, channel), plane(shifted, channel)];
      let worst = 0;
      for (let y = 0; y < P - 16; y++) {
        // 32 pixels to the left, 16 up.
        for (let x = 0; x < P - 32; x++)
          worst = Math.max(worst, Math.abs((b[y * P + x] as number) - (a[(y + 16) * P + x + 32] as number)));
      }
      expect(worst).toBeLessThanOrEqual(16);
    }
  });

  test("a quarter turn is the anchor turned clockwise", async () => {
    const [anchor, turned] = [await draw(place), await draw(place, { rotation: 90 })];
    for (let channel = 0; channel < 4; channel++) {
      const [a, b] = [plane(anchor, channel), plane(turned, channel)];
      let worst = 0;
      for (let y = 0; y < P; y++) {
        for (let x = 0; x < P; x++)
          worst = Math.max(worst, Math.abs((b[x * P + (P - 1 - y)] as number) - (a[y * P + x] as number)));
      }
      expect(worst).toBeLessThanOrEqual(16);
    }
  });

  test("a turn by 45° about the shifted centre puts things where trigonometry does, corners included", async () => {
    const [dx, dy] = [20, 10];
    const tile = await draw(place, { rotation: 45, dx, dy });
    const see = (channel: number, east: number, north: number): number => {
      const [x, y] = [east - dx, north - dy];
      // Clockwise by 45°.
      return pixel(plane(tile, channel), (x + y) * Math.SQRT1_2, (y - x) * Math.SQRT1_2);
    };
    expect([see(0, 35, 30), see(0, 13, 23), see(0, 57, 37), see(0, 64, 30), see(0, 20, 140)]).toEqual([
      200, 200, 200, 0, 200,
    ]);
    expect([see(1, 0, -50), see(1, 60, -50), see(1, 0, -40)]).toEqual([250, 250, 0]);
    expect([see(2, -50, 50), see(2, -50, 38)]).toEqual([120, 0]);
  });

  test("later rules lie over earlier ones, even where they are darker; outlines over fills", async () => {
    const layers = plane(await draw(place), 3);
    expect([pixel(layers, -50, 0), pixel(layers, -30, 0), pixel(layers, -10, 0)]).toEqual([240, 60, 240]);
    expect(pixel(layers, -40.1, 0)).toBeLessThan(60);
    expect(pixel(layers, -30, 24)).toBe(240);
  });
});

test("many samples at once are what they are one by one, in buffers of their own", async () => {
  const transforms = [0, 17.5, 123, 359].map((rotation, i) => ({
    rotation,
    dx: 20 * i - 40,
    dy: 15 * i - 30,
  }));
  const together = await rasterizer.render(NORTH, transforms);
  const [other, again] = await Promise.all([
    rasterizer.render(EQUATOR, transforms),
    rasterizer.render(NORTH, transforms),
  ]);
  expect(again).toEqual(together);
  expect(other).not.toEqual(together);
  for (const [i, transform] of transforms.entries())
    expect(await draw(NORTH, transform)).toEqual(together[i]);
  expect(new Set(together.map((tile) => tile.buffer)).size).toBe(transforms.length);
});

test("where the map is empty, so is the tile", async () => {
  expect(sum(await draw(SEA))).toBe(0);
});

test("another map, none, or a place off the map is an error that says what to do", async () => {
  await expect(draw({ lon: 0, lat: 86 })).rejects.toThrowError(/lat 86 is not within/);
  await expect(draw(NORTH, { dx: 81 })).rejects.toThrowError(/a shift of 81, 0 m is beyond ±80 m/);
  const real = await loadProfile(fileURLToPath(new URL("../../../styles/loc2vec.yaml", import.meta.url)));
  await expect(createRasterizer({ databaseUrl, profile: real })).rejects.toThrowError(
    /imported with other rules/,
  );
  await expect(createRasterizer({ databaseUrl: inject("databaseUrl"), profile })).rejects.toThrowError(
    /no map is imported/,
  );
  const nowhere = createRasterizer({ databaseUrl: "postgres://a:b@127.0.0.1:9/c", profile });
  await expect(nowhere).rejects.toThrowError(
    /PostgreSQL postgres:\/\/a:\*\*\*@127\.0\.0\.1:9\/c: .*ECONNREFUSED/,
  );
});

test("the style hash tells what changes pixels", () => {
  const { styleHash, renderer } = rendererInfo(profile);
  expect(renderer).toMatch(/^mapnik \d+\.\d+\.\d+$/);
  expect(rasterizer).toMatchObject({ styleHash, renderer, channels: ["houses", "roads", "shops", "layers"] });
  expect(rendererInfo(profile, { pixels: 64 }).styleHash).not.toBe(styleHash);
  const wider = parseProfile(PROFILE.replace("width: 12.5", "width: 13"), "test.yaml");
  expect(rendererInfo(wider).styleHash).not.toBe(styleHash);
  const retitled = parseProfile(PROFILE.replace("title: Houses", "title: Homes"), "test.yaml");
  expect(rendererInfo(retitled).styleHash).toBe(styleHash);
});

test("scale factors at known latitudes", () => {
  expect(frameOf(0, 0)).toEqual({
    x: 0,
    y: expect.closeTo(0, 6),
    kx: 1,
    ky: expect.closeTo(1 / (1 - 0.00669437999014), 9),
  });
  // Central finite differences of the projection over the ellipsoid's arc lengths.
  const perMetre = degreesPerMetre(60);
  const { kx, ky } = frameOf(25, 60);
  expect(kx).toBeCloseTo((frameOf(25 + perMetre.lon, 60).x - frameOf(25 - perMetre.lon, 60).x) / 2, 6);
  expect(ky).toBeCloseTo((frameOf(25, 60 + perMetre.lat).y - frameOf(25, 60 - perMetre.lat).y) / 2, 6);
});
