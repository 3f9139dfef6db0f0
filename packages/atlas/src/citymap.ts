import { METRES_PER_DEGREE } from "@loc2vec/core";
import { pca } from "@loc2vec/numeric";
import { blank, disc, type Picture } from "./picture.ts";

const WIDTH = 1100;
const MARGIN = 14;

/** RGB of each row: its first three principal components, each stretched from its 2nd to its 98th percentile. */
export function embeddingColours(
  embeddings: Float32Array,
  size: number,
): { colours: Uint8Array; explained: number[] } {
  const { scores, explained } = pca(embeddings, size, 3);
  const rows = embeddings.length / size;
  const colours = new Uint8Array(3 * rows);
  for (let k = 0; k < 3; k++) {
    const sorted = Float64Array.from({ length: rows }, (_, i) => scores[3 * i + k] as number).sort();
    const low = sorted[Math.floor(0.02 * (rows - 1))] as number;
    const high = sorted[Math.ceil(0.98 * (rows - 1))] as number;
    for (let i = 0; i < rows; i++) {
      const share = high > low ? ((scores[3 * i + k] as number) - low) / (high - low) : 0.5;
      colours[3 * i + k] = Math.round(255 * Math.min(1, Math.max(0, share)));
    }
  }
  return { colours, explained };
}

export interface Placed {
  x: number;
  y: number;
}

/** Where locations lie in a picture: equirectangular about their middle latitude, north on top, all in view. */
export function place(
  lon: Float64Array,
  lat: Float64Array,
): { width: number; height: number; points: Placed[]; metresPerPixel: number } {
  const range = (values: Float64Array): [number, number] =>
    values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const [west, east] = range(lon);
  const [south, north] = range(lat);
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const inner = WIDTH - 2 * MARGIN;
  // A tall city is limited in height rather than in width.
  const perDegree = Math.min(
    inner / Math.max(1e-9, (east - west) * squeeze),
    inner / Math.max(1e-9, north - south),
  );
  const width = Math.ceil((east - west) * squeeze * perDegree) + 2 * MARGIN;
  const height = Math.ceil((north - south) * perDegree) + 2 * MARGIN;
  const points = Array.from(lon, (value, i) => ({
    x: MARGIN + (value - west) * squeeze * perDegree,
    y: MARGIN + (north - (lat[i] as number)) * perDegree,
  }));
  return { width, height, points, metresPerPixel: METRES_PER_DEGREE / perDegree };
}

/** Each location as a dot of its colour. @param colours uint8 [locations, 3] */
export function cityMap(
  lon: Float64Array,
  lat: Float64Array,
  colours: Uint8Array,
): Picture & { metresPerPixel: number } {
  const { width, height, points, metresPerPixel } = place(lon, lat);
  const picture = blank(width, height, [250, 249, 247]);
  const radius = points.length > 5000 ? 2.5 : points.length > 1500 ? 4 : 6;
  for (const [i, { x, y }] of points.entries())
    disc(picture, x, y, radius, [...colours.subarray(3 * i, 3 * i + 3)]);
  return { ...picture, metresPerPixel };
}
