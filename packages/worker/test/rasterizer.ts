import { hashKeys, type TileSource, type TileTransform } from "@loc2vec/core";
import type { TileRenderer } from "../src/index.ts";

export const SOURCE: TileSource = {
  map: { name: "stripes.osm.pbf", sha256: "a".repeat(64), importHash: "b".repeat(64) },
  renderer: "stripes 1",
  styleHash: "stripes",
};
const BYTES = 12 * 128 * 128;

/** A small rasterizer for tests of the queue: stripes that depend on place and transform, and on nothing else. */
export function stripes(
  each: (location: { lon: number; lat: number }) => Promise<void> | void = () => {},
): TileRenderer {
  return {
    source: SOURCE,
    async render(location, transforms: readonly TileTransform[]) {
      await each(location);
      return transforms.map(({ rotation, dx, dy }) => {
        const key = hashKeys(
          ...[location.lon, location.lat, rotation, dx, dy].map((v) => Math.round(v * 1e6) + 1e10),
        );
        return new Uint8Array(BYTES).map((_, i) => ((i >> 7) * key) & 255);
      });
    },
    async close() {},
  };
}
