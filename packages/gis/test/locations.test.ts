import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FarmError, Location } from "@loc2vec/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ReadOptions, readLocations } from "../src/index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gis-locations-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(name: string, text: string, options?: ReadOptions): Promise<Location[]> {
  const path = join(folder, name);
  await writeFile(path, text);
  return Array.fromAsync(readLocations(path, options));
}

describe("what is read", () => {
  test("CSV: column names in any case and order, quoted labels, a byte order mark, empty cells", async () => {
    const text =
      '\uFEFFLabel,Latitude,lng,weight,kind\r\n"Café, ""x""",60.1,24.9,2,transport\r\n,60.2,25,,\r\n';
    expect(await read("a.csv", text)).toEqual([
      { lon: 24.9, lat: 60.1, kind: "transport", weight: 2, label: 'Café, "x"' },
      { lon: 25, lat: 60.2, kind: "visit" },
    ]);
  });

  test("GeoJSON and NDJSON, plain or features", async () => {
    const feature = {
      type: "Feature",
      geometry: { type: "Point", coordinates: [7.4, 43.7] },
      properties: { label: "port" },
    };
    const wanted = { lon: 7.4, lat: 43.7, kind: "visit", label: "port" };
    const collection = JSON.stringify({ type: "FeatureCollection", features: [feature] });
    expect(await read("a.geojson", collection)).toEqual([wanted]);
    const lines = `${JSON.stringify(feature)}\n\n{"x": 1, "y": 2, "kind": "transport"}\n`;
    expect(await read("a.ndjson", lines)).toEqual([wanted, { lon: 1, lat: 2, kind: "transport" }]);
  });
});

describe("what is refused, by file and row", () => {
  const helsinki = [24.9, 60.1, 25, 60.2] as const;
  test.each([
    ["nan.csv", "lon,lat\n1,2\nNaN,2\n", /^nan\.csv, row 3: longitude "NaN" is not a number/],
    ["gap.csv", "lon,lat\n1,\n", /^gap\.csv, row 2: latitude is missing/],
    ["far.csv", "lon,lat\n181,2\n", /row 2: longitude 181 is not within ±180/],
    ["pole.csv", "lon,lat\n1,85.5\n", /row 2: latitude 85.5 is beyond ±85/],
    ["kind.csv", "lon,lat,kind\n1,2,walk\n", /row 2: unknown kind "walk"/],
    ["weight.csv", "lon,lat,weight\n1,2,-1\n", /row 2: weight -1 is negative/],
    ["head.csv", "a,lat\n1,2\n", /row 1: no column for lon/],
    ["twice.csv", "lon,lng,lat\n1,1,2\n", /row 1: two columns for lon/],
    ["empty.csv", "", /empty\.csv: holds no location/],
    ["header.csv", "lon,lat\n", /header\.csv: holds no location/],
    ["bad.ndjson", '{"lon":1,"lat":2}\n{"lon":\n', /bad\.ndjson, row 2: not JSON/],
    [
      "line.geojson",
      '{"features":[{"type":"Feature","geometry":{"type":"LineString"}}]}',
      /feature 1: geometry LineString is not a Point/,
    ],
    ["no.geojson", "[1]", /not a GeoJSON FeatureCollection/],
    ["a.xlsx", "x", /a\.xlsx: unknown kind of file/],
  ])("%s", async (name, text, message) => {
    await expect(read(name, text)).rejects.toThrowError(message);
  });

  test("swapped columns: by range, or by the imported area", async () => {
    const mend = (promise: Promise<unknown>) =>
      promise.then(
        () => "",
        (error: FarmError) => error.mend,
      );
    expect(await mend(read("s.csv", "lon,lat\n37.5,126.9\n"))).toMatch(/swap/);
    expect(await mend(read("s.csv", "lon,lat\n60.15,24.95\n", { bbox: helsinki }))).toMatch(/swap/);
    expect(await read("s.csv", "lon,lat\n24.95,60.15\n", { bbox: helsinki })).toHaveLength(1);
  });

  test("rows before the fault are already delivered: the file is streamed", async () => {
    const path = join(folder, "stream.csv");
    await writeFile(path, "lon,lat\n1,2\nx,y\n");
    const rows = readLocations(path);
    expect((await rows.next()).value).toEqual({ lon: 1, lat: 2, kind: "visit" });
    await expect(rows.next()).rejects.toThrowError(/row 3/);
  });
});
