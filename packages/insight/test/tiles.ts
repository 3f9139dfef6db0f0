import { type Random, randomOf } from "@loc2vec/core";

/** A channel of a tile, to draw on. */
interface Canvas {
  pixels: number;
  plane: Uint8Array;
}

/** Streets and paths: straight, from edge to edge, of a width in pixels. */
function street({ pixels, plane }: Canvas, random: Random, width: number): void {
  const angle = Math.PI * random.uniform();
  const [nx, ny] = [Math.cos(angle), Math.sin(angle)];
  const offset = (nx + ny) * pixels * (0.2 + 0.6 * random.uniform());
  for (let i = 0; i < plane.length; i++) {
    const away = Math.abs((i % pixels) * nx + Math.floor(i / pixels) * ny - offset);
    const ink = Math.max(0, Math.min(1, width / 2 - away + 0.5));
    plane[i] = Math.max(plane[i] as number, Math.round(255 * ink));
  }
}

/** Buildings, water, parks: an upright block. @param size the largest side, of the tile's */
function block({ pixels, plane }: Canvas, random: Random, size: number): void {
  const side = (): number => Math.ceil(pixels * size * (0.3 + 0.7 * random.uniform()));
  const [left, top, width, height] = [random.int(pixels), random.int(pixels), side(), side()];
  for (let y = top; y < Math.min(pixels, top + height); y++)
    plane.fill(255, y * pixels + left, y * pixels + Math.min(pixels, left + width));
}

/**
 * A tile as a map could have it, of the farm's 12 channels in their order: streets that cross, houses, areas, small marks; most
 * channels of most tiles are empty.
 *
 * @returns uint8 [channel, y, x]
 */
export function townTile(seed: number, pixels: number): Uint8Array {
  const tile = new Uint8Array(12 * pixels * pixels);
  const random = randomOf(41, seed);
  const draw = (channel: number, chance: number, most: number, paint: (on: Canvas) => void): void => {
    if (random.uniform() >= chance) return;
    const plane = tile.subarray(channel * pixels * pixels, (channel + 1) * pixels * pixels);
    for (let count = 1 + random.int(most); count > 0; count--) paint({ pixels, plane });
  };
  const lines = (width: number) => (on: Canvas) => street(on, random, width);
  const blocks = (size: number) => (on: Canvas) => block(on, random, size);
  draw(0, 0.1, 2, lines(10));
  draw(1, 0.4, 2, lines(7));
  draw(2, 0.8, 4, lines(5));
  draw(3, 0.6, 5, lines(2));
  draw(4, 0.15, 3, lines(2));
  draw(5, 0.8, 20, blocks(0.15));
  draw(6, 0.2, 2, blocks(0.9));
  draw(7, 0.6, 3, blocks(0.7));
  draw(8, 0.5, 2, blocks(1));
  draw(9, 0.3, 2, blocks(0.8));
  draw(10, 0.4, 6, blocks(0.05));
  draw(11, 0.3, 5, lines(1.5));
  return tile;
}
