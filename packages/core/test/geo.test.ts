import { describe, expect, test } from "vitest";
import {
  DEFAULT_HOLDOUT,
  distanceM,
  HALF_WORLD_M,
  METRES_PER_DEGREE,
  type NearestPlace,
  nearestOf,
  partOf,
  randomOf,
  withinBox,
} from "../src/index.ts";

test("distances: Helsinki to Tallinn, a degree of the equator, across the antimeridian", () => {
  expect(distanceM({ lon: 24.9384, lat: 60.1699 }, { lon: 24.7536, lat: 59.437 }) / 1000).toBeCloseTo(
    82.1,
    0,
  );
  expect(distanceM({ lon: 0, lat: 0 }, { lon: 1, lat: 0 })).toBeCloseTo(111_195, -1);
  expect(distanceM({ lon: 179.9, lat: 0 }, { lon: -179.9, lat: 0 })).toBeCloseTo(22_239, -1);
});

test("within a box: its border too, across the antimeridian, and on it by either sign", () => {
  const helsinki = [24.9, 60.1, 25, 60.2] as const;
  const within = (box: readonly [number, number, number, number], lon: number, lat: number) =>
    withinBox(box, { lon, lat });
  expect([
    within(helsinki, 24.9, 60.2),
    within(helsinki, 24.8, 60.15),
    within(helsinki, 24.95, 60.3),
  ]).toEqual([true, false, false]);
  const fiji = [177, -20, -178, -15] as const;
  expect([178, -179, 180, -180].map((lon) => within(fiji, lon, -17))).toEqual([true, true, true, true]);
  expect([176, -177, 0].map((lon) => within(fiji, lon, -17))).toEqual([false, false, false]);
  const taveuni = [179, -17, 180, -16] as const;
  expect([within(taveuni, -180, -16.5), within(taveuni, -179.9, -16.5)]).toEqual([true, false]);
});

test("the Web Mercator world is 40,075,017 m wide", () => {
  expect(HALF_WORLD_M).toBeCloseTo(20_037_508.342_789, 5);
});

test("within a box: all of its corners, and a box that is a point", () => {
  const box = [24.9, 60.1, 25, 60.2] as const;
  for (const lon of [24.9, 25])
    for (const lat of [60.1, 60.2]) expect(withinBox(box, { lon, lat })).toBe(true);
  const point = [25, 60, 25, 60] as const;
  expect(withinBox(point, { lon: 25, lat: 60 })).toBe(true);
  expect(withinBox(point, { lon: 26, lat: 60 })).toBe(false);
});

test("within a box: its edges, a margin in metres, over the antimeridian", () => {
  const helsinki = [24.9, 60.1, 25, 60.2] as const;
  expect(withinBox(helsinki, { lon: 24.95, lat: 60.15 })).toBe(true);
  expect(withinBox(helsinki, { lon: 24.9, lat: 60.2 })).toBe(true);
  expect(withinBox(helsinki, { lon: 24.95, lat: 60.2001 })).toBe(false);
  expect(withinBox(helsinki, { lon: 25.0001, lat: 60.15 })).toBe(false);
  // A thousandth of a degree: 111 m northwards, 55 m eastwards at 60° north.
  expect(withinBox(helsinki, { lon: 24.95, lat: 60.201 }, 110)).toBe(false);
  expect(withinBox(helsinki, { lon: 24.95, lat: 60.201 }, 112)).toBe(true);
  expect(withinBox(helsinki, { lon: 25.001, lat: 60.15 }, 54)).toBe(false);
  expect(withinBox(helsinki, { lon: 25.001, lat: 60.15 }, 56)).toBe(true);
  const taveuni = [179.9, -17, -179.9, -16] as const;
  for (const lon of [179.9, 179.95, 180, -180, -179.9])
    expect(withinBox(taveuni, { lon, lat: -16.5 })).toBe(true);
  for (const lon of [0, 30, 179.8, -179.8]) expect(withinBox(taveuni, { lon, lat: -16.5 })).toBe(false);
  expect(withinBox(taveuni, { lon: 0, lat: -16.5 }, 1000)).toBe(false);
  const west = [-180, -17, -179.9, -16] as const;
  expect(withinBox(west, { lon: 179.999, lat: -16.5 })).toBe(false);
  expect(withinBox(west, { lon: 179.999, lat: -16.5 }, 120)).toBe(true);
});

