import { hashKeys, Stream } from "./random.ts";

/** Mean radius of the Earth (IUGG), metres. */
export const EARTH_RADIUS_M = 6_371_008.8;
/** Of latitude. */
export const METRES_PER_DEGREE = (EARTH_RADIUS_M * Math.PI) / 180;

/** Half of the Web Mercator world's width, its metres. */
export const HALF_WORLD_M = 6_378_137 * Math.PI;

interface Place {
  /** Degrees, WGS 84. */
  lon: number;
  lat: number;
}

/** Metres between two places on a sphere (haversine formula; Sinnott 1984). */
export function distanceM(a: Place, b: Place): number {
  const radians = Math.PI / 180;
  const x = Math.sin(((b.lon - a.lon) * radians) / 2);
  const y = Math.sin(((b.lat - a.lat) * radians) / 2);
  const h = y * y + Math.cos(a.lat * radians) * Math.cos(b.lat * radians) * x * x;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/**
 * West, south, east, north, degrees. A box over the antimeridian has its west in the eastern hemisphere and its east in the
 * western one (RFC 7946, 5.2): west is greater than east.
 */
export type Bbox = readonly [west: number, south: number, east: number, north: number];

/**
 * Whether a place lies in a box, on its edge, or near it.
 *
 * @param marginM how near, metres, eastwards and northwards each
 */
export function isInside([west, south, east, north]: Bbox, { lon, lat }: Place, marginM = 0): boolean {
  const dLat = marginM / METRES_PER_DEGREE;
  if (lat < south - dLat || lat > north + dLat) return false;
  const dLon = dLat / Math.max(0.01, Math.cos((lat * Math.PI) / 180));
  const end = east < west ? east + 360 : east;
  return [lon - 360, lon, lon + 360].some((each) => each >= west - dLon && each <= end + dLon);
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
