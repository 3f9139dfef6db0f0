// Takes a quarter of a minute: maps at many places of the globe are imported and drawn.

import { type TileTransform, tileTransform } from "@loc2vec/core";
import { parseProfile } from "@loc2vec/gis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRasterizer, frameOf, type Rasterizer } from "../src/index.ts";
import {
  ANCHOR,
  AREA,
  box,
  convex,
  createMap,
  disc,
  expectedPlane,
  largestDifference,
  PIXELS,
  type Place,
  type Point,
  plane,
  type Shape,
  stroke,
  type TestMap,
  type Thing,
  union,
} from "./helpers.ts";

/** Four channels, so that the last is drawn in another pass than the first. */
const PROFILE = parseProfile(
  `
name: geometry
version: 1
channels:
  - { name: blocks, title: Blocks, colour: [0, 0, 0], z: 1, rules: [
      { id: block, geometry: polygon, match: { landuse: block }, draw: { intensity: 255 } } ] }
  - { name: streets, title: Streets, colour: [0, 0, 0], z: 1, rules: [
      { id: street, geometry: line, match: { highway: street }, draw: { width: 8, intensity: 255 } } ] }
  - { name: dark, title: Nothing, colour: [0, 0, 0], z: 1, rules: [
      { id: nothing, geometry: point, match: { nothing: "*" }, draw: { radius: 1, intensity: 255 } } ] }
  - { name: trees, title: Trees, colour: [0, 0, 0], z: 1, rules: [
      { id: tree, geometry: point, match: { natural: tree }, draw: { radius: 6, intensity: 255 } } ] }
labels: { name: "*" }
`,
  "geometry.yaml",
);
const [BLOCKS, STREETS, DARK, TREES] = [0, 1, 2, 3];

/** 32 × 16 pixels of an anchor tile, to the pixel: columns 32–63, rows 32–47. */
const BLOCK = box(-50, 25, 0, 50);
const TRIANGLE: Point[] = [
  [20, -70],
  [80, -70],
  [20, -10],
];
/** Beyond the window of the anchor, within that of turned or shifted ones. */
const FAR_BLOCK = box(106, -12, 130, 10);
const STREET: Point[] = [
  [-90, -20],
  [-20, -60],
  [60, 95],
];
const TREE_POINTS: Point[] = [
  [60, 60],
  [-120, 30],
  [3, -3],
];
const SHAPES: readonly (readonly [channel: number, shape: Shape])[] = [
  [BLOCKS, union([BLOCK, TRIANGLE, FAR_BLOCK].map(convex))],
  [STREETS, stroke(STREET, 8)],
  [DARK, () => 1000],
  [TREES, union(TREE_POINTS.map((point) => disc(point, 6)))],
];
const PLACES: readonly Place[] = [0, 47, 60, -60, 84.9].map((lat, i) => ({ lon: 10 + 30 * i, lat }));
const HELSINKI = PLACES[2] as Place;
/** A block and a street so large that they are clipped. */
const OPEN_COUNTRY: Place = { lon: -60, lat: 47 };

const landscape = (at: Place): Thing[] => [
  ...[BLOCK, TRIANGLE, FAR_BLOCK].map((points) => ({ at, tags: { landuse: "block" }, points, ring: true })),
  { at, tags: { highway: "street" }, points: STREET },
  ...TREE_POINTS.map((point) => ({ at, tags: { natural: "tree" }, points: [point] })),
];
const openCountry: Thing[] = [
  {
    at: OPEN_COUNTRY,
    tags: { landuse: "block" },
    ring: true,
    points: Array.from({ length: 200 }, (_, i): Point => {
      const angle = (i * 2 * Math.PI) / 200;
      return [3000 * Math.cos(angle), 3000 * Math.sin(angle)];
    }),
  },
  {
    at: OPEN_COUNTRY,
    tags: { highway: "street" },
    points: Array.from({ length: 101 }, (_, i): Point => [20 * i - 1000, 10 * i - 500]),
  },
];

/** Half of the things lie on the other side of the antimeridian, 180° away in Mercator's plane. */
const ANTIMERIDIAN: Place = { lon: 179.9999, lat: -17 };
const EASTERN = box(20, 25, 70, 50);
const WESTERN = box(-70, -50, -20, -25);

