import { createHash } from "node:crypto";
import { composeRgb, encodePng } from "@loc2vec/atlas";
import { type Box, HALF_WORLD_M } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import { frameOf, type MapTiles, squareOf } from "@loc2vec/rasterizer";
import { openGate } from "./batches.ts";
import { overloaded, RefusedError } from "./refusals.ts";

/** Pictures that are kept, bytes. */
const KEPT_BYTES = 64 * 2 ** 20;
/** Tiles that are drawn at a time, and that may wait for it. */
const [AT_A_TIME, MOST_WAITING] = [2, 256];

export interface MapPicture {
  png: Buffer;
  /** With its quotes. */
  etag: string;
}

export interface MapPictures {
  /** @throws RefusedError 404 for a tile beyond the map, 503 where too many wait already; FarmError `service` */
  tile(z: number, x: number, y: number): Promise<MapPicture>;
}

/** Map tiles in human colours; those that were asked for last are kept in memory. */
export function openMapPictures(
  tiles: MapTiles,
  profile: Profile,
  { pbf, bbox }: { pbf: string; bbox: Box },
): MapPictures {
  const kept = createLru<MapPicture>(KEPT_BYTES, ({ png }) => png.length);
  const drawing = new Map<string, Promise<MapPicture>>();
  const gate = openGate(AT_A_TIME, MOST_WAITING, () => overloaded("too many map tiles are waiting"));
  const draw = async (z: number, x: number, y: number): Promise<MapPicture> => {
    const png = await encodePng(composeRgb(await tiles.render(z, x, y), profile));
    return { png, etag: `"${createHash("sha256").update(png).digest("base64url").slice(0, 22)}"` };
  };
  return {
    async tile(z, x, y) {
      if (x >= 2 ** z || y >= 2 ** z || !meets(z, x, y, bbox)) {
        throw new RefusedError(404, {
          code: "beyond-map",
          message: `tile ${z}/${x}/${y} shows nothing of the map ${pbf}`,
          mend: "ask for a tile within the box",
          box: [...bbox],
        });
      }
      const key = `${z}/${x}/${y}`;
      const known = kept.get(key);
      if (known !== undefined) return known;
      let picture = drawing.get(key);
      if (picture === undefined) {
        gate.check(1);
        picture = gate.enter(() => draw(z, x, y)).finally(() => drawing.delete(key));
        drawing.set(key, picture);
        picture.then(
          (drawn) => kept.set(key, drawn),
          () => {},
        );
      }
      return picture;
    },
  };
}

/** Whether a map tile and a box, degrees, have ground in common. */
export function meets(z: number, x: number, y: number, [west, south, east, north]: Box): boolean {
  const square = squareOf(z, x, y);
  const [low, high] = [frameOf(0, south).y, frameOf(0, north).y];
  if (!(square.y + square.half >= low && square.y - square.half <= high)) return false;
  const metres = (lon: number): number => (lon * HALF_WORLD_M) / 180;
  const [from, to] = [metres(west), metres(east < west ? east + 360 : east)];
  const turns = [-2 * HALF_WORLD_M, 0, 2 * HALF_WORLD_M];
  return turns.some((turn) => square.x + square.half + turn >= from && square.x - square.half + turn <= to);
}

/** Keeps values of so many bytes together; the one used longest ago goes first. */
export function createLru<T>(
  most: number,
  sizeOf: (value: T) => number,
): { get(key: string): T | undefined; set(key: string, value: T): void } {
  const values = new Map<string, T>();
  let bytes = 0;
  const drop = (key: string): void => {
    const value = values.get(key);
    if (value === undefined) return;
    bytes -= sizeOf(value);
    values.delete(key);
  };
  return {
    get(key) {
      const value = values.get(key);
      if (value !== undefined) {
        values.delete(key);
        values.set(key, value);
      }
      return value;
    },
    set(key, value) {
      drop(key);
      values.set(key, value);
      bytes += sizeOf(value);
      for (const oldest of values.keys()) {
        if (bytes <= most) break;
        drop(oldest);
      }
    },
  };
}
