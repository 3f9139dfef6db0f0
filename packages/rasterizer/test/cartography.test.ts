import { loadProfile, type Profile, parseProfile, type Rule } from "@loc2vec/gis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRasterizer, type Rasterizer } from "../src/index.ts";
import {
  ANCHOR,
  box,
  createMap,
  type Place,
  type Point,
  pixel,
  plane,
  STYLE,
  type TestMap,
  type Thing,
} from "./helpers.ts";

describe("the order of painting", () => {
  const profile = parseProfile(
    `
name: coats
version: 1
channels:
  - { name: houses, title: Houses, colour: [0, 0, 0], z: 1, rules: [
      { id: house, geometry: polygon, match: { building: "*" }, draw: { intensity: 200, outline: { width: 5, intensity: 100 } } } ] }
  - { name: roads, title: Roads, colour: [0, 0, 0], z: 1, rules: [
      { id: primary, geometry: line, match: { highway: primary }, draw: { width: 12, intensity: 255 } },
      { id: secondary, geometry: line, match: { highway: secondary }, draw: { width: 6, intensity: 200, casing: { width: 14, intensity: 90 } } },
      { id: service, geometry: line, match: { highway: service }, draw: { width: 6, intensity: 50 } },
      { id: steps, geometry: line, match: { highway: steps }, draw: { width: 6, intensity: 255, dash: [10, 10], cap: butt } } ] }
  - { name: land, title: Land, colour: [0, 0, 0], z: 1, rules: [
      { id: forest, geometry: polygon, match: { landuse: forest }, draw: { intensity: 230 } },
      { id: pond, geometry: polygon, match: { natural: water }, draw: { intensity: 60 } } ] }
  - { name: venues, title: Venues, colour: [0, 0, 0], z: 1, rules: [
      { id: venue, geometry: point, match: { amenity: "*" }, draw: { radius: 10, intensity: 80, outline: { width: 5, intensity: 250 } } } ] }
labels: { amenity: "*" }
`,
    "coats.yaml",
  );
  const [HOUSES, ROADS, LAND, VENUES] = [0, 1, 2, 3];
  const at: Place = { lon: 8, lat: 47 };
  const ring = (tags: Record<string, string>, points: readonly Point[]): Thing => ({
    at,
    tags,
    points,
    ring: true,
  });
  const way = (highway: string, ...points: Point[]): Thing => ({ at, tags: { highway }, points });
  /** What is painted last comes first in the file. */
  const things: Thing[] = [
    way("service", [20, 40], [80, 40]),
    way("steps", [-90, -90], [-10, -90]),
    way("secondary", [10, -40], [90, -40]),
    way("secondary", [20, -80], [20, 0]),
    way("primary", [50, -95], [50, 95]),
    ring({ natural: "water" }, box(-30, -20, 0, 20)),
    { ...ring({ landuse: "forest" }, box(-90, -70, -10, 10)), hole: box(-60, -40, -40, -20) },
    ring({ building: "yes" }, box(-80, 50, -50, 80)),
    ring({ building: "yes" }, box(-50, 50, -20, 80)),
    { at, tags: { amenity: "cafe" }, points: [[80, 80]] },
  ];
  let map: TestMap;
  let rasterizer: Rasterizer;
  let tile: Uint8Array;
  beforeAll(async () => {
    map = await createMap("coats");
    await map.load(things, profile);
    rasterizer = await createRasterizer({ databaseUrl: map.databaseUrl, profile });
    tile = (await rasterizer.render(at, [ANCHOR]))[0] as Uint8Array;
  });
  afterAll(async () => {
    await rasterizer?.close();
    await map?.drop();
  });

  test.each<[string, number, Point, number]>([
    ["a fill", HOUSES, [-65, 65], 200],
    ["the outline over the neighbour's fill", HOUSES, [-49.5, 65], 100],
    ["the outline over its own fill", HOUSES, [-50.5, 65], 100],
    ["the outline outwards", HOUSES, [-80.5, 65], 100],
    ["beyond the outline", HOUSES, [-84, 65], 0],
    ["a line", ROADS, [50.5, 80], 255],
    ["a later, darker rule over an earlier one", ROADS, [50.5, 40.5], 50],
    ["a casing", ROADS, [35, -45], 90],
    ["a casing over an earlier rule", ROADS, [50.5, -45], 90],
    ["a line over an earlier rule", ROADS, [50.5, -40.5], 200],
    ["a line over another line's casing of the same rule", ROADS, [20.5, -45], 200],
    ["the other line over this one's casing", ROADS, [15, -40.5], 200],
    ["a dash", ROADS, [-85, -90.5], 255],
    ["a gap", ROADS, [-75, -90.5], 0],
    ["the next dash", ROADS, [-65, -90.5], 255],
    ["beyond a butt end", ROADS, [-92.5, -90.5], 0],
    ["an earlier area", LAND, [-80, -60], 230],
    ["a hole", LAND, [-50, -30], 0],
    ["a later, darker area over it", LAND, [-20, 0], 60],
    ["a later area beside it", LAND, [-5, 15], 60],
    ["a disc", VENUES, [80, 80], 80],
    ["a disc's outline", VENUES, [80.5, 90], 250],
    ["beyond a disc", VENUES, [80.5, 94.5], 0],
  ])("%s", (_, channel, point, expected) => {
    expect(pixel(tile, channel, point)).toBe(expected);
  });
});

