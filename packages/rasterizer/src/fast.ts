import type { TileTransform } from "@loc2vec/core";
import mapnik from "@mapnik/mapnik";
import { createCutter } from "./cut.ts";
import { styleXml } from "./style.ts";

/** Pixels of the picture per pixel of a tile. */
export const OVERSAMPLING = 1.5;

export interface FastGeometry {
  pixels: number;
  radius: number;
  /** Largest shift, metres. */
  offset: number;
  /** How far paint reaches beyond its geometry, metres. */
  reach: number;
  onStage: (stage: "render" | "cut", ms: number) => void;
}

/**
 * Draws three channels of all that surrounds a location as one picture, and cuts the tiles out of it.
 *
 * @param channels of the pass
 * @param first number of the first of them
 */
export function createFastPass(
  channels: Parameters<typeof styleXml>[0],
  first: number,
  { pixels, radius, offset, reach, onStage }: FastGeometry,
): (
  data: readonly (string | undefined)[],
  transforms: readonly TileTransform[],
  tiles: readonly Uint8Array[],
) => Promise<void> {
  const density = (OVERSAMPLING * pixels) / (2 * radius);
  // Two pixels more than the corner of the furthest window, for the resampling.
  const side = 2 * (Math.ceil((radius * Math.SQRT2 + offset) * density) + 2);
  const half = side / 2 / density;
  const map = new mapnik.Map(side, side, "epsg:3857");
  map.fromStringSync(styleXml(channels, undefined, density), { strict: true });
  map.bufferSize = Math.ceil(reach * density) + 1;
  const cutter = createCutter({ pixels, side, density, radius });
  const area = pixels * pixels;
  return async (data, transforms, tiles) => {
    while (map.layers().length > 0) map.remove_layer(0);
    for (const [at, { name }] of channels.entries()) {
      const inline = data[first + at];
      if (inline === undefined) continue;
      const layer = new mapnik.Layer(name, "epsg:3857");
      layer.datasource = new mapnik.Datasource({ type: "geojson", inline });
      layer.styles = [name];
      map.add_layer(layer);
    }
    if (map.layers().length === 0) return;
    const begin = performance.now();
    map.extent = [-half, -half, half, half];
    const rgba = await new Promise<Buffer>((resolve, reject) => {
      map.render(new mapnik.Image(side, side), {}, (error, image) =>
        error ? reject(error) : resolve(image.data()),
      );
    });
    const drawn = performance.now();
    onStage("render", drawn - begin);
    cutter.picture.set(rgba);
    for (const [sample, transform] of transforms.entries()) {
      const planes = cutter.cut(transform);
      for (let at = 0; at < channels.length; at++) {
        if (data[first + at] === undefined) continue;
        (tiles[sample] as Uint8Array).set(planes.subarray(at * area, (at + 1) * area), (first + at) * area);
      }
    }
    onStage("cut", performance.now() - drawn);
  };
}
