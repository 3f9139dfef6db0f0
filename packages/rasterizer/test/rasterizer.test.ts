import { FarmError, MismatchError, tileTransform } from "@loc2vec/core";
import { loadProfile, type Profile, parseProfile } from "@loc2vec/gis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRasterizer, type Rasterizer, rendererInfo } from "../src/index.ts";
import { ANCHOR, box, createMap, type Place, STYLE, type TestMap, type Thing } from "./helpers.ts";

const VILLAGE: Place = { lon: 24.9, lat: 60.2 };
const SEA: Place = { lon: 0, lat: 0 };
const TILE_BYTES = 12 * 128 * 128;

/** Something in many channels. */
const village: Thing[] = [
  ...Array.from(
    { length: 30 },
    (_, i): Thing => ({
      at: VILLAGE,
      tags: { building: i % 3 ? "house" : "retail" },
      points: box(
        (i % 6) * 30 - 100,
        Math.floor(i / 6) * 35 - 100,
        (i % 6) * 30 - 80,
        Math.floor(i / 6) * 35 - 77,
      ),
      ring: true,
    }),
  ),
  {
    at: VILLAGE,
    tags: { highway: "residential" },
    points: [
      [-150, 3],
      [10, 8],
      [160, -90],
    ],
  },
  {
    at: VILLAGE,
    tags: { railway: "tram" },
    points: [
      [-150, -60],
      [150, 20],
    ],
  },
  { at: VILLAGE, tags: { leisure: "park" }, points: box(-60, -160, 90, -70), ring: true },
  { at: VILLAGE, tags: { shop: "bakery" }, points: [[20, 20]] },
];

const kindOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof FarmError ? `${error.kind}: ${error.line}` : `not a FarmError: ${error}`;
};

let map: TestMap;
let profile: Profile;
let databaseUrl: string;
beforeAll(async () => {
  profile = await loadProfile(STYLE);
  map = await createMap("rasterizer");
  databaseUrl = map.databaseUrl;
});
afterAll(async () => {
  await map?.drop();
});

test("without a map there is no rasterizer", async () => {
  expect(await kindOf(createRasterizer({ databaseUrl, profile }))).toMatch(
    /^input: no map is imported .*farm:import/,
  );
});

test("nor without a server", async () => {
  const gone = createRasterizer({ databaseUrl: "postgresql://me:secret@127.0.0.1:1/x", profile });
  const message = await kindOf(gone);
  expect(message).toMatch(/^service: PostgreSQL .*127\.0\.0\.1:1.*ECONNREFUSED/);
  expect(message).not.toContain("secret");
});

