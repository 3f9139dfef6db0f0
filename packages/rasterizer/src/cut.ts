import { readFileSync } from "node:fs";
import type { TileTransform } from "@loc2vec/core";

/** What is used of WebAssembly: Node's types leave it to those of browsers. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
};

interface Exports {
  memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  cut(
    source: number,
    side: number,
    target: number,
    pixels: number,
    u: number,
    v: number,
    du: number,
    dv: number,
  ): void;
}

/** Memory of the module before what is cut: AssemblyScript's own data. */
const BASE = 1024;
const PAGE = 65_536;

export interface Cutter {
  /** The picture to cut from: write RGBA here, `side` × `side`, before `cut`. */
  readonly picture: Uint8Array;
  /**
   * Cuts one tile's three channels out of the picture.
   *
   * @returns planar uint8 [3, y, x]; a view that the next call overwrites
   */
  cut(transform: TileTransform): Uint8Array;
}

export interface CutterOptions {
  /** Side of a tile, pixels; a multiple of 4. */
  pixels: number;
  /** Side of the picture, pixels; its middle is the location. */
  side: number;
  /** Pixels of the picture per metre. */
  density: number;
  /** Half of a tile's side on the ground, metres. */
  radius: number;
}

/** Resamples turned and shifted tiles from one picture, in WebAssembly with SIMD. */
export function createCutter({ pixels, side, density, radius }: CutterOptions): Cutter {
  const bytes = readFileSync(new URL("../dist/cut.wasm", import.meta.url));
  const { memory, cut } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {}).exports as Exports;
  const pictureBytes = 4 * side * side;
  const target = BASE + pictureBytes;
  const needed = Math.ceil((target + 3 * pixels * pixels) / PAGE);
  const missing = needed - memory.buffer.byteLength / PAGE;
  if (missing > 0) memory.grow(missing);
  const step = (2 * radius * density) / pixels;
  const fixed = (value: number): number => Math.round(value * 65_536);
  const planes = new Uint8Array(memory.buffer, target, 3 * pixels * pixels);
  return {
    picture: new Uint8Array(memory.buffer, BASE, pictureBytes),
    cut({ rotation, dx, dy }) {
      const angle = (rotation * Math.PI) / 180;
      // The map is turned clockwise in the tile, so the tile is turned the other way in the picture (y downwards).
      const du = step * Math.cos(angle);
      const dv = -step * Math.sin(angle);
      // From the window's centre half a tile up and left; a pixel's centre lies half a pixel inside.
      const first = (1 - pixels) / 2;
      const u = side / 2 + dx * density + first * du - first * dv - 0.5;
      const v = side / 2 - dy * density + first * dv + first * du - 0.5;
      cut(BASE, side, target, pixels, fixed(u), fixed(v), fixed(du), fixed(dv));
      return planes;
    },
  };
}
