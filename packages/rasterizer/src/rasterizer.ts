import { createHash } from "node:crypto";
import { join } from "node:path";
import { FarmError, MAX_OFFSET_M, TILE_PIXELS, TILE_RADIUS_M, type TileTransform } from "@loc2vec/core";
import { type Profile, readImportInfo } from "@loc2vec/gis";
import mapnik from "@mapnik/mapnik";
import { collections, openFeatures } from "./features.ts";
import { CHANNELS_PER_PASS, type Paint, paintsOf, passXml, reachOf } from "./style.ts";
import { frameOf } from "./window.ts";

/** Part of every style hash: to be raised when the same style is drawn otherwise. */
const DRAWING = 1;
/** Never read: map and layers have the same, so nothing is projected. */
const SRS = "epsg:3857";

export interface TileSize {
  /** Side of a tile. Default 128. */
  pixels?: number;
  /** Half of a tile's side on the ground, metres. Default 100. */
  radius?: number;
}

export interface RasterizerOptions extends TileSize {
  databaseUrl: string;
  profile: Profile;
  /** Largest shift of a window in each axis, metres. Default 80. */
  maxOffset?: number;
}

export interface RendererInfo {
  /** E.g. `mapnik 4.2.1`. */
  renderer: string;
  /** SHA-256 (hex) of all that decides how a map is drawn: cartography, size, renderer. */
  styleHash: string;
}

export interface Rasterizer extends RendererInfo {
  readonly channels: readonly string[];
  /**
   * Draws the samples of one location from one query of the map.
   *
   * @param location degrees, WGS 84
   * @param transforms see TileTransform; shifts within ±maxOffset
   * @returns one tile per transform: planar CHW uint8, row 0 on top, each a buffer of its own
   * @throws FarmError `service` when the map cannot be read, `input` for a latitude beyond ±85
   */
  render(location: { lon: number; lat: number }, transforms: readonly TileTransform[]): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** What a rasterizer of this profile will say of itself, without a map. */
export function rendererInfo(
  profile: Profile,
  { pixels = TILE_PIXELS, radius = TILE_RADIUS_M }: TileSize = {},
): RendererInfo {
  const renderer = `mapnik ${mapnik.versions.mapnik}`;
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
  maxOffset = MAX_OFFSET_M,
}: RasterizerOptions): Promise<Rasterizer> {
  const info = await readImportInfo(databaseUrl);
  if (info === undefined) throw new FarmError("input", "no map is imported", "pnpm farm:import FILE.osm.pbf");
  if (info.importHash !== profile.importHash) {
    throw new FarmError(
      "input",
      `the map ${info.pbf} was imported with other rules than those of the profile ${profile.name}`,
      "pnpm farm:import it again",
    );
  }
  mapnik.registerDatasource(join(mapnik.settings.paths.input_plugins, "geojson.input"));
  const paints = paintsOf(profile);
  const scale = pixels / (2 * radius);
  const reach = reachOf(profile);
  // A window turned by 45° reaches √2 further than a straight one, wherever it was shifted to. Cut ends lie outside.
  const half = radius * Math.SQRT2 + maxOffset + reach + 1;
  const buffer = Math.ceil((radius * (Math.SQRT2 - 1) + reach) * scale) + 1;
  const passes = Array.from({ length: Math.ceil(profile.channels.length / CHANNELS_PER_PASS) }, (_, at) =>
    createPass(profile, paints, at * CHANNELS_PER_PASS, { pixels, radius, scale, buffer }),
  );
  const features = openFeatures(databaseUrl);
  const area = pixels * pixels;
  const bytes = profile.channels.length * area;
  // A map can only draw one thing at a time: locations queue up.
  let last: Promise<unknown> = Promise.resolve();
  const draw = async (
    data: readonly (string | undefined)[],
    transforms: readonly TileTransform[],
  ): Promise<Uint8Array[]> => {
    const tiles = transforms.map(() => new Uint8Array(bytes));
    await Promise.all(passes.map((pass) => pass(data, transforms, tiles)));
    return tiles;
  };
  return {
    ...rendererInfo(profile, { pixels, radius }),
    channels: profile.channels.map(({ name }) => name),
    async render({ lon, lat }, transforms) {
      if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 85)) {
        throw new FarmError(
          "input",
          `lon ${lon}, lat ${lat} is not within ±180 and ±85`,
          "mend or drop the location",
        );
      }
      const far = transforms.find(({ dx, dy }) => !(Math.abs(dx) <= maxOffset && Math.abs(dy) <= maxOffset));
      if (far) throw new FarmError("internal", `a shift of ${far.dx}, ${far.dy} m is beyond ±${maxOffset} m`);
      const rows = await features.near(frameOf(lon, lat), half);
      const data = collections(profile, paints, rows);
      const drawn = last.then(() => draw(data, transforms));
      last = drawn.catch(() => {});
      return drawn;
    },
    async close() {
      await last;
      await features.close();
    },
  };
}

interface Geometry {
  pixels: number;
  radius: number;
  /** Pixels per metre. */
  scale: number;
  /** How far around a window features are drawn, pixels. */
  buffer: number;
}

type Pass = (
  data: readonly (string | undefined)[],
  transforms: readonly TileTransform[],
  tiles: readonly Uint8Array[],
) => Promise<void>;

/** Draws the channels [first, first + 3) into the planes of tiles. */
function createPass(
  profile: Profile,
  paints: readonly (readonly Paint[])[],
  first: number,
  { pixels, radius, scale, buffer }: Geometry,
): Pass {
  const channels = profile.channels.slice(first, first + CHANNELS_PER_PASS);
  const map = new mapnik.Map(pixels, pixels, SRS);
  const styled = channels.map((channel, at) => ({ channel, paints: paints[first + at] ?? [] }));
  map.fromStringSync(passXml(styled, pixels, scale), { strict: true });
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
    for (const [at, { rotation, dx, dy }] of transforms.entries()) {
      map.extent = [dx - radius, dy - radius, dx + radius, dy + radius];
      const image = await new Promise<InstanceType<typeof mapnik.Image>>((resolve, reject) => {
        map.render(new mapnik.Image(pixels, pixels), { variables: { angle: rotation } }, (error, drawn) =>
          error ? reject(error) : resolve(drawn),
        );
      });
      const rgba = image.data();
      const tile = tiles[at] as Uint8Array;
      for (let channel = 0; channel < channels.length; channel++) {
        if (data[first + channel] === undefined) continue;
        const plane = (first + channel) * area;
        for (let i = 0, from = channel; i < area; i++, from += 4) tile[plane + i] = rgba[from] as number;
      }
    }
  };
}