describe("the split by geography", () => {
  const places = (count: number, seed: number) => {
    const random = randomOf(seed);
    return Array.from({ length: count }, () => ({
      lon: -180 + 360 * random.uniform(),
      lat: -80 + 160 * random.uniform(),
    }));
  };

  test("holds out the share that was asked for, the same each time, another with another seed", () => {
    const all = places(20_000, 1);
    const split = (seed: number) => all.map((place) => partOf(seed, place, DEFAULT_HOLDOUT));
    const first = split(7);
    expect(first.filter((part) => part === "heldout").length / all.length).toBeCloseTo(0.1, 1.7);
    expect(split(7)).toEqual(first);
    expect(split(8)).not.toEqual(first);
    expect(all.map((place) => partOf(7, place, { ...DEFAULT_HOLDOUT, share: 0 }))).not.toContain("heldout");
  });

  test.each([
    [1000, 200],
    [1000, 510],
    // Cells smaller than the border: none of them is passed over.
    [150, 510],
  ])(
    "cells of %i m, a border of %i m: no location that is trained on lies nearer to one that is held out",
    (cellM, borderM) => {
      // A town of 6 × 6 km, full of locations; and one on the antimeridian, far in the south.
      for (const [lon, lat] of [
        [24.9, 60.1],
        [179.96, -33.4],
      ] as const) {
        const random = randomOf(3);
        const town = Array.from({ length: 4000 }, () => ({
          lon: ((lon + 0.1 * random.uniform() + 540) % 360) - 180,
          lat: lat + 0.054 * random.uniform(),
        }));
        const holdout = { share: 0.3, cellM, borderM };
        const parts = town.map((place) =>
          partOf(5, place, { ...holdout, share: cellM < borderM ? 0.01 : 0.3 }),
        );
        const [trained, held] = [
          town.filter((_, i) => parts[i] === "train"),
          town.filter((_, i) => parts[i] === "heldout"),
        ];
        expect(Math.min(trained.length, held.length)).toBeGreaterThan(20);
        const nearest = nearestOf(held);
        const gaps = trained.map((place) => (nearest(place) as NearestPlace).metres);
        expect(Math.min(...gaps)).toBeGreaterThanOrEqual(borderM);
        // And no wider than it must be.
        expect(Math.min(...gaps)).toBeLessThan(borderM + 40);
      }
    },
  );

  test.each([0, 45, 60, 75, -60])("at %i° a cell is as wide as it is high", (lat) => {
    const holdout = { share: 0.5, cellM: 1000, borderM: 0 };
    // Every 10 m, on a line through 400 cells: how often the part changes tells how many cells there are.
    const changes = (at: (metres: number) => { lon: number; lat: number }) => {
      const parts = Array.from({ length: 40_000 }, (_, i) => partOf(11, at(10 * i), holdout) === "heldout");
      return parts.filter((part, i) => i > 0 && part !== parts[i - 1]).length;
    };
    const wide = METRES_PER_DEGREE * Math.cos((lat * Math.PI) / 180);
    const eastwards = changes((metres) => ({ lon: metres / wide, lat: lat + 0.001 }));
    const northwards = changes((metres) => ({ lon: 0.001, lat: lat + metres / METRES_PER_DEGREE }));
    // Half of 400 borders, a deviation of 10.
    for (const count of [eastwards, northwards]) expect(Math.abs(count - 200)).toBeLessThan(35);
  });

  test("is that of every model so far (pinned values)", () => {
    const letters = { train: "t", border: "b", heldout: "h" };
    const parts = places(120, 6).map((place) => letters[partOf(7, place, DEFAULT_HOLDOUT)]);
    expect(parts.join("")).toMatchInlineSnapshot(
      `"tthttbbhhttbhbbttbtbbttttbhbbbtttbtttttttttbttbtthtbttttttttbhttbbttbbhtbhttbtbttttttthhbttbbbtttttbttthbtbttbttttttttbb"`,
    );
  });

  test("neighbours fall on one side: cells, not single locations, are drawn", () => {
    const random = randomOf(4);
    let same = 0;
    for (const { lon, lat } of places(2000, 2)) {
      const near = { lon, lat: lat + (20 * random.uniform()) / 111_000 };
      if (
        (partOf(9, { lon, lat }, DEFAULT_HOLDOUT) === "heldout") ===
        (partOf(9, near, DEFAULT_HOLDOUT) === "heldout")
      )
        same++;
    }
    expect(same / 2000).toBeGreaterThan(0.99);
  });
});

test("the nearest of some places, across the antimeridian too, as distances by hand say", () => {
  const random = randomOf(8);
  const places = Array.from({ length: 500 }, () => ({
    lon: ((179.5 + random.uniform() + 540) % 360) - 180,
    lat: -17 + random.uniform(),
  }));
  const nearest = nearestOf(places);
  for (const [i, place] of places.slice(0, 50).entries()) {
    const others = places.map((other, j) => (j === i ? Number.POSITIVE_INFINITY : distanceM(place, other)));
    const metres = Math.min(...others);
    expect(nearest(place, { but: i })).toEqual({ index: others.indexOf(metres), metres });
    expect(nearest(place, { but: i, withinM: metres - 1 })).toBeUndefined();
    expect(nearest(place)?.index).toBe(i);
  }
  expect(nearestOf([])({ lon: 0, lat: 0 })).toBeUndefined();
});