describe("the profile that users have", () => {
  let profile: Profile;
  let map: TestMap;
  let rasterizer: Rasterizer;
  let fast: Rasterizer;
  const placeOf = (rule: Rule): Place => ({ lon: 10 + rule.index / 100, lat: 50 });

  beforeAll(async () => {
    profile = await loadProfile(STYLE);
    map = await createMap("rules");
    await map.load(
      [{ at: { lon: 0, lat: 0 }, tags: { building: "yes" }, points: box(0, 0, 9, 9), ring: true }],
      profile,
    );
    // One feature of each rule at a place of its own, centred on a pixel.
    const shapes = {
      polygon: "ST_Expand(p, 40)",
      line: "ST_MakeLine(ST_Translate(p, -50, 0), ST_Translate(p, 50, 0))",
      point: "p",
    };
    for (const rule of profile.channels.flatMap(({ rules }) => rules)) {
      const { lon, lat } = placeOf(rule);
      await map.query(
        `INSERT INTO farm.feature (osm_type, osm_id, rule, geom) SELECT 'W', $1::int, $1::int, ${shapes[rule.geometry]}
         FROM (SELECT ST_Translate(ST_Transform(ST_Point($2, $3, 4326), 3857), 1.215, -1.215) AS p) AS t`,
        [rule.index, lon, lat],
      );
    }
    rasterizer = await createRasterizer({ databaseUrl: map.databaseUrl, profile, outside: "empty" });
    fast = await createRasterizer({ databaseUrl: map.databaseUrl, profile, outside: "empty", kind: "fast" });
  });
  afterAll(async () => {
    await Promise.all([rasterizer?.close(), fast?.close()]);
    await map?.drop();
  });

  test("the fast renderer draws every rule as the exact one does", async () => {
    for (const rule of profile.channels.flatMap(({ rules }) => rules)) {
      const [[a], [b]] = (await Promise.all(
        [rasterizer, fast].map((each) => each.render(placeOf(rule), [{ rotation: 20, dx: 3, dy: -4 }])),
      )) as [Uint8Array[], Uint8Array[]];
      let [sum, fastSum, difference] = [0, 0, 0];
      for (const [i, value] of (a as Uint8Array).entries()) {
        const other = (b as Uint8Array)[i] as number;
        sum += value;
        fastSum += other;
        difference += Math.abs(value - other);
      }
      expect(sum, rule.id).toBeGreaterThan(0);
      const [apart, more] = [difference / sum, fastSum / sum - 1];
      // They blend the pixels of an edge differently, by some 12 cm of it: the thinner, the greater is that share. How much
      // is drawn in all is alike to a percent, so that a tenth of a width more or less would show.
      if (rule.geometry === "line") {
        // A dash has ends, too.
        expect(apart, rule.id).toBeLessThan((rule.draw.dash ? 0.5 : 0.37) / rule.draw.width);
        expect(Math.abs(more), rule.id).toBeLessThan(0.015);
      } else if (rule.geometry === "point") {
        // The fast one's discs are wider by what it rounds, at most 11 cm.
        expect(apart, rule.id).toBeLessThan(0.24 / rule.draw.radius);
        expect(more, rule.id).toBeGreaterThan(0);
        expect(more, rule.id).toBeLessThan(0.22 / rule.draw.radius);
      } else {
        expect(apart, rule.id).toBeLessThan(0.01);
        expect(Math.abs(more), rule.id).toBeLessThan(0.002);
      }
    }
  });

  test("every rule draws its intensity, in its channel, and nothing elsewhere", async () => {
    expect(rasterizer.channels).toEqual(profile.channels.map(({ name }) => name));
    expect(rasterizer.channels).toHaveLength(12);
    for (const [channel, { rules }] of profile.channels.entries()) {
      for (const rule of rules) {
        const [tile] = (await rasterizer.render(placeOf(rule), [ANCHOR])) as [Uint8Array];
        const drawn = profile.channels.map((_, at) => Math.max(...plane(tile, at)));
        const { intensity } = rule.draw;
        const outline = rule.geometry === "line" ? undefined : rule.draw.outline?.intensity;
        const dashed = rule.geometry === "line" && rule.draw.dash !== undefined;
        for (const [at, most] of drawn.entries()) {
          if (at !== channel) expect(most, `${rule.id} in channel ${at}`).toBe(0);
          else if (dashed) expect(most, rule.id).toBeGreaterThan(intensity / 2);
          else expect(most, rule.id).toBe(Math.max(intensity, outline ?? 0));
        }
        if (!dashed) expect(tile[channel * 128 * 128 + 64 * 128 + 64], rule.id).toBe(intensity);
      }
    }
  });
});

