import type { Profile } from "@loc2vec/gis";
import sharp from "sharp";
import { expect, test } from "vitest";
import { chart } from "../src/chart.ts";
import { openScene, turnOf } from "../src/cloud.ts";
import { diverging, dotMap } from "../src/dotmap.ts";
import { tileGrid } from "../src/grid.ts";
import { inView, layOut } from "../src/ground.ts";
import { heatPicture } from "../src/heat.ts";
import { beyondUsual, commonest, usualOf } from "../src/objects.ts";
import { blank } from "../src/picture.ts";
import { rasterOf, words, wrap } from "../src/svg.ts";

test("words below 12 px are refused, and what HTML would read is escaped", () => {
  expect(() => words("small", 0, 0, { size: 11 })).toThrowError(/words of 11 px in a picture: small/);
  expect(words("a < b & c", 0, 0)).toContain(">a &lt; b &amp; c<");
});

test("words are wrapped to a width, and a long one keeps a line of its own", () => {
  expect(wrap("one two three four", 60)).toEqual(["one two", "three", "four"]);
  expect(wrap("barriers_power_aeroway is long", 60)[0]).toBe("barriers_power_aeroway");
});

test("a grid is no wider than the page, however many tiles are in a row, and its tiles are as they were", async () => {
  const picture = blank(16, 16, [10, 200, 30]);
  const cells = Array.from({ length: 15 }, () => ({ picture, alt: "green", as: "palette" as const }));
  const { width, height, text } = await tileGrid({ title: "t", description: "d", rows: [{ cells }] });
  expect(width).toBeLessThanOrEqual(1100);
  expect(height).toBeGreaterThan(50);
  const [, base64 = ""] = /data:image\/png;base64,([^"]+)/.exec(text) ?? [];
  const { data, info } = await sharp(Buffer.from(base64, "base64"))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([16, 16]);
  expect([...data.subarray(0, 3)]).toEqual([10, 200, 30]);
});

test("a raster of too many bytes loses quality until it fits", async () => {
  const noisy = blank(256, 256);
  for (let i = 0; i < noisy.data.length; i++) noisy.data[i] = (i * 7919) % 251;
  const sizeOf = async (most: number) => (await rasterOf(noisy, { as: "webp", most })).href.length;
  expect(await sizeOf(20_000)).toBeLessThan(await sizeOf(1e9));
});

test("a map has north on top and one scale, over the antimeridian too; what is far off does not shrink it", () => {
  const lon = Float64Array.from({ length: 400 }, (_, i) => ((179.9 + (i % 20) / 100 + 180) % 360) - 180);
  const lat = Float64Array.from({ length: 400 }, (_, i) => 60 + Math.floor(i / 20) / 100);
  const map = layOut({ lon, lat }, 100);
  expect(map.width).toBeLessThanOrEqual(1100);
  expect(map.height).toBeLessThanOrEqual(820);
  // From west to east, and from south to north.
  expect(map.x[19]).toBeGreaterThan(map.x[0] as number);
  expect(map.y[380]).toBeLessThan(map.y[0] as number);
  // At 60° a degree of longitude is half as long as one of latitude.
  const [across, along] = [
    (map.x[19] as number) - (map.x[0] as number),
    (map.y[0] as number) - (map.y[380] as number),
  ];
  expect(across / along).toBeCloseTo(Math.cos((60.095 * Math.PI) / 180), 2);
  expect(along * map.metresPerPixel).toBeCloseTo(0.19 * 111_195, -2);
  const wide = layOut({ lon: Float64Array.from([...lon, 0]), lat: Float64Array.from([...lat, 0]) }, 100);
  expect(wide.metresPerPixel).toBeLessThan(1.3 * map.metresPerPixel);
  expect(inView(wide, 200)).toBe(true);
  expect(inView(wide, 400)).toBe(false);
  const one = layOut({ lon: Float64Array.of(5), lat: Float64Array.of(50) }, 100);
  expect([one.x[0], one.y[0]]).toEqual([one.width / 2, one.height / 2]);
});

test("a chart has round ticks, and no more points than can be told apart", () => {
  const points = Array.from({ length: 5000 }, (_, i) => [i + 1, 3.3 - i / 5000] as const);
  const { text } = chart({ title: "t", description: "d", lines: [{ colour: "#000", width: 1, points }] });
  for (const tick of ["0", "1,000", "5,000", "4"]) expect(text).toContain(`>${tick}</text>`);
  const [, places = ""] = /points="([^"]+)"/.exec(text) ?? [];
  expect(places.split(" ").length).toBeLessThanOrEqual(600);
  expect(places.split(" ").length).toBeGreaterThan(300);
});

const at = ({ data, width }: { data: Uint8Array; width: number }, x: number, y: number): number[] => [
  ...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
];

