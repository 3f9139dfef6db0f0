import { readFileSync } from "node:fs";
import { FarmError, footprint, type Levels, type TileTransform } from "@loc2vec/core";
import type { Frame } from "./window.ts";

/** What is used of WebAssembly: Node's types leave it to those of browsers. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
};

/** See `assembly/`: addresses are bytes, lengths pixels. */
interface Exports {
  memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  layout(side: number, sums: number, extents: number): void;
  place(x: number, y: number, scaleX: number, scaleY: number): void;
  unhex(from: number, to: number, count: number): void;
  scan(from: number, end: number, table: number): number;
  paint(
    table: number,
    count: number,
    plane: number,
    value: number,
    action: number,
    half: number,
    roundCap: number,
    dash: number,
    gap: number,
    radius: number,
    room: number,
    bytes: number,
  ): void;
  interleave(planes: number, count: number, area: number, picture: number): void;
  cut(
    picture: number,
    side: number,
    count: number,
    target: number,
    pixels: number,
    coarse: number,
    u: number,
    v: number,
    du: number,
    dv: number,
  ): void;
}

/** Memory of the module before ours. */
const BASE = 4096;
const PAGE = 65_536;
/** Channels that are resampled at a time: the bytes of a vector. */
const GROUP = 16;

/** How a shape is painted; lengths in metres, `value` 0–255. */
export type Paint =
  | { action: "fill"; value: number; radius: number }
  | {
      action: "stroke";
      value: number;
      width: number;
      cap: "round" | "butt";
      dash?: readonly [number, number];
      radius: number;
    };

export interface Canvas {
  /**
   * Takes the features of the surroundings, and clears the planes.
   *
   * @param features hexadecimal: for each feature its rule (int16, big-endian) and its WKB (little-endian, EPSG:3857), by rule
   * @param frame the middle of the picture
   * @throws FarmError `internal` for another kind of geometry than Simple Features' in two dimensions
   */
  load(features: string, frame: Frame): void;
  /** Paints the features of a rule over a plane. Lines are stroked; of points, discs of `radius` are painted. */
  paint(rule: number, plane: number, paint: Paint): void;
  /** To be called after the last `paint`, before the first `cut`. */
  finish(): void;
  /** @returns planar uint8 [planes, y, x] */
  cut(transform: TileTransform, levels: Levels): Uint8Array;
}

export interface CanvasOptions {
  planes: number;
  /** Side of a tile, pixels; a multiple of 16. */
  pixels: number;
  /** Half of a tile's side on the ground, metres. */
  radius: number;
  /** Largest shift, metres. */
  offset: number;
  /** Pixels of the picture per pixel of a tile. */
  oversampling: number;
}

/** Where a rule's features stand in the table of features: they follow one another. */
interface Span {
  first: number;
  count: number;
}

/** @param entries for each feature, the number of its rule and its address */
function spansOf(entries: Uint32Array): Map<number, Span> {
  const spanOfRule = new Map<number, Span>();
  for (let i = 0; 2 * i < entries.length; i++) {
    const rule = entries[2 * i] as number;
    const span = spanOfRule.get(rule);
    if (span === undefined) spanOfRule.set(rule, { first: i, count: 1 });
    else span.count++;
  }
  return spanOfRule;
}

/** Addresses in WebAssembly's memory, bytes, each a multiple of 16. @param side the picture's side, pixels */
function layOut(planes: number, pixels: number, side: number) {
  let top = BASE;
  const reserve = (bytes: number): number => {
    const at = top;
    top += Math.ceil(bytes / 16) * 16;
    return at;
  };
  const area = side * side;
  return {
    sums: reserve(4 * side * (side + 4)),
    extents: reserve(8 * side),
    target: reserve(planes * pixels * pixels),
    painted: reserve(planes * area),
    pictures: reserve(Math.ceil(planes / GROUP) * GROUP * area),
    input: top,
  };
}

