import { around } from "geokdbush";
import KDBush from "kdbush";
import { apartM } from "./footprint.ts";
import { hashKeys, Purpose } from "./random.ts";
import { MAX_OFFSET_M, TILE_RADIUS_M } from "./tile.ts";

/** Mean radius of the Earth (IUGG), metres. */
export const EARTH_RADIUS_M = 6_371_008.8;
/** Length of a degree of latitude, and of one of longitude on the equator, metres. */
export const METRES_PER_DEGREE = (EARTH_RADIUS_M * Math.PI) / 180;

/** Half of the Web Mercator world's width, its metres. */
export const HALF_WORLD_M = 6_378_137 * Math.PI;

/** A place on the globe. */
export interface Place {
  /** Degrees, WGS 84. */
  lon: number;
  lat: number;
}

/**
 * West, south, east, north, degrees. A box over the antimeridian has its west in the eastern hemisphere and its east in the
 * western one (RFC 7946, 5.2): west is greater than east.
 */
export type Box = readonly [west: number, south: number, east: number, north: number];

/**
 * Whether a place lies in a box, on its border, or near it. The antimeridian is both 180° and -180°.
 *
 * @param marginM how near, metres, eastwards and northwards each
 */
export function withinBox([west, south, east, north]: Box, { lon, lat }: Place, marginM = 0): boolean {
  const dLat = marginM / METRES_PER_DEGREE;
  if (!(lat >= south - dLat && lat <= north + dLat)) return false;
  const dLon = dLat / Math.max(0.01, Math.cos((lat * Math.PI) / 180));
  const end = east < west ? east + 360 : east;
  return [lon - 360, lon, lon + 360].some((each) => each >= west - dLon && each <= end + dLon);
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
  /** Share of all cells, 0 to 1. */
  share: number;
  /** Side of a cell, metres. */
  cellM: number;
  /** Locations nearer than this to a cell that is kept from training, metres, are not trained on either. */
  borderM: number;
}

/** Cells of a kilometre, some ten tiles wide, with a border of two footprints: no pixel of a held-out tile is trained on. */
export const DEFAULT_HOLDOUT: Holdout = {
  share: 0.1,
  cellM: 1000,
  borderM: apartM(TILE_RADIUS_M, MAX_OFFSET_M),
};

export type Part = "train" | "border" | "heldout";

/**
 * To which part of a split by geography a location belongs. Cells are squares of about `cellM` on the ground: bands of
 * latitude, each cut into columns of that width in its middle. Which of them are held out follows from the seed alone, so
 * that neighbours, whose tiles show the same streets, fall on one side. No location of the part `train` lies nearer than
 * `borderM` to a cell that is held out.
 *
 * @param seed the data set's: all models trained on it are evaluated on the same places
 */
export function partOf(seed: number, { lon, lat }: Place, { share, cellM, borderM }: Holdout): Part {
  if (share <= 0) return "train";
  const perDegree = METRES_PER_DEGREE / cellM;
  const heldOut = (row: number, column: number): boolean =>
    // Rows south of the equator are negative; keys are not.
    hashKeys(seed, Purpose.holdout, row + 2 ** 30, column) / 2 ** 32 < share;
  const east = (lon + 540) % 360;
  const own = Math.floor(lat * perDegree);
  if (heldOut(own, Math.floor((east / 360) * columnsOf(own, perDegree)))) return "heldout";
  // A little more than the border: the nearest point of a meridian lies a little beside the location's own latitude.
  const border = borderM * 1.0001;
  const high = border / METRES_PER_DEGREE;
  for (let row = Math.floor((lat - high) * perDegree); row <= Math.floor((lat + high) * perDegree); row++) {
    const columns = columnsOf(row, perDegree);
    const nearest = Math.min(Math.max(lat, row / perDegree), (row + 1) / perDegree);
    const wide = halfWidth(lat, nearest, border);
    const last = Math.floor(((east + wide) / 360) * columns);
    for (let column = Math.floor(((east - wide) / 360) * columns); column <= last; column++) {
      if (heldOut(row, ((column % columns) + columns) % columns)) return "border";
    }
  }
  return "train";
}

/** Cells of a band of latitude. */
function columnsOf(row: number, perDegree: number): number {
  const middle = (row + 0.5) / perDegree;
  return Math.max(1, Math.round(360 * perDegree * Math.cos((middle * Math.PI) / 180)));
}

/** Degrees of longitude, at most 180, that places at two latitudes may lie apart to be within a distance (haversine formula). */
function halfWidth(lat: number, other: number, metres: number): number {
  const radians = Math.PI / 180;
  const chord = Math.sin(metres / (2 * EARTH_RADIUS_M)) ** 2 - Math.sin(((other - lat) * radians) / 2) ** 2;
  const cos = Math.cos(lat * radians) * Math.cos(other * radians);
  if (chord <= 0) return 0;
  return chord >= cos ? 180 : (2 * Math.asin(Math.sqrt(chord / cos))) / radians;
}

/** The nearest of some places. */
export interface NearestPlace {
  /** Its index among the places. */
  index: number;
  metres: number;
}

/**
 * An index of places on the globe (kdbush and geokdbush), across poles and antimeridian.
 *
 * @returns for a place, the nearest of them but the one of index `but`; undefined when there is none within `withinM` metres
 */
export function nearestOf(
  places: readonly Place[],
): (place: Place, options?: { but?: number; withinM?: number }) => NearestPlace | undefined {
  if (places.length === 0) return () => undefined;
  const index = new KDBush(places.length);
  for (const { lon, lat } of places) index.add(lon, lat);
  index.finish();
  return (place, { but, withinM } = {}) => {
    const [nearest] = around(index, place.lon, place.lat, 1, withinM && withinM / 1000, (i) => i !== but);
    if (nearest === undefined) return undefined;
    return { index: nearest, metres: distanceM(place, places[nearest] as Place) };
  };
}
