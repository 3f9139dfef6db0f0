import { type Dataset, withinBox } from "@loc2vec/core";
import type { ImportInfo } from "@loc2vec/gis";
import type { Rasterizer } from "@loc2vec/rasterizer";
import type { Batches, Gate } from "./batches.ts";
import { beyondMap } from "./refusals.ts";
import type { Spot } from "./schemas.ts";

const ANCHOR = { rotation: 0, dx: 0, dy: 0 };

/** What the model sees of a place, planar uint8 [channel, y, x], and what it makes of it, float32 [size]. */
export interface Look {
  tile: Uint8Array;
  vector: Float32Array;
}

/**
 * Draws spots as a data set's anchors are drawn, and embeds them, in their order.
 *
 * @param fields names of the spots in the request
 * @param show what of a tile is embedded; default: all
 * @throws RefusedError 422 for a spot beyond the map, 503 where too many wait already; FarmError `service`
 */
export type LookAt = (
  spots: readonly Spot[],
  fields: readonly string[],
  signal: AbortSignal,
  show?: (tile: Uint8Array) => Uint8Array,
) => Promise<Look[]>;

export interface LookOptions {
  map: ImportInfo;
  dataset: Dataset;
  rasterizer: Rasterizer;
  batches: Batches;
  /** Lets in a few spots at a time. */
  gate: Gate;
}

/** @param fields names of the spots in the request @throws RefusedError 422 for a spot beyond the map */
export function checkOnMap(map: ImportInfo, spots: readonly Spot[], fields: readonly string[]): void {
  for (const [i, spot] of spots.entries())
    if (!withinBox(map.bbox, spot)) throw beyondMap(fields[i] as string, spot, map.pbf, map.bbox);
}

export const openLooks =
  ({ map, dataset, rasterizer, batches, gate }: LookOptions): LookAt =>
  async (spots, fields, signal, show = (tile) => tile) => {
    checkOnMap(map, spots, fields);
    gate.check(spots.length);
    const lookAt = (spot: Spot): Promise<Look> =>
      gate.enter(async () => {
        signal.throwIfAborted();
        const [drawn] = (await rasterizer.render(spot, [ANCHOR], dataset.levels)) as [Uint8Array];
        const tile = show(drawn);
        return { tile, vector: await batches.embed(tile) };
      });
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    const ends = await Promise.race([Promise.allSettled(spots.map(lookAt)), late]);
    return ends.map((end) => {
      if (end.status === "rejected") throw end.reason;
      return end.value;
    });
  };