/** A picture of several planes in WebAssembly's memory, from which tiles are cut. */
export function createCanvas({ planes, pixels, radius, offset, oversampling }: CanvasOptions): Canvas {
  const module = new WebAssembly.Module(readFileSync(new URL("../dist/raster.wasm", import.meta.url)));
  const wasm = new WebAssembly.Instance(module, {}).exports as Exports;
  const density = (oversampling * pixels) / (2 * radius);
  // Two pixels more than the corner of the furthest window, for the resampling.
  const side = Math.ceil((2 * (Math.ceil(footprint(radius, offset).halfSideM * density) + 2)) / 16) * 16;
  const area = side * side;
  const groups = Math.ceil(planes / GROUP);
  const { sums, extents, target, painted, pictures, input } = layOut(planes, pixels, side);
  const need = (bytes: number): void => {
    const missing = Math.ceil((bytes - wasm.memory.buffer.byteLength) / PAGE);
    if (missing > 0) wasm.memory.grow(missing);
  };
  need(input);
  wasm.layout(side, sums, extents);
  /** First feature and number of features of each rule. */
  let spanOfRule: ReadonlyMap<number, Span> = new Map();
  const used = new Set<number>();
  let [table, room, size] = [0, 0, 0];
  const step = (2 * radius * density) / pixels;
  const fixed = (value: number): number => Math.round(value * 65_536);
  return {
    load(features, { x, y, kx, ky }) {
      for (const plane of used) new Uint8Array(wasm.memory.buffer, painted + plane * area, area).fill(0);
      used.clear();
      size = Math.ceil(features.length / 32) * 16 + 16;
      // A feature takes at least 23 bytes, and its entry 8; a point in it 16, and its pixels 8, twice for dashes.
      table = input + size;
      room = table + size;
      need(room + Math.max(size + 16, features.length + 16));
      Buffer.from(wasm.memory.buffer, room).write(features, "latin1");
      const bytes = features.length / 2;
      wasm.unhex(room, input, bytes);
      wasm.place(x, y, density / kx, density / ky);
      const count = wasm.scan(input, input + bytes, table);
      if (count < 0) throw new FarmError("internal", "PostGIS gave a geometry of an unknown kind");
      spanOfRule = spansOf(new Uint32Array(wasm.memory.buffer, table, 2 * count));
    },
    paint(rule, plane, paint) {
      const features = spanOfRule.get(rule);
      if (features === undefined) return;
      used.add(plane);
      const stroke = paint.action === "stroke";
      wasm.paint(
        table + 8 * features.first,
        features.count,
        painted + plane * area,
        paint.value,
        stroke ? 2 : 1,
        stroke ? (paint.width * density) / 2 : 0,
        stroke && paint.cap === "round" ? 1 : 0,
        stroke && paint.dash ? paint.dash[0] * density : 0,
        stroke && paint.dash ? paint.dash[1] * density : 0,
        paint.radius * density,
        room,
        size,
      );
    },
    finish() {
      for (let group = 0; group < groups; group++) {
        const first = group * GROUP;
        const count = Math.min(GROUP, planes - first);
        wasm.interleave(painted + first * area, count, area, pictures + first * area);
      }
    },
    cut({ rotation, dx, dy }, levels) {
      const angle = (rotation * Math.PI) / 180;
      // The map is turned clockwise in the tile, so the tile is turned the other way in the picture (y downwards).
      const du = step * Math.cos(angle);
      const dv = -step * Math.sin(angle);
      // From the window's centre half a tile up and left; a pixel's centre lies half a pixel inside.
      const first = (1 - pixels) / 2;
      const u = side / 2 + dx * density + first * du - first * dv - 0.5;
      const v = side / 2 - dy * density + first * dv + first * du - 0.5;
      for (let group = 0; group < groups; group++) {
        const plane = group * GROUP;
        wasm.cut(
          pictures + plane * area,
          side,
          Math.min(GROUP, planes - plane),
          target + plane * pixels * pixels,
          pixels,
          levels === 16 ? 1 : 0,
          fixed(u),
          fixed(v),
          fixed(du),
          fixed(dv),
        );
      }
      const tile = new Uint8Array(Buffer.allocUnsafeSlow(planes * pixels * pixels).buffer);
      tile.set(new Uint8Array(wasm.memory.buffer, target, tile.length));
      return tile;
    },
  };
}
