import { METRES_PER_DEGREE } from "@loc2vec/core";
import { blank, disc, type Picture } from "./picture.ts";
import { words } from "./svg.ts";

/** The ground of maps of dots: dark, so that colours are told apart on it, in a light page and a dark one. */
export const GROUND = [38, 41, 48] as const;

export interface Dots {
  lon: ArrayLike<number>;
  lat: ArrayLike<number>;
  /** Rows that are drawn, the last on top. */
  rows: readonly number[];
  /** Of the rows, uint8 [rows.length, 3]. */
  colours: Uint8Array;
}

export interface DotMapOptions {
  /** Pixels; the map fits into them. */
  width: number;
  height: number;
  /** Of a dot, pixels. */
  radius: number;
  /** Whether the picture is of that size even where the map is narrower, which is then in its middle. Default: cut to it. */
  whole?: boolean;
}

/** The share of locations beyond each edge's outermost that a map leaves room for, and how much more of its length. */
const [OUTER, ROOM] = [0.004, 0.04] as const;

/**
 * Locations as dots where they lie: equirectangular about their middle latitude, north on top. A few that lie far from all
 * others are not in view, so that the others can be seen.
 *
 * @returns the picture, and how many locations are not in view
 */
export function dotMap(
  { lon, lat, rows, colours }: Dots,
  { width, height, radius, whole = false }: DotMapOptions,
): Picture & { metresPerPixel: number; outside: number } {
  const [west, east] = range(rows, lon);
  const [south, north] = range(rows, lat);
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const margin = Math.ceil(radius) + 4;
  // Of one place, a degree of ground is drawn.
  const perDegree = Math.min(
    (width - 2 * margin) / Math.max(1e-6, (east - west) * squeeze),
    (height - 2 * margin) / Math.max(1e-6, north - south),
  );
  const inner = [
    Math.ceil((east - west) * squeeze * perDegree),
    Math.ceil((north - south) * perDegree),
  ] as const;
  const [wide, high] = whole ? [width, height] : [inner[0] + 2 * margin, inner[1] + 2 * margin];
  const [left, top] = [(wide - inner[0]) / 2, (high - inner[1]) / 2];
  const picture = blank(wide, high, GROUND);
  let outside = 0;
  for (const [i, row] of rows.entries()) {
    const x = left + ((lon[row] as number) - west) * squeeze * perDegree;
    const y = top + (north - (lat[row] as number)) * perDegree;
    if (x < 0 || y < 0 || x > wide || y > high) outside++;
    else disc(picture, x, y, radius, [...colours.subarray(3 * i, 3 * i + 3)]);
  }
  return { ...picture, metresPerPixel: METRES_PER_DEGREE / perDegree, outside };
}

/** From where to where most of some values lie. */
function range(rows: readonly number[], values: ArrayLike<number>): [number, number] {
  const sorted = Float64Array.from(rows, (row) => values[row] as number).sort();
  const beyond = Math.floor(OUTER * sorted.length);
  const [low, high] = [sorted[beyond] as number, sorted[sorted.length - 1 - beyond] as number];
  const room = ROOM * (high - low);
  return [Math.max(sorted[0] as number, low - room), Math.min(sorted.at(-1) as number, high + room)];
}

/** How many locations are not in view, as a sentence; empty for none. */
export function outsideText(outside: number): string {
  if (outside === 0) return "";
  return ` ${outside === 1 ? "One location lies" : `${outside} locations lie`} too far from the others to be in view.`;
}

/** A bar of a round length and an arrow to the north, over a map on {@link GROUND}. @param y of the bar */
export function scaleBar(metresPerPixel: number, x: number, y: number, most: number): string[] {
  const longest = metresPerPixel * most;
  const power = 10 ** Math.floor(Math.log10(longest));
  const metres = ([5, 2, 1].find((step) => step * power <= longest) ?? 1) * power;
  const length = metres / metresPerPixel;
  const name = metres >= 1000 ? `${metres / 1000} km` : `${metres} m`;
  const light = "#e8e6e1";
  return [
    `<path d="M${x} ${y - 5}v5h${length.toFixed(1)}v-5" fill="none" stroke="${light}" stroke-width="2"/>`,
    lightText(name, x + length + 8, y),
    `<path d="M${x} ${y - 16}l5 -16l5 16l-5 -4z" fill="${light}"/>`,
    lightText("N", x + 14, y - 18),
  ];
}

/** Words on {@link GROUND}. */
export function lightText(text: string, x: number, y: number): string {
  return words(text, x, y).replace('class="ink"', 'fill="#e8e6e1"');
}

/** Colours that are told apart on {@link GROUND}, on white and on black, also by most who are colour-blind (after Okabe and Ito 2008). */
export const PALETTE: readonly (readonly [number, number, number])[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [213, 94, 0],
  [204, 121, 167],
  [150, 150, 60],
  [120, 110, 220],
  [160, 160, 160],
];

/** From blue by pale to red: a share of 0 to 1. */
export function diverging(share: number): readonly [number, number, number] {
  const [low, middle, high] = [
    [60, 130, 220],
    [232, 230, 222],
    [224, 82, 54],
  ] as const;
  const [from, to, t] = share < 0.5 ? [low, middle, 2 * share] : [middle, high, 2 * share - 1];
  return [0, 1, 2].map((k) =>
    Math.round((from[k] as number) + t * ((to[k] as number) - (from[k] as number))),
  ) as unknown as readonly [number, number, number];
}
