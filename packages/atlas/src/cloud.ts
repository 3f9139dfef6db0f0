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
const WITHIN = 0.985;

/** A cloud that is ready to be drawn from any side. */
export interface Scene {
  /** @param angle about the upright axis, radians */
  draw(angle: number, width: number, height: number): Picture;
}

/** @param largest side of the nearest tile, pixels */
export async function openScene({ positions, tiles }: Cloud, largest: number): Promise<Scene> {
  const count = tiles.length;
  const centred = centre(positions, count);
  const sides = Array.from({ length: SIZES }, (_, i) =>
    Math.max(3, Math.round(largest * (SMALLEST_SHARE + ((1 - SMALLEST_SHARE) * i) / (SIZES - 1)))),
  );
  const sprites = await Promise.all(
    tiles.map((tile) => Promise.all(sides.map((side) => shrink(tile, side)))),
  );
  const order = Array.from({ length: count }, (_, i) => i);
  return {
    draw(angle, width, height) {
      const picture = blank(width, height, GROUND);
      const [cos, sin, down, up] = [Math.cos(angle), Math.sin(angle), Math.cos(TILT), Math.sin(TILT)];
      const [x, y, depth] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
      for (let i = 0; i < count; i++) {
        const px = centred[3 * i] as number;
        const py = centred[3 * i + 1] as number;
        const pz = centred[3 * i + 2] as number;
        const across = px * cos + pz * sin;
        const away = pz * cos - px * sin;
        depth[i] = away * down + py * up;
        const scale = (EYE - 0.6) / (EYE + (depth[i] as number));
        x[i] = width / 2 + across * scale * (width / 2 - largest);
        y[i] = height / 2 - (py * down - away * up) * scale * (height / 2 - largest);
      }
      order.sort((a, b) => (depth[b] as number) - (depth[a] as number) || a - b);
      for (const i of order) {
        // 0 for the nearest, 1 for the farthest.
        const far = Math.min(1, Math.max(0, ((depth[i] as number) + 1) / 2));
        const size = Math.round((1 - far) * (SIZES - 1));
        paste(
          picture,
          (sprites[i] as Picture[])[size] as Picture,
          x[i] as number,
          y[i] as number,
          HAZE * far ** 1.5,
        );
      }
      return picture;
    },
  };
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

async function shrink({ width, height, data }: Picture, side: number): Promise<Picture> {
  const small = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(side, side, { fit: "fill" })
    .raw()
    .toBuffer();
  return { width: side, height: side, data: small };
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

/** A turn of a cloud as an animated WebP that is no larger than so many bytes: the worse, the more there is in it. */
export async function turnOf(
  scene: Scene,
  { side, frames, most, delay }: { side: number; frames: number; most: number; delay: number },
  onFrame: (done: number) => void = () => {},
): Promise<Uint8Array> {
  const all = Buffer.alloc(frames * side * side * 3);
  for (let frame = 0; frame < frames; frame++) {
    const { data } = scene.draw((2 * Math.PI * frame) / frames, side, side);
    all.set(data, frame * side * side * 3);
    onFrame(frame + 1);
    await new Promise(setImmediate);
  }
  const raw = { width: side, height: side * frames, channels: 3, pageHeight: side } as const;
  let bytes: Buffer = Buffer.alloc(0);
  for (const quality of [60, 40, 25, 12, 4]) {
    bytes = await sharp(all, { raw })
      .webp({ quality, effort: 4, loop: 0, delay: Array.from({ length: frames }, () => delay) })
      .toBuffer();
    if (bytes.length <= most) break;
  }
  return bytes;
}
