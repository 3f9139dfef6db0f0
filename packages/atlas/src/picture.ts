import type { Profile } from "@loc2vec/gis";
import sharp from "sharp";

/** An RGB picture: uint8 [y, x, 3]. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8Array;
}

/** The colour of a map without anything on it. */
const LAND = [242, 239, 233] as const;
const PAPER = [255, 255, 255] as const;

export function blank(width: number, height: number, colour: readonly number[] = PAPER): Picture {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3] as number;
  return { width, height, data };
}

/**
 * A tile for human eyes: the channels painted over one another in the order of their `z`, each in its colour, as opaque
 * as it is bright.
 *
 * @param tile planar uint8 [channel, y, x]
 */
export function composeRgb(tile: Uint8Array, profile: Profile): Picture {
  const area = tile.length / profile.channels.length;
  const side = Math.sqrt(area);
  const picture = blank(side, side, LAND);
  const order = [...profile.channels.entries()].sort(([, a], [, b]) => a.z - b.z);
  for (const [channel, { colour }] of order) {
    for (let i = 0; i < area; i++) {
      const alpha = (tile[channel * area + i] as number) / 255;
      if (alpha === 0) continue;
      for (let k = 0; k < 3; k++) {
        const below = picture.data[3 * i + k] as number;
        picture.data[3 * i + k] = Math.round(below + alpha * ((colour[k] as number) - below));
      }
    }
  }
  return picture;
}

/** In how many channels of a tile there is something. @param tile planar uint8 [channel, y, x] */
export function filledOf(tile: Uint8Array, channels: number): number {
  const area = tile.length / channels;
  return Array.from({ length: channels }, (_, channel) =>
    tile.subarray(channel * area, (channel + 1) * area).some((value) => value > 0),
  ).filter(Boolean).length;
}

/** One channel of a tile in grey. */
export function channelPicture(tile: Uint8Array, channel: number, channels: number): Picture {
  const area = tile.length / channels;
  const side = Math.sqrt(area);
  const picture = blank(side, side);
  for (let i = 0; i < area; i++) picture.data.fill(tile[channel * area + i] as number, 3 * i, 3 * i + 3);
  return picture;
}

/** Pictures of one size in rows, on paper. */
export function sheet(rows: readonly (readonly Picture[])[], gap = 6): Picture {
  const first = rows[0]?.[0] ?? blank(1, 1);
  const columns = Math.max(...rows.map((row) => row.length), 1);
  const whole = blank(
    columns * (first.width + gap) - gap,
    Math.max(1, rows.length * (first.height + gap) - gap),
  );
  for (const [r, row] of rows.entries()) {
    for (const [c, { width, height, data }] of row.entries()) {
      for (let y = 0; y < height; y++) {
        const at = ((r * (height + gap) + y) * whole.width + c * (width + gap)) * 3;
        whole.data.set(data.subarray(y * width * 3, (y + 1) * width * 3), at);
      }
    }
  }
  return whole;
}

/** @param zoom whole: each pixel becomes so many pixels wide */
export async function encodePng({ width, height, data }: Picture, zoom = 1): Promise<Buffer> {
  const image = sharp(data, { raw: { width, height, channels: 3 } });
  const scaled = zoom === 1 ? image : image.resize(width * zoom, height * zoom, { kernel: "nearest" });
  return scaled.png({ compressionLevel: 9, palette: false }).toBuffer();
}
