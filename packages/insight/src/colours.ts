import { BRIGHTEST } from "./ascent.ts";

/** The channels of an image that are strongest, as colours. */
export interface TopChannels {
  /** By index, the strongest first: red, green, blue. Fewer of an image with fewer. */
  channels: number[];
  /** Uint8 [y, x, 3]. A colour without a channel is 0. */
  rgb: Uint8Array;
}

/**
 * The three channels of an image with the highest mean magnitude as red, green and blue, each equalized by itself, as
 * Loc2Vec's figures 13 and 14 show filters. Of equal ones the first is taken.
 *
 * @param image float32 [channel, y, x], 0 to 255
 * @param channels how many the image has
 */
export function topChannels(image: Float32Array, channels: number): TopChannels {
  const cells = image.length / channels;
  const planes = Array.from({ length: channels }, (_, channel) => {
    const plane = image.subarray(channel * cells, (channel + 1) * cells);
    const magnitude = plane.reduce((sum, pixel) => sum + Math.abs(pixel), 0) / cells;
    return { channel, plane, magnitude };
  });
  const top = planes.sort((a, b) => b.magnitude - a.magnitude || a.channel - b.channel).slice(0, 3);
  const rgb = new Uint8Array(3 * cells);
  for (const [colour, { plane }] of top.entries())
    for (const [cell, value] of equalize(plane).entries()) rgb[3 * cell + colour] = value;
  return { channels: top.map(({ channel }) => channel), rgb };
}

/**
 * Histogram equalization (Gonzalez & Woods, Digital Image Processing, section 3.3), rounded to bytes: a level becomes the
 * share of the pixels up to it, less those of the lowest level, which becomes 0; the highest becomes 255. An image of one
 * level stays as it is.
 *
 * @param pixels of one channel, 0 to 255; rounded to their levels
 */
export function equalize(pixels: ArrayLike<number>): Uint8Array {
  const levels = Uint8ClampedArray.from(pixels);
  const counts = new Array<number>(BRIGHTEST + 1).fill(0);
  for (const level of levels) counts[level] = (counts[level] as number) + 1;
  let below = 0;
  const upTo = counts.map((count) => {
    below += count;
    return below;
  });
  const lowest = upTo.find((count) => count > 0) ?? 0;
  if (lowest === levels.length) return Uint8Array.from(levels);
  const share = (level: number): number => ((upTo[level] as number) - lowest) / (levels.length - lowest);
  return Uint8Array.from(levels, (level) => Math.round(BRIGHTEST * share(level)));
}
