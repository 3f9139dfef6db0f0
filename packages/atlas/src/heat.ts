import { blank, type Picture } from "./picture.ts";

/** From dark by violet and orange to pale yellow, as light as it is strong (after matplotlib's inferno). */
const STOPS = [
  [12, 8, 38],
  [87, 16, 110],
  [188, 55, 84],
  [249, 142, 9],
  [252, 255, 164],
] as const;

/** Values of 0 to 1 as colours. @param values [y, x] */
export function heatPicture(values: ArrayLike<number>): Picture {
  const side = Math.sqrt(values.length);
  const picture = blank(side, side);
  for (let i = 0; i < values.length; i++) {
    const at = Math.min(1, Math.max(0, values[i] as number)) * (STOPS.length - 1);
    const stop = Math.min(STOPS.length - 2, Math.floor(at));
    const [from, to] = [STOPS[stop] as readonly number[], STOPS[stop + 1] as readonly number[]];
    for (let k = 0; k < 3; k++)
      picture.data[3 * i + k] = Math.round(
        (from[k] as number) + (at - stop) * ((to[k] as number) - (from[k] as number)),
      );
  }
  return picture;
}
