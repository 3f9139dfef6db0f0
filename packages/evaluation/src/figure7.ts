import { distanceM } from "@loc2vec/core";
import type { TileReader } from "@loc2vec/trainer";
import { describeAll } from "./describe.ts";
import { anchorsOf } from "./images.ts";
import { histogramsOf, type Lookalike, lookalikes } from "./lookalikes.ts";
import type { Vectors } from "./metrics.ts";
import type { Surveyed } from "./places.ts";

const PAIRS = 6;

/**
 * Figure 7: anchors that lie at least a tile's side apart, whose histograms are alike and whose embeddings are not.
 *
 * @param locations indices of the locations that `anchors` are of
 * @returns pairs of indices of locations
 */
export async function findLookalikes(
  { dataset, placeOf }: Surveyed,
  tiles: TileReader,
  locations: readonly number[],
  { anchors }: Vectors,
  signal: AbortSignal | undefined,
): Promise<Lookalike[]> {
  const channels = dataset.channels.length;
  const [histograms] = await describeAll([histogramsOf(channels)], tiles, anchorsOf(locations), { signal });
  const apart = (a: number, b: number): boolean =>
    distanceM(placeOf(locations[a] as number), placeOf(locations[b] as number)) >= 2 * dataset.radius;
  return lookalikes(histograms as Float32Array, channels, anchors, PAIRS, apart).map((pair) => ({
    ...pair,
    a: locations[pair.a] as number,
    b: locations[pair.b] as number,
  }));
}