describe("with a map", () => {
  let rasterizer: Rasterizer;
  beforeAll(async () => {
    await map.load(village, profile);
    rasterizer = await createRasterizer({ databaseUrl, profile, outside: "empty" });
  });
  afterAll(() => rasterizer?.close());

  test("a place beyond the map is refused, and named; one that a tile reaches from is not", async () => {
    for (const kind of ["exact", "fast"] as const) {
      const strict = await createRasterizer({ databaseUrl, profile, kind });
      try {
        expect(await kindOf(strict.render(SEA, [ANCHOR]))).toMatch(
          /^input: lon 0, lat 0 lies beyond the map map\.osm \(24\.\d+, .*\(mend: drop .*FARM_OUTSIDE=empty/,
        );
        await strict.render({ lon: VILLAGE.lon + 0.005, lat: VILLAGE.lat }, [ANCHOR]);
      } finally {
        await strict.close();
      }
    }
  });

  test("16 levels are the multiples of 17 next to what 256 give", async () => {
    for (const kind of ["exact", "fast"] as const) {
      const each = await createRasterizer({ databaseUrl, profile, kind });
      try {
        const turned = { rotation: 33, dx: 5, dy: 6 };
        const [[fine], [coarse]] = await Promise.all([
          each.render(VILLAGE, [turned]),
          each.render(VILLAGE, [turned], 16),
        ]);
        const levels = new Set<number>();
        for (const [i, value] of (coarse as Uint8Array).entries()) {
          levels.add(value);
          expect(value % 17).toBe(0);
          expect(Math.abs(value - ((fine as Uint8Array)[i] as number))).toBeLessThanOrEqual(9);
        }
        expect(levels.size).toBe(16);
      } finally {
        await each.close();
      }
    }
  });

  test("a profile with other matching rules is refused", async () => {
    const other = { ...profile, importHash: "0".repeat(64) };
    expect(await kindOf(createRasterizer({ databaseUrl, profile: other }))).toMatch(
      /^input: the map map\.osm was imported with other rules .*import it again/,
    );
  });

  test("it is what rendererInfo says without a map", () => {
    const { renderer, styleHash } = rasterizer.source;
    expect({ renderer, styleHash }).toEqual(rendererInfo(profile));
    expect(renderer).toMatch(/^mapnik \d+\.\d+\.\d+ exact$/);
    expect(styleHash).toMatch(/^[0-9a-f]{64}$/);
  });

  test("each tile has a buffer of its own", async () => {
    const tiles = await rasterizer.render(VILLAGE, [ANCHOR, ANCHOR, { rotation: 90, dx: 0, dy: 0 }]);
    expect(tiles.map((tile) => [tile.length, tile.byteOffset, tile.buffer.byteLength])).toEqual(
      tiles.map(() => [TILE_BYTES, 0, TILE_BYTES]),
    );
    expect(new Set(tiles.map((tile) => tile.buffer)).size).toBe(3);
    expect(tiles[0]).toEqual(tiles[1]);
    expect(tiles[0]).not.toEqual(tiles[2]);
  });

  test("the open sea is dark", async () => {
    // After a full tile, so that nothing of it may be left.
    await rasterizer.render(VILLAGE, [ANCHOR]);
    const [tile] = await rasterizer.render(SEA, [{ rotation: 33, dx: 5, dy: 6 }]);
    expect(tile).toHaveLength(TILE_BYTES);
    expect(tile?.every((value) => value === 0)).toBe(true);
  });

  test("no transforms, no tiles", async () => {
    expect(await rasterizer.render(VILLAGE, [])).toEqual([]);
  });

  test("tiles do not depend on who draws them, beside what, or in which order", async () => {
    const places = [0, 1, 2, 3, 4, 5].map((i) => ({
      lon: VILLAGE.lon + i / 2000,
      lat: VILLAGE.lat - i / 4000,
    }));
    const transforms = (i: number) => [0, 1, 2, 3].map((sample) => tileTransform(5, i, sample));
    const alone: Uint8Array[][] = [];
    for (const [i, place] of places.entries()) {
      const tiles = transforms(i).map(async (transform) => (await rasterizer.render(place, [transform]))[0]);
      alone.push((await Promise.all(tiles)) as Uint8Array[]);
    }
    const another = await createRasterizer({ databaseUrl, profile });
    try {
      const draw = (by: Rasterizer) =>
        Promise.all(
          places
            .map((place, i) => [place, i] as const)
            .reverse()
            .map(([place, i]) => by.render(place, transforms(i))),
        );
      const [together, elsewhere] = await Promise.all([draw(rasterizer), draw(another)]);
      expect(together.reverse()).toEqual(alone);
      expect(elsewhere.reverse()).toEqual(alone);
    } finally {
      await another.close();
    }
    expect(new Set(alone.flat().map((tile) => Buffer.from(tile).toString("base64"))).size).toBe(24);
  });

  test.each([
    { lon: 0, lat: 85.1 },
    { lon: 0, lat: -90 },
    { lon: 181, lat: 0 },
    { lon: Number.NaN, lat: 0 },
  ])("lon $lon, lat $lat is refused", async (place) => {
    expect(await kindOf(rasterizer.render(place, [ANCHOR]))).toMatch(/^input: lon .* is not within/);
  });

  test("closing waits for what is being drawn", async () => {
    const brief = await createRasterizer({ databaseUrl, profile });
    const tiles = brief.render(VILLAGE, [ANCHOR]);
    await brief.close();
    expect(await tiles).toEqual(await rasterizer.render(VILLAGE, [ANCHOR]));
    expect(await kindOf(brief.render(VILLAGE, [ANCHOR]))).toMatch(/^service: /);
  });

  test("another map in its place is noticed, even where it is empty", async () => {
    const replace = (sha256: unknown) => map.query("UPDATE farm.import_info SET sha256 = $1", [sha256]);
    const [info] = await map.query("SELECT sha256 FROM farm.import_info");
    await replace("another");
    for (const place of [VILLAGE, SEA]) {
      expect(await kindOf(rasterizer.render(place, [ANCHOR]))).toMatch(
        /^data: the map map\.osm was replaced by another import while tiles were drawn/,
      );
      // The worker leaves such a job to one that has the map.
      await expect(rasterizer.render(place, [ANCHOR])).rejects.toBeInstanceOf(MismatchError);
    }
    await replace(info?.sha256);
    await rasterizer.render(VILLAGE, [ANCHOR]);
    await map.query("ALTER SCHEMA farm RENAME TO elsewhere");
    expect(await kindOf(rasterizer.render(VILLAGE, [ANCHOR]))).toMatch(/^input: no map is imported/);
    await map.query("ALTER SCHEMA elsewhere RENAME TO farm");
    await rasterizer.render(VILLAGE, [ANCHOR]);
  });
});

test("a map over the antimeridian: what lies around the world from it is beyond it", async () => {
  const place: Place = { lon: 179.9999, lat: -17 };
  const blocks = [box(20, 25, 70, 50), box(-70, -50, -20, -25)];
  await map.load(
    blocks.map((points) => ({ at: place, tags: { building: "yes" }, points, ring: true })),
    profile,
  );
  const strict = await createRasterizer({ databaseUrl, profile });
  try {
    for (const lon of [0, 30, -170]) {
      expect(await kindOf(strict.render({ lon, lat: -17 }, [ANCHOR]))).toMatch(
        /^input: lon \S+, lat -17 lies beyond the map map\.osm \(179\.999\d, -17\.\d+, -179\.999\d, -16\.\d+\)/,
      );
    }
    for (const lon of [179.9999, -179.9999]) {
      const [tile] = await strict.render({ lon, lat: -17 }, [ANCHOR]);
      expect(tile?.some((value) => value > 0)).toBe(true);
    }
  } finally {
    await strict.close();
  }
});

describe("the style hash", () => {
  const yaml = (intensity: number, title: string) => `
name: tiny
version: 1
channels:
  - { name: houses, title: ${title}, colour: [0, 0, 0], z: 1, rules: [
      { id: house, geometry: polygon, match: { building: "*" }, draw: { intensity: ${intensity} } } ] }
labels: { name: "*" }
`;
  const hash = (intensity = 200, title = "Houses", size = {}) =>
    rendererInfo(parseProfile(yaml(intensity, title), "tiny.yaml"), size).styleHash;

  test("changes with what changes pixels, and with nothing else", () => {
    expect(hash(200, "Buildings")).toBe(hash());
    expect(hash(200, "Houses", { pixels: 128, radius: 100 })).toBe(hash());
    const others = [
      hash(201),
      hash(200, "Houses", { pixels: 64 }),
      hash(200, "Houses", { radius: 50 }),
      hash(),
    ];
    expect(new Set(others).size).toBe(4);
  });
});
