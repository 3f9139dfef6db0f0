import sharp from "sharp";
import { GROUND } from "./dotmap.ts";
import { blank, type Picture } from "./picture.ts";

/** Tiles as points in three dimensions. */
export interface Cloud {
  /** Float [n, 3]. */
  positions: ArrayLike<number>;
  /** A tile of each, all of one size. */
  tiles: readonly Picture[];
}

/** How far the eye is from the middle, in radii of the cloud; and how far it looks down, radians. */
const [EYE, TILT] = [3.2, 0.32] as const;
/** Sizes of a tile, pixels: the nearer, the larger. Each is made once. */
const [SMALLEST_SHARE, SIZES] = [0.45, 12] as const;
/** How much of a far tile's colour is the ground's. */
const HAZE = 0.62;
/** The share of points that is within the picture. */
const WITHIN = 0.9995;

/** A cloud that is ready to be drawn from any side. */
export interface Scene {
  /** @param angle about the upright axis, radians; one of those that it was opened for is wholly in view */
  draw(angle: number): Picture;
}

export interface SceneOptions {
  /** Of its pictures, pixels. */
  width: number;
  height: number;
  /** Side of the nearest tile, pixels. */
  largest: number;
  /** From which it will be looked at, radians. */
  angles: readonly number[];
}

/** Where points stand as they are looked at, in radii of the cloud from its middle; and how far away each is. */
interface View {
  x: Float64Array;
  y: Float64Array;
  depth: Float64Array;
}

/** Makes a cloud ready. */
export function openScene({ positions, tiles }: Cloud, options: SceneOptions): Scene {
  const { width, height, largest, angles } = options;
  const count = tiles.length;
  const centred = centre(positions, count);
  const sides = Array.from({ length: SIZES }, (_, i) =>
    Math.max(3, Math.round(largest * (SMALLEST_SHARE + ((1 - SMALLEST_SHARE) * i) / (SIZES - 1)))),
  );
  // Each size of a tile is made when it is first seen.
  const sprites = new Map<number, Picture>();
  const spriteOf = (i: number, size: number): Picture => {
    const key = i * SIZES + size;
    const sprite = sprites.get(key) ?? shrink(tiles[i] as Picture, sides[size] as number);
    sprites.set(key, sprite);
    return sprite;
  };
  const { unit, left, top } = frameOf(
    angles.map((angle) => lookAt(centred, angle)),
    { wide: width - 1.2 * largest, high: height - 1.2 * largest },
  );
  const order = Array.from({ length: count }, (_, i) => i);
  return {
    draw(angle) {
      const picture = blank(width, height, GROUND);
      const { x, y, depth } = lookAt(centred, angle);
      order.sort((a, b) => (depth[b] as number) - (depth[a] as number) || a - b);
      for (const i of order) {
        // 0 for the nearest, 1 for the farthest.
        const far = Math.min(1, Math.max(0, ((depth[i] as number) + 1) / 2));
        const sprite = spriteOf(i, Math.round((1 - far) * (SIZES - 1)));
        const [px, py] = [unit * ((x[i] as number) - left), unit * ((y[i] as number) - top)];
        paste(picture, sprite, width / 2 + px, height / 2 + py, HAZE * far ** 1.5);
      }
      return picture;
    },
  };
}

/** @param centred float64 [n, 3], as {@link centre} gives them */
function lookAt(centred: Float64Array, angle: number): View {
  const count = centred.length / 3;
  const [cos, sin, down, up] = [Math.cos(angle), Math.sin(angle), Math.cos(TILT), Math.sin(TILT)];
  const [x, y, depth] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
  for (let i = 0; i < count; i++) {
    const px = centred[3 * i] as number;
    const py = centred[3 * i + 1] as number;
    const pz = centred[3 * i + 2] as number;
    const away = pz * cos - px * sin;
    const distance = away * down + py * up;
    const scale = EYE / (EYE + distance);
    depth[i] = distance;
    x[i] = (px * cos + pz * sin) * scale;
    y[i] = -(py * down - away * up) * scale;
  }
  return { x, y, depth };
}

