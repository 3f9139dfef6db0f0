/** How far the tiles of one location reach from it, metres on the ground. */
export interface Footprint {
  /** In any direction: the corner of a turned tile, shifted to the end in both axes. */
  reachM: number;
  /** To the north, east, south or west: half the side of the upright square that holds all of its tiles. */
  halfSideM: number;
}

/**
 * How far the tiles of a location reach: the one origin of the window that is queried of the map, of the border around
 * what is held out, and of the distance within a mini-batch.
 *
 * A tile's corner lies radius · √2 from its centre, in any direction once it is turned; its centre lies up to maxOffset
 * from the location in each axis, so up to maxOffset · √2 away. As published: 100 · √2 + 80 · √2 ≈ 255 m.
 *
 * @param radius half of a tile's side, metres
 * @param maxOffset the largest shift in each axis, metres
 */
export function footprint(radius: number, maxOffset: number): Footprint {
  return { reachM: (radius + maxOffset) * Math.SQRT2, halfSideM: radius * Math.SQRT2 + maxOffset };
}

/**
 * From this distance on, metres, rounded up, no tile of one location shows ground that a tile of the other shows: two
 * footprints. As published 510 m.
 */
export function apartM(radius: number, maxOffset: number): number {
  return Math.ceil(2 * footprint(radius, maxOffset).reachM);
}