let map: TestMap;
let rasterizer: Rasterizer;
let fast: Rasterizer;
const render = async (place: Place, transform: TileTransform): Promise<Uint8Array> =>
  (await rasterizer.render(place, [transform]))[0] as Uint8Array;

beforeAll(async () => {
  map = await createMap("geometry");
  const blocks = [EASTERN, WESTERN].map((points) => ({
    at: ANTIMERIDIAN,
    tags: { landuse: "block" },
    points,
    ring: true,
  }));
  await map.load([...PLACES.flatMap(landscape), ...openCountry, ...blocks], PROFILE);
  rasterizer = await createRasterizer({ databaseUrl: map.databaseUrl, profile: PROFILE });
  fast = await createRasterizer({ databaseUrl: map.databaseUrl, profile: PROFILE, kind: "fast" });
});
afterAll(async () => {
  await Promise.all([rasterizer?.close(), fast?.close()]);
  await map?.drop();
});

describe("the ground's measure", () => {
  test("Mercator's metres per ground metre are those of geodesics on the ellipsoid", async () => {
    for (const lat of [0, 30, -47, 60, 84]) {
      const place = { lon: 20, lat };
      const ends = await map.project(
        [
          [100, 0],
          [-100, 0],
          [0, 100],
          [0, -100],
        ].map(([x = 0, y = 0]) => ({ ...place, x, y })),
      );
      const [east, west, north, south] = ends.map((end) => frameOf(end.lon, end.lat));
      const { kx, ky } = frameOf(place.lon, place.lat);
      expect(((east?.x ?? 0) - (west?.x ?? 0)) / 200 / kx).toBeCloseTo(1, 6);
      expect(((north?.y ?? 0) - (south?.y ?? 0)) / 200 / ky).toBeCloseTo(1, 6);
    }
  });

  test("Mercator coordinates are PostGIS's", async () => {
    for (const place of [...PLACES, { lon: -180, lat: -84.9 }]) {
      const [row] = await map.query(
        "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM (SELECT ST_Transform(ST_Point($1, $2, 4326), 3857) AS p) AS t",
        [place.lon, place.lat],
      );
      const { x, y } = frameOf(place.lon, place.lat);
      expect(x).toBeCloseTo(row?.x as number, 5);
      expect(y).toBeCloseTo(row?.y as number, 5);
    }
  });

  test.each(PLACES)("a block of 50 m × 25 m is 32 × 16 pixels at latitude $lat", async (place) => {
    const blocks = plane(await render(place, ANCHOR), BLOCKS);
    let sum = 0;
    for (let row = 24; row < 56; row++) {
      for (let column = 24; column < 72; column++) {
        const value = blocks[row * PIXELS + column] as number;
        const inside = row >= 32 && row < 48 && column >= 32 && column < 64;
        // OpenStreetMap's coordinates, and ours, are rounded to a centimetre: 1.6 levels.
        expect(Math.abs(value - (inside ? 255 : 0)), `row ${row}, column ${column}`).toBeLessThanOrEqual(5);
        sum += value / 255;
      }
    }
    expect(Math.abs(sum - 512)).toBeLessThan(1);
  });
});

describe("the antimeridian", () => {
  const transform = { rotation: 30, dx: 5, dy: -10 };
  test.each([
    ["west", ANTIMERIDIAN, 0],
    // 21.3 m further east at 17° S.
    ["east", { lon: -179.9999, lat: -17 }, 21.297],
  ])("is no border: seen from the %s of it", async (_, place, moved) => {
    const shape = union([EASTERN, WESTERN].map((ring) => convex(ring.map(([x, y]) => [x - moved, y]))));
    const expected = expectedPlane(shape, transform);
    for (const [each, most] of [
      [rasterizer, 26],
      [fast, 140],
    ] as const) {
      const [tile] = (await each.render(place, [transform])) as [Uint8Array];
      const blocks = plane(tile, BLOCKS);
      expect(largestDifference(blocks, expected)).toBeLessThanOrEqual(most);
      const sums = [blocks, expected].map((values) => values.reduce((sum, value) => sum + value, 0));
      expect(Math.abs((sums[0] as number) - (sums[1] as number)) / (sums[1] as number)).toBeLessThan(0.01);
    }
  });
});

