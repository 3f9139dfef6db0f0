import { hashKeys, Stream } from "./random.ts";

/** Mean radius of the Earth (IUGG), metres. */
export const EARTH_RADIUS_M = 6_371_008.8;
/** Of latitude. */
export const METRES_PER_DEGREE = (EARTH_RADIUS_M * Math.PI) / 180;

interface Place {
  /** Degrees, WGS 84. */
  lon: number;
  lat: number;
}

/** West, south, east, north, degrees; west is greater than east where the box lies across the antimeridian. */
export type Box = readonly [west: number, south: number, east: number, north: number];

/** Whether a place lies in a box or on its border. The antimeridian is both 180° and -180°. */
export function withinBox([west, south, east, north]: Box, { lon, lat }: Place): boolean {
  const between = (x: number): boolean => (west <= east ? x >= west && x <= east : x >= west || x <= east);
  return lat >= south && lat <= north && (between(lon) || (Math.abs(lon) === 180 && between(-lon)));
}

/** A box and all that lies within so many metres of it. */
export function grownBox([west, south, east, north]: Box, metres: number): Box {
  const dLat = metres / METRES_PER_DEGREE;
  const [low, high] = [Math.max(-90, south - dLat), Math.min(90, north + dLat)];
  // Where it is farthest from the equator, a metre is most degrees.
  const dLon = dLat / Math.max(0.01, Math.cos((Math.max(-low, high) * Math.PI) / 180));
  const width = east - west + (west <= east ? 0 : 360);
  if (width + 2 * dLon >= 360) return [-180, low, 180, high];
  const turned = (lon: number): number => (lon < -180 ? lon + 360 : lon > 180 ? lon - 360 : lon);
  return [turned(west - dLon), low, turned(east + dLon), high];
}

/** Metres between two places on a sphere (haversine formula; Sinnott 1984). */
export function distanceM(a: Place, b: Place): number {
  const radians = Math.PI / 180;
  const x = Math.sin(((b.lon - a.lon) * radians) / 2);
  const y = Math.sin(((b.lat - a.lat) * radians) / 2);
  const h = y * y + Math.cos(a.lat * radians) * Math.cos(b.lat * radians) * x * x;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Which part of a map is kept from training, to evaluate on. */
export interface Holdout {
  /** Of all cells, 0 to 1. */
  share: number;
  /** Side of a cell, metres. */
  cellM: number;
  /** Locations nearer than this to a cell that is kept from training, metres, are not trained on either. */
  borderM: number;
}

/** A kilometre is some ten tiles; a tile reaches 100 m, and is shifted by 80 m at most. */
export const DEFAULT_HOLDOUT: Holdout = { share: 0.1, cellM: 1000, borderM: 200 };

export type Part = "train" | "border" | "heldout";

/**
 * To which part of a split by geography a location belongs. Cells are squares of about `cellM` on the ground: bands of
 * latitude, each cut into columns of that width in its middle. Which of them are held out follows from the seed alone, so
 * that neighbours, whose tiles show the same streets, fall on one side.
 *
 * @param seed the data set's: all models trained on it are evaluated on the same places
 */
export function partOf(seed: number, { lon, lat }: Place, { share, cellM, borderM }: Holdout): Part {
  if (share <= 0) return "train";
  if (isHeldOut(seed, lon, lat, cellM, share)) return "heldout";
  const dLat = borderM / METRES_PER_DEGREE;
  const dLon = dLat / Math.max(0.01, Math.cos((lat * Math.PI) / 180));
  for (const [x, y] of AROUND) {
    if (isHeldOut(seed, lon + x * dLon, lat + y * dLat, cellM, share)) return "border";
  }
  return "train";
}

const AROUND = [-1, 0, 1]
  .flatMap((x) => [-1, 0, 1].map((y) => [x, y] as const))
  .filter(([x, y]) => x !== 0 || y !== 0);

function isHeldOut(seed: number, lon: number, lat: number, cellM: number, share: number): boolean {
  const perDegree = METRES_PER_DEGREE / cellM;
  const row = Math.floor(lat * perDegree);
  const middle = (row + 0.5) / perDegree;
  const columns = Math.max(1, Math.round(360 * perDegree * Math.cos((middle * Math.PI) / 180)));
  const column = Math.floor((((lon + 540) % 360) / 360) * columns);
  // Rows south of the equator are negative; keys are not.
  return hashKeys(seed, Stream.holdout, row + 2 ** 30, column) / 2 ** 32 < share;
}
