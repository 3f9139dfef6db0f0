import { DEFAULT_AUGMENTATION, locationTransforms, randomOf } from "@loc2vec/core";
import { loadProfile, type Profile } from "@loc2vec/gis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNaiveRenderer } from "../../bench/src/naive.ts";
import { createRasterizer, type Rasterizer, rendererInfo } from "../src/index.ts";
import { AREA, box, createMap, type Place, STYLE, type TestMap, type Thing } from "./helpers.ts";

const TOWN: Place = { lon: 24.9, lat: 60.2 };
/** A street grid with houses, a park, a tram, trees and shops. */
const random = randomOf(1);
const town: Thing[] = [
  ...[-200, -100, 0, 100, 200].flatMap((at): Thing[] => [
    {
      at: TOWN,
      tags: { highway: "residential" },
      points: [
        [at, -300],
        [at + 20, 300],
      ],
    },
    {
      at: TOWN,
      tags: { highway: "secondary" },
      points: [
        [-300, at + 45],
        [300, at + 35],
      ],
    },
  ]),
  ...Array.from({ length: 150 }, (): Thing => {
    const [x, y] = [random.int(480) - 240, random.int(480) - 240];
    return {
      at: TOWN,
      tags: { building: "yes" },
      points: box(x, y, x + 8 + random.int(18), y + 8 + random.int(18)),
      ring: true,
    };
  }),
  ...Array.from(
    { length: 60 },
    (_, i): Thing => ({
      at: TOWN,
      tags: i % 2 ? { shop: "books" } : { natural: "tree" },
      points: [[random.int(480) - 240, random.int(480) - 240]],
    }),
  ),
  {
    at: TOWN,
    tags: { railway: "tram" },
    points: [
      [-300, -120],
      [40, 10],
      [300, 160],
    ],
  },
  { at: TOWN, tags: { leisure: "park" }, points: box(-150, -60, 60, 90), ring: true },
];
const transforms = locationTransforms({ seed: 3, samples: 21, augmentation: DEFAULT_AUGMENTATION }, 0);

let map: TestMap;
let profile: Profile;
let exact: Rasterizer;
let fast: Rasterizer;
beforeAll(async () => {
  profile = await loadProfile(STYLE);
  map = await createMap("fast");
  await map.load(town, profile);
  exact = await createRasterizer({ databaseUrl: map.databaseUrl, profile, kind: "exact" });
  fast = await createRasterizer({ databaseUrl: map.databaseUrl, profile, kind: "fast" });
});
afterAll(async () => {
  await Promise.all([exact?.close(), fast?.close()]);
  await map?.drop();
});

function compare(a: readonly Uint8Array[], b: readonly Uint8Array[]): { mae: number; iou: number } {
  let [difference, bytes, overlap, planes] = [0, 0, 0, 0];
  for (const [i, tile] of a.entries()) {
    const other = b[i] as Uint8Array;
    for (let channel = 0; channel < 12; channel++) {
      let [inter, union] = [0, 0];
      for (let k = channel * AREA; k < (channel + 1) * AREA; k++) {
        const [x, y] = [tile[k] as number, other[k] as number];
        difference += Math.abs(x - y);
        if (x >= 128 || y >= 128) union++;
        if (x >= 128 && y >= 128) inter++;
      }
      if (union > 0) {
        overlap += inter / union;
        planes++;
      }
    }
    bytes += tile.length;
  }
  return { mae: difference / bytes, iou: overlap / planes };
}

test("fast is close to exact, whatever the rotation and shift", async () => {
  const { mae, iou } = compare(await exact.render(TOWN, transforms), await fast.render(TOWN, transforms));
  expect(mae).toBeLessThan(1.5);
  expect(iou).toBeGreaterThan(0.95);
});

test("exact is what a map per channel and tile, drawn straight from PostGIS, gives", async () => {
  const naive = createNaiveRenderer(map.databaseUrl, profile, TOWN.lat);
  const some = transforms.slice(0, 4);
  const tiles: Uint8Array[] = [];
  for (const transform of some) tiles.push(await naive(TOWN, transform));
  const { mae, iou } = compare(await exact.render(TOWN, some), tiles);
  expect(mae).toBeLessThan(0.2);
  expect(iou).toBeGreaterThan(0.98);
});

test("the same bytes each time, also beside other locations, and samples do not depend on one another", async () => {
  const first = await fast.render(TOWN, transforms);
  const elsewhere = { lon: TOWN.lon + 0.002, lat: TOWN.lat };
  const [other, again] = await Promise.all([
    fast.render(elsewhere, transforms),
    fast.render(TOWN, transforms),
  ]);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
  expect(await fast.render(TOWN, [transforms[7] as (typeof transforms)[number]])).toEqual([first[7]]);
});

test("the furthest corners are inside the picture; beyond is an error", async () => {
  const corners = [80, -80].flatMap((dx) =>
    [80, -80].flatMap((dy) => [45, 135, 225, 315].map((rotation) => ({ rotation, dx, dy }))),
  );
  const { mae } = compare(await exact.render(TOWN, corners), await fast.render(TOWN, corners));
  expect(mae).toBeLessThan(1.5);
  await expect(fast.render(TOWN, [{ rotation: 0, dx: 81, dy: 0 }])).rejects.toThrowError(
    /81 m is beyond ±80 m .*|81 m is beyond/,
  );
});

test("the two renderers are told apart", () => {
  expect(fast.source.renderer).toMatch(/^loc2vec \d+ fast$/);
  expect(fast.source.styleHash).toBe(rendererInfo(profile, { kind: "fast" }).styleHash);
  expect(fast.source.styleHash).not.toBe(exact.source.styleHash);
});
