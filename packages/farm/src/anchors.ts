import type { Levels, Place } from "@loc2vec/core";
import type { Rasterizer } from "@loc2vec/rasterizer";

/** As data sets have unless they are told otherwise. */
const LEVELS: Levels = 16;
/** Places that are drawn at a time: as many as the renderer has connections, so that none waits long for one. */
const AT_A_TIME = 4;
const ANCHOR = { rotation: 0, dx: 0, dy: 0 };

/**
 * Draws places of the imported map as a data set's anchors are drawn.
 *
 * @param places degrees, WGS 84
 * @returns planar uint8 [channel, y, x] each, in their order
 * @throws what the renderer throws for a place beyond the map; FarmError `service`
 */
export async function drawAnchors(rasterizer: Rasterizer, places: readonly Place[]): Promise<Uint8Array[]> {
  const tiles: Uint8Array[] = [];
  for (let first = 0; first < places.length; first += AT_A_TIME) {
    const some = places.slice(first, first + AT_A_TIME);
    const drawn = await Promise.all(some.map((place) => rasterizer.render(place, [ANCHOR], LEVELS)));
    tiles.push(...drawn.map(([tile]) => tile as Uint8Array));
  }
  return tiles;
}