describe("transforms", () => {
  test("a window 50 m further east shows everything 32 pixels further west", async () => {
    const [anchor, shifted] = await rasterizer.render(HELSINKI, [ANCHOR, { rotation: 0, dx: 50, dy: 0 }]);
    for (const [channel] of SHAPES) {
      const [before, after] = [plane(anchor as Uint8Array, channel), plane(shifted as Uint8Array, channel)];
      for (let i = 0; i < AREA; i++) {
        if (i % PIXELS < PIXELS - 32)
          expect(Math.abs((after[i] ?? 0) - (before[i + 32] ?? 0))).toBeLessThan(2);
      }
    }
    expect(plane(shifted as Uint8Array, BLOCKS)[60 * PIXELS + 108]).toBe(255); // The block beyond the anchor's window.
  });

  test("a window 50 m further north shows everything 32 pixels further down", async () => {
    const [anchor, shifted] = await rasterizer.render(HELSINKI, [ANCHOR, { rotation: 0, dx: 0, dy: 50 }]);
    for (const [channel] of SHAPES) {
      const [before, after] = [plane(anchor as Uint8Array, channel), plane(shifted as Uint8Array, channel)];
      const above = before.subarray(0, AREA - 32 * PIXELS);
      expect(largestDifference(above, after.subarray(32 * PIXELS))).toBeLessThan(2);
    }
  });

  test.each([
    [90, (row: number, column: number) => [column, PIXELS - 1 - row]],
    [180, (row: number, column: number) => [PIXELS - 1 - row, PIXELS - 1 - column]],
    [270, (row: number, column: number) => [PIXELS - 1 - column, row]],
  ])("a turn of %d° is the shifted picture turned clockwise", async (rotation, to) => {
    const shift = { dx: -40, dy: 25 };
    const [straight, turned] = await rasterizer.render(HELSINKI, [
      { rotation: 0, ...shift },
      { rotation, ...shift },
    ]);
    for (const [channel] of SHAPES) {
      const before = plane(straight as Uint8Array, channel);
      const expected = new Uint8Array(AREA);
      for (let i = 0; i < AREA; i++) {
        const [row = 0, column = 0] = to(Math.floor(i / PIXELS), i % PIXELS);
        expected[row * PIXELS + column] = before[i] as number;
      }
      expect(largestDifference(plane(turned as Uint8Array, channel), expected)).toBeLessThanOrEqual(4);
    }
  });

  test("a turn of 45° brings into the corners what lies beyond the straight window", async () => {
    const [anchor, turned] = await rasterizer.render(HELSINKI, [ANCHOR, { rotation: 45, dx: 0, dy: 0 }]);
    // The tree 120 m to the west and 30 m to the north: (−120 + 30, 120 + 30) / √2 = (−63.6, 106.1), above the window;
    // turned by 45° the other way (−106.1, −63.6), left of it. The block to the east, around (115, 0): (81.3, −81.3).
    const [column, row] = [Math.floor((100 + 81.3) * 0.64), Math.floor((100 + 81.3) * 0.64)];
    expect(plane(turned as Uint8Array, BLOCKS)[row * PIXELS + column]).toBe(255);
    expect(plane(anchor as Uint8Array, BLOCKS)[row * PIXELS + column]).toBe(0);
    // The tree at (60, 60) now stands in the east: (84.9, 0).
    const trees = plane(turned as Uint8Array, TREES);
    let [mass, x, y] = [0, 0, 0];
    for (let i = 0; i < AREA; i++) {
      if (i % PIXELS < 100) continue;
      mass += trees[i] as number;
      x += (trees[i] as number) * ((i % PIXELS) + 0.5);
      y += (trees[i] as number) * (Math.floor(i / PIXELS) + 0.5);
    }
    expect(x / mass).toBeCloseTo(64 + 60 * Math.SQRT2 * 0.64, 1);
    expect(y / mass).toBeCloseTo(64, 1);
  });

  const transforms = [
    ANCHOR,
    { rotation: 45, dx: 0, dy: 0 },
    { rotation: 315, dx: 80, dy: -80 },
    ...[1, 2, 3].map((sample) => tileTransform(7, 0, sample)),
  ];
  test.each(PLACES)("every pixel is what the definition of a tile says, at latitude $lat", async (place) => {
    const tiles = await rasterizer.render(place, transforms);
    for (const [i, tile] of tiles.entries()) {
      for (const [channel, shape] of SHAPES) {
        const expected = expectedPlane(shape, transforms[i] as TileTransform);
        // 14 levels for the round caps that stand for a disc, 8 for the grid of the expectation, and rounding.
        const difference = largestDifference(plane(tile, channel), expected);
        expect(difference, JSON.stringify([transforms[i], channel])).toBeLessThanOrEqual(26);
      }
    }
  });

  test.each(PLACES)(
    "fast is what the definition says but for the edges' sharpness, at latitude $lat",
    async (place) => {
      const tiles = await fast.render(place, transforms);
      for (const [i, tile] of tiles.entries()) {
        for (const [channel, shape] of SHAPES) {
          const expected = expectedPlane(shape, transforms[i] as TileTransform);
          const drawn = plane(tile, channel);
          let [sum, difference, mass] = [0, 0, 0];
          for (const [k, value] of expected.entries()) {
            sum += value;
            mass += drawn[k] as number;
            difference += Math.abs(value - (drawn[k] as number));
          }
          const what = JSON.stringify([transforms[i], channel]);
          expect(Math.abs(mass - sum), what).toBeLessThanOrEqual(0.02 * sum + 255);
          expect(difference, what).toBeLessThanOrEqual(0.15 * sum + 255);
        }
      }
    },
  );

  test("a location 50 m further east shows what a shift by 50 m shows", async () => {
    const [neighbour] = await map.project([{ ...HELSINKI, x: 50, y: 0 }]);
    const shifted = await render(HELSINKI, { rotation: 30, dx: 50, dy: 0 });
    expect(
      largestDifference(await render(neighbour as Place, { rotation: 30, dx: 0, dy: 0 }), shifted),
    ).toBeLessThan(6);
  });

  test("clipping leaves no trace in any window", async () => {
    const country: TileTransform[] = [
      ANCHOR,
      { rotation: 45, dx: 80, dy: 80 },
      { rotation: 225, dx: -80, dy: 80 },
      { rotation: 10, dx: 150, dy: -200 },
    ];
    const ends: Point[] = [
      [-1000, -500],
      [1000, 500],
    ];
    for (const transform of country) {
      const tile = await render(OPEN_COUNTRY, transform);
      expect(plane(tile, BLOCKS).every((value) => value === 255)).toBe(true);
      const expected = expectedPlane(stroke(ends, 8), transform);
      expect(expected.some((value) => value > 0)).toBe(transform.dy > -200);
      // The Earth's curvature: 1 km from the place, a "straight" line is off by some centimetres.
      expect(largestDifference(plane(tile, STREETS), expected)).toBeLessThanOrEqual(20);
    }
  });
});

test("fewer pixels are the means of more", async () => {
  const small = await createRasterizer({ databaseUrl: map.databaseUrl, profile: PROFILE, pixels: 64 });
  try {
    const transform = { rotation: 20, dx: 30, dy: -60 };
    const [tile] = await small.render(HELSINKI, [transform]);
    const large = await render(HELSINKI, transform);
    expect(tile?.length).toBe(4 * 64 * 64);
    const means = Uint8Array.from({ length: 4 * 64 * 64 }, (_, i) => {
      const from = 2 * (i % 64) + 2 * PIXELS * Math.floor(i / 64);
      const sum = [0, 1, PIXELS, PIXELS + 1].reduce(
        (total, step) => total + (large[from + step] as number),
        0,
      );
      return Math.round(sum / 4);
    });
    // Round ends and joins have fewer corners when they are smaller.
    expect(largestDifference(tile as Uint8Array, means)).toBeLessThanOrEqual(12);
  } finally {
    await small.close();
  }
});
