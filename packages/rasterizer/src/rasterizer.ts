import { createHash } from "node:crypto";
import {
  footprint,
  type Levels,
  LocationError,
  MAX_OFFSET_M,
  TILE_PIXELS,
  TILE_RADIUS_M,
  type TileSource,
  type TileTransform,
  withinBox,
} from "@loc2vec/core";
import { type ImportInfo, type Profile, requireImport } from "@loc2vec/gis";
import mapnik from "@mapnik/mapnik";
import type { Stage } from "./draw.ts";
import { createExact } from "./exact.ts";
import { createFast } from "./fast.ts";
import { openFeatures } from "./features.ts";
import { coatsOf, reachOf } from "./style.ts";
import { frameOf } from "./window.ts";

/** Part of every style hash: to be raised when the same style is drawn otherwise. */
const DRAWING = 3;
/** Name and version of our own renderer: to be raised when it draws otherwise. */
const FAST = "loc2vec 1 fast";

/**
 * `exact`: Mapnik turns and shifts the vectors of each tile, and rasterizes them. `fast`: all that surrounds a location is
 * rasterized once, in WebAssembly, finer than the tiles, which are then cut out of it, turned and shifted.
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
  /** What becomes of a location none of whose tiles can show anything of the map's area. Default `error`. */
  outside?: "error" | "empty";
  /** Told how long each stage of a location took, milliseconds. `exact` cuts nothing. */
  onStage?: (stage: Stage, ms: number) => void;
}

export interface Rasterizer {
  /** What it draws from. */
  readonly source: TileSource;
  /** Names of the channels, in the order of a tile's planes. */
  readonly channels: readonly string[];
  /**
   * Draws the samples of one location from one query of the map. May be called while other calls are under way.
   *
   * @param location degrees, WGS 84
   * @param levels intensities are rounded to; default 256, as they are drawn
   * @returns one tile per transform: planar CHW uint8, row 0 on top, each a buffer of its own
   * @throws FarmError `service` when the map cannot be read, `data` when another was imported meanwhile, `input` for a
   *   latitude beyond ±85 or, unless `outside` is `empty`, a place beyond the map
   */
  render(
    location: { lon: number; lat: number },
    transforms: readonly TileTransform[],
    levels?: Levels,
  ): Promise<Uint8Array[]>;
  /** Waits for what is being drawn, and closes the connections. */
  close(): Promise<void>;
}

/** What a rasterizer of this profile says of itself, without a map. */
export function rendererInfo(
  profile: Profile,
  { pixels = TILE_PIXELS, radius = TILE_RADIUS_M, kind = "exact" }: TileSize & { kind?: RendererKind } = {},
): Pick<TileSource, "renderer" | "styleHash"> {
  const renderer = kind === "fast" ? FAST : `mapnik ${mapnik.versions.mapnik} ${kind}`;
  const key = JSON.stringify([DRAWING, renderer, profile.hash, pixels, radius]);
  return { renderer, styleHash: createHash("sha256").update(key).digest("hex") };
}

/** What tiles would be drawn from, of a map that is imported with this profile. */
export function sourceOf(
  { pbf: name, sha256, importHash }: Pick<ImportInfo, "pbf" | "sha256" | "importHash">,
  profile: Profile,
  options: TileSize & { kind?: RendererKind } = {},
): TileSource {
  return { map: { name, sha256, importHash }, ...rendererInfo(profile, options) };
}

/**
 * Opens the map and prepares the renderer.
 *
 * @throws FarmError `input` when no map is imported, or one with other matching rules than the profile's; `service`
 */
export async function createRasterizer({
  databaseUrl,
  profile,
  pixels = TILE_PIXELS,
  radius = TILE_RADIUS_M,
  kind = "exact",
  outside = "error",
  onStage = () => {},
}: RasterizerOptions): Promise<Rasterizer> {
  const map = await requireImport(databaseUrl, profile);
  const channels = profile.channels.map(({ name }) => name);
  const features = await openFeatures(databaseUrl, map);
  const reach = reachOf(profile);
  const create = kind === "fast" ? createFast : createExact;
  const draw = create({ channels, coats: coatsOf(profile), pixels, radius, reach, features, onStage });
  // Where geometry is clipped, its cut edges lie outside all windows, and so does their paint.
  const half = footprint(radius, MAX_OFFSET_M).halfSideM + reach + 1;
  const render: Rasterizer["render"] = async ({ lon, lat }, transforms, levels = 256) => {
    if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 85)) {
      throw new LocationError(
        `lon ${lon}, lat ${lat} is not within ±180 and ±85`,
        "mend or drop the location",
      );
    }
    const frame = frameOf(lon, lat);
    if (outside === "error" && !withinBox(map.bbox, { lon, lat }, half)) {
      throw new LocationError(
        `lon ${lon}, lat ${lat} lies beyond the map ${map.pbf} (${map.bbox.map((degrees) => degrees.toFixed(4)).join(", ")})`,
        "drop the location, import a larger map, or set FARM_OUTSIDE=empty",
      );
    }
    return draw(frame, half, transforms, levels);
  };
  const pending = new Set<Promise<unknown>>();
  return {
    source: sourceOf(map, profile, { pixels, radius, kind }),
    channels,
    render(location, transforms, levels) {
      const tiles = render(location, transforms, levels);
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
