import { join } from "node:path";
import { type Levels, MAX_OFFSET_M, type TileTransform } from "@loc2vec/core";
import mapnik from "@mapnik/mapnik";
import type { Draw, DrawOptions } from "./draw.ts";
import { collections } from "./features.ts";
import { CHANNELS_PER_PASS, styleXml } from "./style.ts";

/** Never used: map and layers have the same, so nothing is projected. */
const SRS = "epsg:3857";

/** The nearest of 16 levels for each intensity, as `assembly/cut.ts` rounds it. */
const SIXTEEN = Uint8Array.from({ length: 256 }, (_, value) => 17 * ((value - (value >> 4) + 8) >> 4));

/** Draws every tile with Mapnik, three channels at a time as red, green and blue: shifts move its extent, rotations turn the vectors. */
export function createExact({
  coats,
  channels,
  pixels,
  radius,
  reach,
  features,
  onStage,
}: DrawOptions): Draw {
  mapnik.registerDatasource(join(mapnik.settings.paths.input_plugins, "geojson.input"));
  const scale = pixels / (2 * radius);
  // A window turned by 45° reaches √2 further than a straight one.
  const buffer = Math.ceil((radius * (Math.SQRT2 - 1) + reach) * scale) + 1;
  const passes: Pass[] = [];
  for (let first = 0; first < channels.length; first += CHANNELS_PER_PASS) {
    const end = first + CHANNELS_PER_PASS;
    const styled = channels.slice(first, end).map((name, at) => ({ name, coats: coats[first + at] ?? [] }));
    passes.push(createPass(styled, first, { pixels, radius, scale, buffer }));
  }
  const bytes = channels.length * pixels * pixels;
  const draw = async (
    data: readonly (string | undefined)[],
    transforms: readonly TileTransform[],
    levels: Levels,
  ): Promise<Uint8Array[]> => {
    const begin = performance.now();
    const tiles = transforms.map(() => new Uint8Array(bytes));
    const ends = await Promise.allSettled(passes.map((pass) => pass(data, transforms, tiles)));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    if (levels === 16)
      for (const tile of tiles)
        for (let i = 0; i < tile.length; i++) tile[i] = SIXTEEN[tile[i] as number] as number;
    onStage("render", performance.now() - begin);
    return tiles;
  };
  // Each pass has one map, which draws one thing at a time: locations queue up here, while the next ones are fetched.
  let last: Promise<unknown> = Promise.resolve();
  return async (frame, half, transforms, levels) => {
    // The same square for all usual transforms, so that a tile does not depend on those drawn with it, to the last bit.
    const further = Math.max(
      0,
      ...transforms.flatMap(({ dx, dy }) => [Math.abs(dx) - MAX_OFFSET_M, Math.abs(dy) - MAX_OFFSET_M]),
    );
    const begin = performance.now();
    const geojson = await features.geojson(frame, half + further);
    onStage("query", performance.now() - begin);
    const data = collections(coats, geojson);
    const drawn = last.then(() => draw(data, transforms, levels));
    last = drawn.catch(() => {});
    return drawn;
  };
}

interface Geometry {
  pixels: number;
  radius: number;
  /** Pixels per metre. */
  scale: number;
  /** How far around a straight window features are drawn, pixels. */
  buffer: number;
}

/** Draws its channels for all transforms into the planes of the tiles. `data` is the GeoJSON of every channel of the profile. */
type Pass = (
  data: readonly (string | undefined)[],
  transforms: readonly TileTransform[],
  tiles: readonly Uint8Array[],
) => Promise<void>;

/** @param first number of the first of the channels */
function createPass(
  channels: Parameters<typeof styleXml>[0],
  first: number,
  { pixels, radius, scale, buffer }: Geometry,
): Pass {
  const map = new mapnik.Map(pixels, pixels, SRS);
  map.fromStringSync(styleXml(channels, pixels, scale), { strict: true });
  map.bufferSize = buffer;
  const area = pixels * pixels;
  return async (data, transforms, tiles) => {
    while (map.layers().length > 0) map.remove_layer(0);
    for (const [at, { name }] of channels.entries()) {
      const inline = data[first + at];
      if (inline === undefined) continue;
      const layer = new mapnik.Layer(name, SRS);
      layer.datasource = new mapnik.Datasource({ type: "geojson", inline });
      layer.styles = [name];
      map.add_layer(layer);
    }
    if (map.layers().length === 0) return;
    for (const [sample, { rotation, dx, dy }] of transforms.entries()) {
      map.extent = [dx - radius, dy - radius, dx + radius, dy + radius];
      const rgba = await new Promise<Buffer>((resolve, reject) => {
        map.render(new mapnik.Image(pixels, pixels), { variables: { angle: rotation } }, (error, image) =>
          error ? reject(error) : resolve(image.data()),
        );
      });
      const tile = tiles[sample] as Uint8Array;
      for (let at = 0; at < channels.length; at++) {
        if (data[first + at] === undefined) continue;
        const plane = (first + at) * area;
        for (let i = 0, from = at; i < area; i++, from += 4) tile[plane + i] = rgba[from] as number;
      }
    }
  };
}