/** Pixels of a radius, and which point is in the middle, so that nearly all of what is looked at is in view. */
function frameOf(
  views: readonly View[],
  { wide, high }: { wide: number; high: number },
): { unit: number; left: number; top: number } {
  const ends = (values: readonly Float64Array[]): [number, number] => {
    const sorted = Float64Array.from(values.flatMap((own) => [...own])).sort();
    return [
      sorted[Math.floor((1 - WITHIN) * (sorted.length - 1))] as number,
      sorted[Math.ceil(WITHIN * (sorted.length - 1))] as number,
    ];
  };
  const [west, east] = ends(views.map(({ x }) => x));
  const [north, south] = ends(views.map(({ y }) => y));
  const unit = Math.min(wide / Math.max(1e-9, east - west), high / Math.max(1e-9, south - north));
  return { unit, left: (west + east) / 2, top: (north + south) / 2 };
}

/** About the middle of each axis, and so long that nearly all lie within 1 of it. */
function centre(positions: ArrayLike<number>, count: number): Float64Array {
  const means = [0, 1, 2].map((k) => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += positions[3 * i + k] as number;
    return sum / count;
  });
  const centred = Float64Array.from(
    { length: 3 * count },
    (_, i) => (positions[i] as number) - (means[i % 3] as number),
  );
  const lengths = Float64Array.from({ length: count }, (_, i) =>
    Math.hypot(centred[3 * i] as number, centred[3 * i + 1] as number, centred[3 * i + 2] as number),
  ).sort();
  const radius = Math.max(1e-9, lengths[Math.floor(WITHIN * (count - 1))] as number);
  return centred.map((value) => value / radius);
}

/** A tile of fewer pixels, each the mean of those that it covers. */
function shrink({ width, data }: Picture, side: number): Picture {
  const small = blank(side, side);
  const at = (i: number): number => Math.floor((i * width) / side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [top, left] = [at(row), at(column)];
      const [bottom, right] = [Math.max(top + 1, at(row + 1)), Math.max(left + 1, at(column + 1))];
      for (let k = 0; k < 3; k++) {
        let sum = 0;
        for (let y = top; y < bottom; y++)
          for (let x = left; x < right; x++) sum += data[3 * (y * width + x) + k] as number;
        small.data[3 * (row * side + column) + k] = Math.round(sum / ((bottom - top) * (right - left)));
      }
    }
  }
  return small;
}

/** Puts a tile about a point, with a dark edge; what lies outside is left out. */
function paste(picture: Picture, tile: Picture, x: number, y: number, haze: number): void {
  const side = tile.width;
  const [left, top] = [Math.round(x - side / 2), Math.round(y - side / 2)];
  for (let row = 0; row < side; row++) {
    const py = top + row;
    if (py < 0 || py >= picture.height) continue;
    for (let column = 0; column < side; column++) {
      const px = left + column;
      if (px < 0 || px >= picture.width) continue;
      const edge = row === 0 || column === 0 || row === side - 1 || column === side - 1;
      const share = edge ? 0.75 : haze;
      const [to, from] = [3 * (py * picture.width + px), 3 * (row * side + column)];
      for (let k = 0; k < 3; k++) {
        const own = tile.data[from + k] as number;
        picture.data[to + k] = Math.round(own + share * ((GROUND[k] as number) - own));
      }
    }
  }
}

/**
 * A cloud from one side after another as an animated WebP, as good as it can be within so many bytes.
 *
 * @param delay of a frame, milliseconds
 */
export async function turnOf(
  scene: Scene,
  angles: readonly number[],
  { most, delay }: { most: number; delay: number },
  onFrame: (done: number) => void = () => {},
): Promise<Uint8Array> {
  const frames: Picture[] = [];
  for (const angle of angles) {
    frames.push(scene.draw(angle));
    onFrame(frames.length);
    await new Promise(setImmediate);
  }
  const { width, height } = frames[0] as Picture;
  const all = Buffer.concat(frames.map(({ data }) => data));
  const raw = { width, height: height * frames.length, channels: 3, pageHeight: height } as const;
  let bytes: Buffer = Buffer.alloc(0);
  for (const quality of [60, 40, 25, 12, 4]) {
    bytes = await sharp(all, { raw })
      .webp({ quality, effort: 4, loop: 0, delay: angles.map(() => delay) })
      .toBuffer();
    if (bytes.length <= most) break;
  }
  return bytes;
}
