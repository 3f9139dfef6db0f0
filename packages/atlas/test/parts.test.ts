import sharp from "sharp";
import { expect, test } from "vitest";
import { chart } from "../src/chart.ts";
import { tileGrid } from "../src/grid.ts";
import { inView, layOut } from "../src/ground.ts";
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