test("in a cloud the near tile lies over the far one, and from behind it is the other way round", async () => {
  const tiles = [blank(8, 8, [250, 0, 0]), blank(8, 8, [0, 250, 0])];
  // A row along the line of sight, and two points at the sides that keep it apart from the edges.
  const side = blank(8, 8, [0, 0, 250]);
  const cloud = { positions: [0, 0, -1, 0, 0, 1, -1, 0, 0, 1, 0, 0], tiles: [...tiles, side, side] };
  const scene = openScene(cloud, { width: 120, height: 120, largest: 60, angles: [0, Math.PI] });
  const strongest = (angle: number): number[] => {
    const { data } = scene.draw(angle);
    return [0, 1].map((k) => data.filter((value, i) => i % 3 === k && value > 80).length);
  };
  const [front, back] = [strongest(0), strongest(Math.PI)];
  expect(front[0]).toBeGreaterThan(2 * (front[1] as number));
  expect(back[1]).toBeGreaterThan(2 * (back[0] as number));
});

test("a turn has a frame for each angle, and loses quality rather than bytes too many", async () => {
  const noisy = blank(64, 64);
  for (let i = 0; i < noisy.data.length; i++) noisy.data[i] = (i * 7919) % 251;
  const positions = Array.from({ length: 90 }, (_, i) => Math.sin(i * i));
  const angles = [0, 1, 2, 3];
  const cloud = { positions, tiles: Array.from({ length: 30 }, () => noisy) };
  const scene = openScene(cloud, { width: 160, height: 120, largest: 40, angles });
  const good = await turnOf(scene, angles, { most: 1e9, delay: 50 });
  const { pages, width, pageHeight, delay, loop } = await sharp(Buffer.from(good), {
    animated: true,
  }).metadata();
  expect({ pages, width, pageHeight, delay, loop }).toEqual({
    ...{ pages: 4, width: 160, pageHeight: 120, delay: [50, 50, 50, 50], loop: 0 },
  });
  expect((await turnOf(scene, angles, { most: good.length / 2, delay: 50 })).length).toBeLessThan(
    good.length / 2,
  );
});

test("a small map is in the middle of its square, west at the left and north on top", () => {
  const places = { lon: Float64Array.of(10, 10.1, 10.05), lat: Float64Array.of(50.1, 50, 50.05) };
  const map = dotMap(layOut(places, 0), [0, 1], Uint8Array.of(255, 0, 0, 0, 255, 0), {
    side: 101,
    radius: 3,
  });
  const centres = [0, 1].map((k) => {
    const own = Array.from({ length: 101 * 101 }, (_, i) => i).filter((i) => map.data[3 * i + k] === 255);
    return [
      own.reduce((sum, i) => sum + (i % 101), 0),
      own.reduce((sum, i) => sum + Math.floor(i / 101), 0),
    ].map((sum) => sum / own.length);
  }) as [[number, number], [number, number]];
  expect(centres[0][0]).toBeLessThan(centres[1][0]);
  expect(centres[0][1]).toBeLessThan(centres[1][1]);
  expect((centres[0][0] + centres[1][0]) / 2).toBeCloseTo(50, -1);
});

test("colours of heat get lighter, and diverging ones go from blue to red", () => {
  const light = [0, 0.25, 0.5, 1].map((value) => at(heatPicture([value]), 0, 0).reduce((a, b) => a + b));
  expect(light).toEqual(light.toSorted((a, b) => a - b));
  expect(diverging(0)[2]).toBeGreaterThan(diverging(0)[0] as number);
  expect(diverging(1)[0]).toBeGreaterThan(diverging(1)[2] as number);
});

test("what covers a tile is told by channels’ short titles, and what is beyond the usual in deviations", () => {
  const channel = (title: string) => ({
    ...{ name: "a", title, colour: [0, 0, 0] as const, z: 0, rules: [] },
  });
  const profile = { channels: [channel("Water: lakes and rivers"), channel("Roads")] } as unknown as Profile;
  expect(commonest({ profile }, [0.126, 0.5], 3)).toBe("roads 50\u00a0%, water 13\u00a0%");
  expect(commonest({ profile }, [0.001, 0.5], 3)).toBe("roads 50\u00a0%");
  expect(commonest({ profile }, [0, 0], 3)).toBe("nothing");
  const cover = {
    locations: [3, 4, 5, 6],
    shares: [
      [1, 0.2],
      [0, 0.2],
      [0, 0.2],
      [1, 0.2],
    ],
  };
  const usual = usualOf(cover);
  expect(usual).toEqual({ means: [0.5, expect.closeTo(0.2)], deviations: [0.5, expect.closeTo(0)] });
  expect(beyondUsual(cover, [0, 3], usual)[0]).toBe(1);
});
