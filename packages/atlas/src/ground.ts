import { METRES_PER_DEGREE } from "@loc2vec/core";
import sharp from "sharp";
import type { City } from "./drawing.ts";
import { type Key, legend } from "./grid.ts";
import { blank, type Picture } from "./picture.ts";
import { border, FULL_WIDTH, image, paragraph, rasterOf, type Svg, svg, words, wrap } from "./svg.ts";

/** The highest map, CSS pixels; and pixels of its raster to one of those. */
const [HIGHEST, DENSITY] = [820, 1.5] as const;
/** A tile that is smaller than this on the map, pixels of the raster, shows nothing any more. */
const SMALLEST_TILE = 3;
/** Share of a tile that others must leave free for it to be put down. */
const LEAST_SHOWN = 0.02;
/** Tiles that are read at a time. */
const BATCH = 64;
/** Bytes of a map's raster, at most, if that is possible. */
const MOST_BYTES = 200_000;
/** Under the map: scale and north. */
const MARGIN = 44;

/** Where locations lie in a map, CSS pixels from its upper left corner. */
export interface Layout {
  width: number;
  height: number;
  x: Float64Array;
  y: Float64Array;
  metresPerPixel: number;
}

/**
 * Lays a map out: equirectangular about the middle latitude, north on top. A few locations far from
 * all others may lie out of view.
 *
 * @param radius of a tile, metres
 */
export function layOut({ lon, lat }: { lon: Float64Array; lat: Float64Array }, radius: number): Layout {
  const first = lon[0] as number;
  // Over the antimeridian, eastwards or westwards of the first location, whichever is nearer.
  const east = Float64Array.from(lon, (value) => ((((value - first + 180) % 360) + 360) % 360) - 180);
  const [west, right] = rangeOf(east);
  const [south, north] = rangeOf(lat);
  const squeeze = Math.max(0.01, Math.cos((((south + north) / 2) * Math.PI) / 180));
  const metres = {
    x: (right - west) * squeeze * METRES_PER_DEGREE + 2 * radius,
    y: (north - south) * METRES_PER_DEGREE + 2 * radius,
  };
  const metresPerPixel = Math.max(metres.x / FULL_WIDTH, metres.y / HIGHEST);
  const at = (degrees: number): number => (degrees * METRES_PER_DEGREE + radius) / metresPerPixel;
  return {
    width: Math.ceil(metres.x / metresPerPixel),
    height: Math.ceil(metres.y / metresPerPixel),
    x: east.map((value) => at((value - west) * squeeze)),
    y: lat.map((value) => at(north - value)),
    metresPerPixel,
  };
}

/** What holds nearly all of some values: the middle 99 % of them and a tenth of that beyond, or all where that is less. */
function rangeOf(values: Float64Array): [number, number] {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] as number;
  const beyond = (at(0.995) - at(0.005)) / 10;
  return [Math.max(at(0), at(0.005) - beyond), Math.min(at(1), at(0.995) + beyond)];
}

/** Whether a location is in view. */
export function inView({ x, y, width, height }: Layout, location: number): boolean {
  const [left, top] = [x[location] as number, y[location] as number];
  return left >= 0 && left <= width && top >= 0 && top <= height;
}

/** Grey that the land is drawn in where no tile lies. */
const GROUND = 252;

/** A tile's square on a raster. */
interface Square {
  location: number;
  left: number;
  top: number;
  side: number;
}

/** The squares of a city's tiles, but for those that others before them leave nearly nothing of. */
function squaresOf(
  { width, height }: Picture,
  layout: Layout,
  locations: readonly number[],
  side: number,
): Square[] {
  const covered = new Uint8Array(width * height);
  return locations.flatMap((location): Square[] => {
    const left = Math.round((layout.x[location] as number) * DENSITY - side / 2);
    const top = Math.round((layout.y[location] as number) * DENSITY - side / 2);
    const [from, to] = [Math.max(0, left), Math.min(width, left + side)];
    let free = 0;
    for (let row = Math.max(0, top); row < Math.min(height, top + side); row++)
      for (let at = row * width + from; at < row * width + to; at++) if (covered[at] === 0) free++;
    if (free <= LEAST_SHOWN * side * side) return [];
    for (let row = Math.max(0, top); row < Math.min(height, top + side); row++)
      covered.fill(1, row * width + from, row * width + to);
    return [{ location, left, top, side }];
  });
}

/**
 * What a city looks like, faintly: its anchors where they lie, in grey.
 *
 * @param locations whose tiles may be put down, the first ones on top
 * @param done told how many of how many are
 * @returns a picture of {@link DENSITY} times the layout's size
 */