describe("what is no land is not filled, and what tells of a place is drawn", () => {
  const area = box(-40, -40, 40, 40);
  const hole = box(-20, -20, 20, 20);
  const road: Point[] = [
    [-90, 0.5],
    [90, 0.5],
  ];
  const MIDDLE: Point = [0.5, 0.5];
  const EDGE: Point = [-40.5, 10];
  const INNER: Point = [-19.5, 10];
  /** What is drawn of an object, where: in one channel, and in no other. */
  const cases: [
    string,
    Pick<Thing, "tags" | "hole">,
    readonly Point[],
    string,
    (readonly [Point, number])[],
  ][] = [
    ...[
      { leisure: "nature_reserve" },
      { leisure: "nature_reserve", boundary: "protected_area" },
      { boundary: "national_park" },
      { boundary: "protected_area", protect_class: "5" },
    ].map((tags): (typeof cases)[number] => [
      JSON.stringify(tags),
      { tags },
      area,
      "green_leisure",
      [
        [MIDDLE, 0],
        [EDGE, 255],
      ],
    ]),
    ...[
      { landuse: "military" },
      { military: "training_area" },
      { landuse: "military", military: "base" },
    ].map((tags): (typeof cases)[number] => [
      JSON.stringify(tags),
      { tags },
      area,
      "barriers_power_aeroway",
      [
        [MIDDLE, 0],
        [EDGE, 190],
      ],
    ]),
    [
      "the inner border of a relation",
      { tags: { leisure: "nature_reserve" }, hole },
      area,
      "green_leisure",
      [
        [MIDDLE, 0],
        [[-30, 10], 0],
        [INNER, 255],
        [EDGE, 255],
      ],
    ],
    ["a glacier", { tags: { natural: "glacier" } }, area, "water", [[MIDDLE, 60]]],
    ["mud", { tags: { natural: "mud" } }, area, "water", [[MIDDLE, 90]]],
    ["land of a church", { tags: { landuse: "religious" } }, area, "amenities_shops", [[MIDDLE, 100]]],
    ["land of a school", { tags: { landuse: "education" } }, area, "amenities_shops", [[MIDDLE, 100]]],
    ["a busway", { tags: { highway: "busway" } }, road, "rail", [[MIDDLE, 160]]],
    ["a ferry", { tags: { route: "ferry" } }, road, "rail", [[MIDDLE, 100]]],
    ["a cable car", { tags: { aerialway: "cable_car" } }, road, "rail", [[MIDDLE, 170]]],
    ["rails without trains", { tags: { railway: "disused" } }, road, "rail", [[MIDDLE, 90]]],
    ["a cliff", { tags: { natural: "cliff" } }, road, "barriers_power_aeroway", [[MIDDLE, 170]]],
    ["a weir", { tags: { waterway: "weir" } }, road, "barriers_power_aeroway", [[MIDDLE, 150]]],
  ];
  const nothing: Thing["tags"][] = [
    { boundary: "administrative" },
    { boundary: "protected_area", protect_class: "12" },
    { "building:part": "yes" },
    { amenity: "parking", parking: "underground" },
    { railway: "abandoned" },
  ];
  const placeOf = (at: number): Place => ({ lon: 20 + at / 100, lat: 40 });
  let profile: Profile;
  let map: TestMap;
  const renderers: Rasterizer[] = [];

  beforeAll(async () => {
    profile = await loadProfile(STYLE);
    map = await createMap("belongs");
    const drawn = cases.map(
      ([, thing, points], at): Thing => ({ at: placeOf(at), points, ring: points === area, ...thing }),
    );
    const left = nothing.map(
      (tags, at): Thing => ({ at: placeOf(cases.length + at), tags, points: area, ring: true }),
    );
    await map.load([...drawn, ...left], profile);
    for (const kind of ["exact", "fast"] as const)
      renderers.push(
        await createRasterizer({ databaseUrl: map.databaseUrl, profile, kind, outside: "empty" }),
      );
  });
  afterAll(async () => {
    await Promise.all(renderers.map((each) => each.close()));
    await map?.drop();
  });

  test.each(cases.map(([name, , , channel, points], at) => [name, at, channel, points] as const))(
    "%s",
    async (_, at, channel, points) => {
      for (const { channels, source, render } of renderers) {
        const [tile] = (await render(placeOf(at), [ANCHOR])) as [Uint8Array];
        for (const [point, value] of points) {
          const found = pixel(tile, channels.indexOf(channel), point) as number;
          // The fast one's pictures are resampled, so lines of two pixels lose some of their brightness.
          expect(Math.abs(found - value), `${source.renderer}: ${found} for ${value}`).toBeLessThanOrEqual(
            source.renderer.endsWith("fast") ? value * 0.12 : 0,
          );
        }
        for (const [other, name] of channels.entries())
          if (name !== channel) expect(Math.max(...plane(tile, other)), name).toBe(0);
      }
    },
  );

  test.each(nothing.map((tags, at) => [JSON.stringify(tags), at] as const))("%s: nothing", async (_, at) => {
    for (const { render } of renderers) {
      const [tile] = (await render(placeOf(cases.length + at), [ANCHOR])) as [Uint8Array];
      expect(tile.some((value) => value > 0)).toBe(false);
    }
  });
});
