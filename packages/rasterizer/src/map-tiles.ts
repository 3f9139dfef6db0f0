import { HALF_WORLD_M } from "@loc2vec/core";
import { type Profile, requireImport } from "@loc2vec/gis";
import { createCanvas } from "./canvas.ts";
import { OVERSAMPLING, paintsOf, scaledPaint } from "./fast.ts";
import { openFeatures } from "./features.ts";
import { coatsOf, reachOf } from "./style.ts";
import { frameOf } from "./window.ts";

/** Half of a map tile's side in the canvas's own unit: any will do, so one canvas serves all zooms and latitudes. */
const HALF = 100;
/** Zooms below it are drawn of what is as large as a pixel, and no finer than that: else a city's every house is fetched. */
const FULL_FROM = 14;
/** Side of a map tile, pixels. */
export const MAP_TILE_PIXELS = 256;

export interface MapTiles {
  /**
   * Draws a tile of the Web Mercator scheme (z/x/y, y from the north), straight and in its place: what a location's tile
   * shows of the same ground.
   *
   * @returns planar uint8 [channel, 256, 256], row 0 on top
   * @throws FarmError `service` when the map cannot be read, `map-mismatch` when another was imported meanwhile
   */
  render(z: number, x: number, y: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Middle of a map tile, and half of its side: Web Mercator metres. */
export function squareOf(z: number, x: number, y: number): { x: number; y: number; half: number } {
  const half = HALF_WORLD_M / 2 ** z;
  return { x: (2 * x + 1) * half - HALF_WORLD_M, y: HALF_WORLD_M - (2 * y + 1) * half, half };
}

/**
 * Opens the map for tiles of the Web Mercator scheme, drawn by the fast renderer.
 *
 * @throws FarmError `input` when no map is imported, or one with other matching rules than the profile's; `service`
 */
export async function openMapTiles(databaseUrl: string, profile: Profile): Promise<MapTiles> {
  const features = await openFeatures(databaseUrl, await requireImport(databaseUrl, profile));
  const coats = coatsOf(profile);
  const [paints, reach] = [paintsOf(coats), reachOf(profile)];
  const size = { pixels: MAP_TILE_PIXELS, radius: HALF, offset: 0, oversampling: OVERSAMPLING };
  const canvas = createCanvas({ planes: coats.length, ...size });
  return {
    async render(z, x, y) {
      const square = squareOf(z, x, y);
      // Mercator metres of the canvas's unit, and units of a metre on the ground in the middle of the tile.
      const k = square.half / HALF;
      const scale = frameOf(0, latitudeOf(square.y)).kx / k;
      const frame = { x: square.x, y: square.y, kx: k, ky: k };
      const margin = HALF + reach * scale + (4 * HALF) / MAP_TILE_PIXELS;
      const coarse = z < FULL_FROM ? (2 * square.half) / MAP_TILE_PIXELS : 0;
      const wkb = await features.wkb(frame, margin, coarse);
      canvas.load(wkb, frame);
      for (const { rule, plane, paint } of paints) canvas.paint(rule, plane, scaledPaint(paint, scale));
      canvas.finish();
      return canvas.cut({ rotation: 0, dx: 0, dy: 0 }, 256);
    },
    close: () => features.close(),
  };
}

/** Degrees, of a northing in Web Mercator metres. */
const latitudeOf = (y: number): number =>
  (Math.atan(Math.sinh((y * Math.PI) / HALF_WORLD_M)) * 180) / Math.PI;
