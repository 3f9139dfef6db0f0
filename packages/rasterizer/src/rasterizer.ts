import { createHash } from "node:crypto";
import { join } from "node:path";
import { FarmError, MAX_OFFSET_M, TILE_PIXELS, TILE_RADIUS_M, type TileTransform } from "@loc2vec/core";
import { type Profile, readImportInfo } from "@loc2vec/gis";
import mapnik from "@mapnik/mapnik";
import { createFastPass } from "./fast.ts";
import { collections, noMap, openFeatures } from "./features.ts";
import { CHANNELS_PER_PASS, coatsOf, reachOf, styleXml } from "./style.ts";
import { frameOf } from "./window.ts";

/** Part of every style hash: to be raised when the same style is drawn otherwise. */
const DRAWING = 2;
/** Never used: map and layers have the same, so nothing is projected. */
const SRS = "epsg:3857";

/**
 * `exact`: the vectors of each tile are turned and shifted before they are rasterized. `fast`: all that surrounds a location
 * is rasterized once, finer than the tiles, which are then cut out of it, turned and shifted.
 */
export type RendererKind = "exact" | "fast";

export interface TileSize {
  /** Side of a tile. Default 128. */
  pixels?: number;
  /** Half of a tile's side on the ground, metres. Default 100. */
  radius?: number;
}

export interface RasterizerOptions extends TileSize {
  databaseUrl: string;
  profile: Profile;
  /** Default `exact`. */
  kind?: RendererKind;
  /** Told how long each stage took, milliseconds; `render` and `cut` once per location and pass of three channels. */
  onStage?: (stage: Stage, ms: number) => void;
}

export type Stage = "query" | "render" | "cut";

export interface RendererInfo {
  /** E.g. `mapnik 4.2.1`. */
  readonly renderer: string;
  /** SHA-256 (hex) of all that decides how a map is drawn: cartography, size, renderer. */
  readonly styleHash: string;
}

export interface Rasterizer extends RendererInfo {
  /** Names of the channels, in the order of a tile's planes. */
  readonly channels: readonly string[];
  /**
   * Draws the samples of one location from one query of the map. May be called while other calls are under way.
   *
   * @param location degrees, WGS 84
   * @returns one tile per transform: planar CHW uint8, row 0 on top, each a buffer of its own
   * @throws FarmError `service` when the map cannot be read, `data` when another was imported meanwhile, `input` for a
   *   latitude beyond ±85
   */
  render(location: { lon: number; lat: number }, transforms: readonly TileTransform[]): Promise<Uint8Array[]>;
  /** Waits for what is being drawn, and closes the connections. */
  close(): Promise<void>;
}

/** What a rasterizer of this profile says of itself, without a map. */
export function rendererInfo(
  profile: Profile,
  { pixels = TILE_PIXELS, radius = TILE_RADIUS_M, kind = "exact" }: TileSize & { kind?: RendererKind } = {},
): RendererInfo {
  const renderer = `mapnik ${mapnik.versions.mapnik} ${kind}`;
  const key = JSON.stringify([DRAWING, renderer, profile.hash, pixels, radius]);
  return { renderer, styleHash: createHash("sha256").update(key).digest("hex") };
}

/**
 * Opens the map and prepares the passes: three channels each, drawn by Mapnik as red, green and blue.
 *
 * @throws FarmError `input` when no map is imported, or one with other matching rules than the profile's; `service`
 */
export async function createRasterizer({
  databaseUrl,
  profile,
  pixels = TILE_PIXELS,
  radius = TILE_RADIUS_M,
  kind = "exact",
  onStage = () => {},
}: RasterizerOptions): Promise<Rasterizer> {
  const map = await readImportInfo(databaseUrl);
  if (map === undefined) throw noMap();
  if (map.importHash !== profile.importHash) {
    throw new FarmError(
      "input",
      `the map ${map.pbf} was imported with other rules than those of the profile ${profile.name}`,
      "pnpm farm:import it again",
    );
  }
  mapnik.registerDatasource(join(mapnik.settings.paths.input_plugins, "geojson.input"));
  const channels = profile.channels.map(({ name }) => name);
  const coats = coatsOf(profile);
  const scale = pixels / (2 * radius);
  const reach = reachOf(profile);
  // A window turned by 45° reaches √2 further than a straight one.
  const buffer = Math.ceil((radius * (Math.SQRT2 - 1) + reach) * scale) + 1;
  const passes: Pass[] = [];
  for (let first = 0; first < channels.length; first += CHANNELS_PER_PASS) {
    const end = first + CHANNELS_PER_PASS;
    const styled = channels.slice(first, end).map((name, at) => ({ name, coats: coats[first + at] ?? [] }));
    passes.push(
      kind === "fast"
        ? createFastPass(styled, first, { pixels, radius, offset: MAX_OFFSET_M, reach, onStage })
        : createPass(styled, first, { pixels, radius, scale, buffer }),
    );
  }
  const features = openFeatures(databaseUrl, map);
  const bytes = channels.length * pixels * pixels;
  const draw = async (
    data: readonly (string | undefined)[],
    transforms: readonly TileTransform[],
  ): Promise<Uint8Array[]> => {
    const tiles = transforms.map(() => new Uint8Array(bytes));
    const ends = await Promise.allSettled(passes.map((pass) => pass(data, transforms, tiles)));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    return tiles;
  };
  // Each pass has one map, which draws one thing at a time: locations queue up here, while the next ones are fetched.
  let last: Promise<unknown> = Promise.resolve();
  const render: Rasterizer["render"] = async ({ lon, lat }, transforms) => {
    if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 85)) {
      throw new FarmError(
        "input",
        `lon ${lon}, lat ${lat} is not within ±180 and ±85`,
        "mend or drop the location",
      );
    }
    // The same square for all usual transforms, so that a tile does not depend on those drawn with it, to the last bit.
    const offset = Math.max(
      MAX_OFFSET_M,
      ...transforms.flatMap(({ dx, dy }) => [Math.abs(dx), Math.abs(dy)]),
    );
    if (kind === "fast" && offset > MAX_OFFSET_M) {
      throw new FarmError(
        "usage",
        `a shift of ${offset} m is beyond ±${MAX_OFFSET_M} m`,
        "use the exact renderer",
      );
    }
    // Where geometry is clipped, its cut edges lie outside all windows, and so does their paint.
    const half = radius * Math.SQRT2 + offset + reach + 1;
    const begin = performance.now();
    const found = await features.near(frameOf(lon, lat), half);
    onStage("query", performance.now() - begin);
    const data = collections(coats, found);
    const drawn = last.then(() => draw(data, transforms));
    last = drawn.catch(() => {});
    return drawn;
  };
  const pending = new Set<Promise<unknown>>();
  return {
    ...rendererInfo(profile, { pixels, radius, kind }),
    channels,
    render(location, transforms) {
      const tiles = render(location, transforms);
      pending.add(tiles);
      const done = () => pending.delete(tiles);
      tiles.then(done, done);
      return tiles;
    },
    async close() {
      await Promise.allSettled(pending);
      await features.close();
    },
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
