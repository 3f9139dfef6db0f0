import { Purpose, randomOf } from "./random.ts";

/** The figures of the original work (Loc2Vec, 2018). Lengths in metres on the ground, sizes in pixels. */
export const TILE_PIXELS = 128;
export const TILE_RADIUS_M = 100;
export const MAX_OFFSET_M = 80;
const POSITIVES_PER_LOCATION = 20;
/** Anchor and positives: sample 0 is the anchor. */
export const SAMPLES_PER_LOCATION = POSITIVES_PER_LOCATION + 1;

/** Levels of intensity that tiles may be rounded to. */
export type Levels = 16 | 256;

/** What a location stands for: a place that somebody visited, or a fix taken while moving. */
export type LocationKind = "visit" | "transport";
/** The order is the code stored in the data set's `kind` array (uint8). */
export const LOCATION_KINDS: readonly LocationKind[] = ["visit", "transport"];

/** A place to embed. Degrees, WGS 84 (EPSG:4326), longitude first. */
export interface Location {
  lon: number;
  lat: number;
  kind: LocationKind;
  /** Relative weight ≥ 0 when locations are drawn from a larger set. Default 1. */
  weight?: number;
  /** Free text that travels with the location (venue name, ground truth …). */
  label?: string;
}

/** How a tile's window lies on the ground relative to its location. The anchor's is all zeros. */
export interface TileTransform {
  /** Clockwise rotation of the map content in the tile, degrees in [0, 360), float32 precision. */
  rotation: number;
  /** Shift of the window's centre to the east, metres on the ground, float32 precision. */
  dx: number;
  /** Shift of the window's centre to the north, metres on the ground, float32 precision. */
  dy: number;
}

export interface AugmentationOptions {
  /** Largest shift in each axis, metres; uniform in ±maxOffset. */
  maxOffset: number;
  /** Whether positives are rotated. */
  rotate: boolean;
}

export const DEFAULT_AUGMENTATION: AugmentationOptions = { maxOffset: MAX_OFFSET_M, rotate: true };

/**
 * The transform of one sample of a location: a pure function of its keys. Values are rounded to float32, so that what
 * the data set's `rotation` and `offset` arrays store is exactly what was rendered.
 *
 * @param seed the data set's seed
 * @param location index of the location in the data set
 * @param sample 0 for the anchor (identity), 1 … 20 for the positives
 */
export function tileTransform(
  seed: number,
  location: number,
  sample: number,
  options: AugmentationOptions = DEFAULT_AUGMENTATION,
): TileTransform {
  if (sample === 0) return { rotation: 0, dx: 0, dy: 0 };
  const random = randomOf(seed, Purpose.augment, location, sample);
  const offset = (): number => Math.fround((2 * random.uniform() - 1) * options.maxOffset);
  const turn = random.uniform() * 360;
  const dx = offset();
  const dy = offset();
  const rounded = Math.fround(turn);
  return { rotation: options.rotate && rounded < 360 ? rounded : 0, dx, dy };
}
