import { inView, type Layout } from "./ground.ts";
import { blank, type Picture } from "./picture.ts";

/** The ground of small maps and of clouds: dark, so that colours are told apart on it, in a light page and a dark one. */
export const GROUND = [38, 41, 48] as const;

/**
 * A small square map of dots, in its middle.
 *
 * @param rows locations that are drawn, the last on top
 * @param colours of the rows, uint8 [rows.length, 3]
 * @param radius of a dot, pixels
 */
export function dotMap(
  layout: Layout,
  rows: readonly number[],
  colours: Uint8Array,
  { side, radius }: { side: number; radius: number },
): Picture {
  const picture = blank(side, side, GROUND);
  const scale = (side - 2 * radius) / Math.max(layout.width, layout.height);
  const [left, top] = [(side - scale * layout.width) / 2, (side - scale * layout.height) / 2];
  for (const [i, row] of rows.entries()) {
    if (!inView(layout, row)) continue;
    const [x, y] = [left + scale * (layout.x[row] as number), top + scale * (layout.y[row] as number)];
    disc(picture, x, y, radius, [...colours.subarray(3 * i, 3 * i + 3)]);
  }
  return picture;
}

/** What lies outside is left out. */
function disc(picture: Picture, x: number, y: number, radius: number, colour: readonly number[]): void {
  const { width, height, data } = picture;
  for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(height - 1, y + radius); row++)
    for (let at = Math.max(0, Math.ceil(x - radius)); at <= Math.min(width - 1, x + radius); at++)
      if ((at - x) ** 2 + (row - y) ** 2 <= radius ** 2) data.set(colour, 3 * (row * width + at));
}

/** Colours that are told apart on dark and on light, also by most who are colour-blind (after Okabe and Ito 2008). */
export const PALETTE: readonly (readonly [number, number, number])[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [213, 94, 0],
  [204, 121, 167],
  [150, 150, 60],
  [120, 110, 220],
  [140, 140, 140],
];

const [LOW, MIDDLE, HIGH] = [
  [60, 130, 220],
  [232, 230, 222],
  [224, 82, 54],
] as const;

/** From blue by pale to red: a share of 0 to 1. */
export function diverging(share: number): number[] {
  const [from, to, t] = share < 0.5 ? [LOW, MIDDLE, 2 * share] : [MIDDLE, HIGH, 2 * share - 1];
  return from.map((value, k) => Math.round(value + t * ((to[k] as number) - value)));
}
