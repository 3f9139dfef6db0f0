import { HALF_WORLD_M } from "@loc2vec/core";
import { frameOf } from "@loc2vec/rasterizer";
import sharp from "sharp";
import { expect, test } from "vitest";
import { createLru, meets } from "../src/map-pictures.ts";
import { ask, get, serve, testWorld } from "./world.ts";

const world = testWorld("server_tiles");

const rgb = async (png: Uint8Array) => {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
};

/** How many map tiles there are from the west and from the north to a place, with what is behind the point. */
function tilesTo(lon: number, lat: number, z: number): { x: number; y: number } {
  const { x, y } = frameOf(lon, lat);
  const tile = (2 * HALF_WORLD_M) / 2 ** z;
  return { x: (x + HALF_WORLD_M) / tile, y: (HALF_WORLD_M - y) / tile };
}

test("a map tile shows what a location's tile shows, where it lies", async () => {
  const { url } = await serve(world);
  /** Mean difference of the colours of a location's tile and of the map at a place, 0 to 255. */
  const difference = async (location: number, { lon, lat }: { lon: number; lat: number }, z: number) => {
    const tile = await rgb((await ask(`${url}/v1/locations/${location}/tile.png`)).bytes);
    const { kx, ky } = frameOf(lon, lat);
    const middle = tilesTo(lon, lat, z);
    const perMercator = 2 ** z / (2 * HALF_WORLD_M);
    const pictures = new Map<string, Awaited<ReturnType<typeof rgb>>>();
    let [sum, count] = [0, 0];
    for (let row = 4; row < 128; row += 3) {
      for (let column = 4; column < 128; column += 3) {
        const [east, north] = [((column + 0.5) / 128) * 200 - 100, 100 - ((row + 0.5) / 128) * 200];
        const [x, y] = [middle.x + east * kx * perMercator, middle.y - north * ky * perMercator];
        const key = `${z}/${Math.floor(x)}/${Math.floor(y)}`;
        let picture = pictures.get(key);
        if (picture === undefined) {
          const { status, bytes } = await ask(`${url}/v1/tile/${key}.png`);
          if (status !== 200) continue;
          picture = await rgb(bytes);
          pictures.set(key, picture);
        }
        const at = 256 * Math.floor((y % 1) * 256) + Math.floor((x % 1) * 256);
        for (let k = 0; k < 3; k++)
          sum += Math.abs(
            (picture.data[3 * at + k] as number) - (tile.data[3 * (128 * row + column) + k] as number),
          );
        count += 3;
      }
    }
    return sum / count;
  };
  for (const location of [0, 3, 11, 40]) {
    const place = await get(`${url}/v1/locations/${location}`);
    const elsewhere = await get(`${url}/v1/locations/${location + 7}`);
    for (const z of [16, 17]) {
      const [here, there] = [await difference(location, place, z), await difference(location, elsewhere, z)];
      expect(here, `${location} at ${z}`).toBeLessThan(8);
      expect(here, `${location} at ${z}`).toBeLessThan(there / 3);
    }
  }
});

test("it is 256 pixels wide at every zoom, kept, and not sent to who has it", async () => {
  const { url } = await serve(world);
  const { lon, lat } = await get(`${url}/v1/locations/3`);
  for (let z = 10; z <= 19; z++) {
    const { x, y } = tilesTo(lon, lat, z);
    const path = `${url}/v1/tile/${z}/${Math.floor(x)}/${Math.floor(y)}.png`;
    const { status, headers, bytes } = await ask(path);
    expect([z, status, headers.get("content-type")]).toEqual([z, 200, "image/png"]);
    const { width, height, data } = await rgb(bytes);
    expect([width, height]).toEqual([256, 256]);
    // There is more than land on it.
    expect(
      new Set(Array.from({ length: 65_536 }, (_, i) => data.subarray(3 * i, 3 * i + 3).join())).size,
    ).toBeGreaterThan(5);
    const etag = headers.get("etag") as string;
    const again = await ask(path, { headers: { "if-none-match": `"other", W/${etag}` } });
    expect([again.status, again.bytes.length]).toEqual([304, 0]);
    expect((await ask(path)).bytes).toEqual(bytes);
  }
  const { map } = await get(`${url}/v1/model`);
  for (const [path, status, code] of [
    ["16/0/0", 404, "beyond-map"],
    ["10/1024/300", 404, "beyond-map"],
    ["9/291/148", 400, "bad-input"],
    ["20/0/0", 400, "bad-input"],
    ["16/-1/0", 400, "bad-input"],
  ] as const) {
    const answer = await ask(`${url}/v1/tile/${path}.png`);
    expect([path, answer.status, answer.json.error.code]).toEqual([path, status, code]);
    if (code === "beyond-map") expect(answer.json.error.box).toEqual(map.box);
  }
});

test("a map tile and a box meet over the antimeridian, too; what was used longest ago goes first", () => {
  expect(meets(10, 1023, 500, [179.9, 0, -179.9, 10])).toBe(true);
  expect(meets(10, 0, 500, [179.9, 0, -179.9, 10])).toBe(true);
  expect(meets(10, 2, 500, [179.9, 0, -179.9, 10])).toBe(false);
  expect(meets(10, 512, 511, [0.1, 0.1, 0.2, 0.2])).toBe(true);
  expect(meets(10, 512, 510, [0.1, 0.1, 0.2, 0.2])).toBe(false);
  const lru = createLru<string>(5, (value) => value.length);
  for (const value of ["aa", "bb"]) lru.set(value, value);
  expect(lru.get("aa")).toBe("aa");
  lru.set("cc", "cc");
  expect([lru.get("aa"), lru.get("bb"), lru.get("cc")]).toEqual(["aa", undefined, "cc"]);
  lru.set("cc", "c");
  lru.set("dd", "dd");
  expect([lru.get("aa"), lru.get("cc"), lru.get("dd")]).toEqual(["aa", "c", "dd"]);
});
