/** What a page is told of the points that it shows. */
export interface About {
  dataset: string;
  model: string;
  /** Of the checkpoint that made the vectors. */
  step: number;
  /** Locations of the data set; the page holds as many points, or a sample of them. */
  locations: number;
  /** Numbers of a vector. */
  size: number;
  /** Names behind the column `kind`. */
  kinds: string[];
  /** Labels behind the column `label`, which is −1 where there is none. */
  labels: string[];
  /** In the order of a tile's channels; colours are red, green, blue, 0 to 255. */
  channels: { name: string; title: string; colour: [number, number, number] }[];
  /** Side of a tile, pixels, and half of it on the ground, metres. */
  pixels: number;
  radiusM: number;
  /** West, south, east, north of all locations, degrees, WGS 84. */
  box: [number, number, number, number];
  /** Of the map that tiles are drawn from: beyond it there are none. */
  mapBox: [number, number, number, number] | null;
  /** Share of the variance that each of the principal axes explains. */
  explained: number[];
  /** Cells of a side of the column `density`, where only a sample is shown; else 0. */
  densityCells: number;
  attribution: string;
}

/** Points of a sheet of sprites: one below another, in their order. */
export const SHEET_POINTS = 256;
/** Side of a sprite, pixels. */
export const SPRITE_PIXELS = 32;

/** Arrangements that are computed once, and take a while. */
export const METHODS = ["tsne", "umap"] as const;
export type Method = (typeof METHODS)[number];

/** How far an arrangement is. */
export interface Arranging {
  stage: "waiting" | "arranging" | "placing";
  /** 0 to 1. */
  share: number;
}