export async function paintGround(
  { dataset, rgb }: City,
  layout: Layout,
  locations: readonly number[],
  done: (tiles: number, total: number) => void,
): Promise<Picture> {
  const [width, height] = [layout.width, layout.height].map((side) => Math.ceil(side * DENSITY)) as [
    number,
    number,
  ];
  const ground = blank(width, height, [GROUND, GROUND, GROUND]);
  const side = Math.round((2 * dataset.radius * DENSITY) / layout.metresPerPixel);
  if (side < SMALLEST_TILE) return ground;
  const squares = squaresOf(ground, layout, locations, side).reverse();
  for (let first = 0; first < squares.length; first += BATCH) {
    const batch = squares.slice(first, first + BATCH);
    const tiles = await Promise.all(
      batch.map(async ({ location }) => {
        const { data, ...tile } = await rgb(location, 0);
        const raw = { width: tile.width, height: tile.height, channels: 3 as const };
        return sharp(data, { raw }).resize(side, side, { fit: "fill" }).raw().toBuffer();
      }),
    );
    for (const [i, square] of batch.entries()) putGrey(ground, tiles[i] as Buffer, square);
    done(first + batch.length, squares.length);
  }
  return ground;
}

/** Puts a square of RGB down in faint grey. */
function putGrey({ width, height, data }: Picture, tile: Uint8Array, { left, top, side }: Square): void {
  for (let row = Math.max(0, -top); row < side && top + row < height; row++) {
    for (let column = Math.max(0, -left); column < side && left + column < width; column++) {
      const at = 3 * (row * side + column);
      const [red, green, blue] = [tile[at] as number, tile[at + 1] as number, tile[at + 2] as number];
      const light = 0.3 * red + 0.59 * green + 0.11 * blue;
      // Of 256 levels, buildings and rails are below 200, land about 240, streets 255.
      const to = 3 * ((top + row) * width + left + column);
      data.fill(Math.min(255, 109 + 0.6 * light), to, to + 3);
    }
  }
}

/** A location on a map. */
export interface Dot {
  location: number;
  /** `#rrggbb`. */
  colour: string;
}

/** Puts dots on a ground. @param radius CSS pixels */
async function putDots(
  ground: Picture,
  { x, y }: Layout,
  dots: readonly Dot[],
  radius: number,
): Promise<Picture> {
  const { width, height } = ground;
  const circles = dots.map(
    ({ location, colour }) =>
      `<circle cx="${((x[location] as number) * DENSITY).toFixed(1)}" cy="${((y[location] as number) * DENSITY).toFixed(1)}" r="${(radius * DENSITY).toFixed(1)}" fill="${colour}"/>`,
  );
  const layer = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><g stroke="#3a3f49" stroke-opacity="0.4" stroke-width="0.9">${circles.join("")}</g></svg>`;
  const data = await sharp(ground.data, { raw: { width, height, channels: 3 } })
    .composite([{ input: Buffer.from(layer), limitInputPixels: false }])
    .removeAlpha()
    .raw()
    .toBuffer();
  return { width, height, data };
}

export interface MapOptions {
  title: string;
  description: string;
  layout: Layout;
  ground: Picture;
  dots: readonly Dot[];
  /** Of a dot, CSS pixels. Default: the smaller, the more there are. */
  radius?: number;
  /** A line of words between scale and north. */
  note?: string;
  /** What colours mean, below. */
  keys?: readonly Key[];
}

/** Dots on a ground, with scale bar and north arrow. */
export async function mapSvg(options: MapOptions): Promise<Svg> {
  const { title, description, layout, ground, dots, note = "", keys = [] } = options;
  const { width, height, metresPerPixel } = layout;
  const radius =
    options.radius ??
    Math.min(4, Math.max(1.8, Math.sqrt((width * height) / (30 * Math.max(1, dots.length)))));
  const raster = await rasterOf(await putDots(ground, layout, dots, radius), {
    as: "webp",
    most: MOST_BYTES,
  });
  const frame = { x: 0, y: 0, width, height };
  const wide = Math.max(width, 420);
  const { metres, pixels } = scaleOf(metresPerPixel);
  const base = height + 24;
  const lines = wrap(note, wide - pixels - 140);
  const elements = [
    image(raster, frame, title),
    border({ x: 0.5, y: 0.5, width: width - 1, height: height - 1 }),
    `<path class="rule" stroke-width="1.5" d="M1 ${base - 6}v6h${pixels.toFixed(1)}v-6"/>`,
    words(metres < 1000 ? `${metres} m` : `${metres / 1000} km`, pixels + 10, base),
    ...paragraph(lines, pixels + 70, base, { tone: "soft" }),
    `<path class="ink" d="M${wide - 12} ${height + 8}l6 18l-6 -5l-6 5z"/>`,
    words("N", wide - 24, base, { anchor: "end", bold: true }),
  ];
  const high = height + MARGIN + Math.max(0, lines.length - 1) * 17;
  const below = legend(keys, { x: 0, y: high, width: wide });
  return svg({ title, description, width: wide, height: high + below.height }, [
    ...elements,
    ...below.elements,
  ]);
}

/** A round length of at most 200 pixels. */
function scaleOf(metresPerPixel: number): { metres: number; pixels: number } {
  const most = 200 * metresPerPixel;
  const power = 10 ** Math.floor(Math.log10(most));
  const metres = power * ([5, 2, 1].find((factor) => factor * power <= most) as number);
  return { metres, pixels: metres / metresPerPixel };
}
