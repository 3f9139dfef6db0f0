import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LabelColumn, type LabelOptions, readLabels } from "../src/index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gis-labels-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(
  name: string,
  content: string,
  column: string,
  options?: LabelOptions,
): Promise<LabelColumn> {
  const path = join(folder, name);
  await writeFile(path, content);
  return readLabels(path, column, options);
}

const CSV = "id,lon,lat,kind,price,weight\n1,8.5,47.1,hut,80,\n2,8.6,47.2,,1e2,-3\n3,8.7,47.3,inn,,x\n";

test("words are classes, numbers are numbers; a row without a value has no label", async () => {
  // `kind` and `weight` are columns of their own here, whatever they mean in lists of locations.
  expect(await read("a.csv", CSV, "kind")).toEqual({
    file: "a.csv",
    column: "kind",
    kind: "classes",
    isLogarithm: false,
    bad: { count: 0, first: [] },
    points: [
      { lon: 8.5, lat: 47.1, label: "hut" },
      { lon: 8.7, lat: 47.3, label: "inn" },
    ],
  });
  expect(await read("a.csv", CSV, "PRICE")).toMatchObject({
    kind: "numbers",
    points: [
      { lon: 8.5, lat: 47.1, label: 80 },
      { lon: 8.6, lat: 47.2, label: 100 },
    ],
  });
  const logarithms = await read("a.csv", CSV, "price", { logarithm: true });
  expect(logarithms.isLogarithm).toBe(true);
  expect(logarithms.points.map(({ label }) => label)).toEqual([Math.log(80), Math.log(100)]);
  // Decimal commas, where the coordinates have them.
  const commas = "lon;lat;price\n8,5;47,1;1,234\n8,6;47,2;2,5\n";
  expect((await read("a.csv", commas, "price")).points.map(({ label }) => label)).toEqual([1.234, 2.5]);
});

test("a name as it is written wins over one in another case; two of these are one too many", async () => {
  const text = "lon,lat,Type,type\n1,2,a,b\n3,4,c,d\n";
  expect((await read("a.csv", text, "type")).points.map(({ label }) => label)).toEqual(["b", "d"]);
  expect((await read("a.csv", text, "Type")).points.map(({ label }) => label)).toEqual(["a", "c"]);
  await expect(read("a.csv", text, "TYPE")).rejects.toMatchObject({
    code: "input",
    message: 'a.csv, row 1: two columns for label: "Type" and "type"',
  });
});

test("GeoJSON and lines of JSON have labels among their properties and keys", async () => {
  const point = (lon: number, properties: object) => ({
    type: "Feature",
    geometry: { type: "Point", coordinates: [lon, 2] },
    properties,
  });
  const features = [point(1, { size: 3, label: "x" }), point(2, {}), point(3, { size: 4.5 })];
  const collection = JSON.stringify({ type: "FeatureCollection", features });
  const points = [
    { lon: 1, lat: 2, label: 3 },
    { lon: 3, lat: 2, label: 4.5 },
  ];
  expect(await read("a.geojson", collection, "size")).toMatchObject({ kind: "numbers", points });
  const lines = features.map((feature) => JSON.stringify(feature)).join("\n");
  expect(await read("a.geojsonl", lines, "size")).toMatchObject({ kind: "numbers", points });
  const objects = '{"lon":1,"lat":2,"size":"big"}\n{"lon":3,"lat":2,"size":"small"}\n';
  expect(await read("a.ndjson", objects, "size")).toMatchObject({
    kind: "classes",
    points: [{ label: "big" }, { label: "small" }],
  });
});

const many = Array.from({ length: 12 }, (_, i) => `${i},${i},${i + 1}`).join("\n");

test.each([
  [
    "no such column",
    "lon,lat,price\n1,2,3\n",
    "prize",
    {},
    'a.csv, row 1: no column "prize" among lon, lat, price',
    "name the one that holds the labels",
  ],
  [
    "nothing in it",
    "lon,lat,price\n1,2,\n3,4,\n",
    "price",
    {},
    "a.csv, column price: none of 2 rows has a value",
  ],
  ["nothing at all", "lon,lat,price\n", "price", {}, "a.csv: holds no location"],
  ["an empty file", "", "price", {}, "a.csv: holds no location"],
  ["no coordinates", "x,name\n1,2\n", "name", {}, "a.csv, row 1: no column for lon among x, name"],
  [
    "places that are none",
    "lon,lat,price\n1,2,3\n200,4,5\n",
    "price",
    {},
    "a.csv, row 3: longitude 200 is not within ±180",
  ],
  [
    "one class",
    "lon,lat,type\n1,2,a\n3,4,a\n",
    "type",
    {},
    'a.csv, column type: all values are "a"',
    "there is nothing to learn: name another",
  ],
  [
    "a word among numbers",
    `lon,lat,price\n${many}\n5,5,n/a\n`,
    "price",
    {},
    'a.csv, row 14: price "n/a" is not a number; 12 values are numbers',
    "leave such cells empty",
  ],
  [
    "a logarithm of nothing",
    "lon,lat,price\n1,2,3\n3,4,0\n5,6,-1\n",
    "price",
    { logarithm: true },
    "a.csv, row 3: price 0, the first of 2, has no logarithm",
    "leave such cells empty, or learn the numbers themselves",
  ],
  [
    "a logarithm of words",
    "lon,lat,type\n1,2,a\n3,4,b\n",
    "type",
    { logarithm: true },
    'a.csv, row 2: type "a" is not a number, and has no logarithm',
    "name a column of numbers",
  ],
] as const)("%s is named, with what mends it", async (_, content, column, options, message, mend) => {
  await expect(read("a.csv", content, column, options)).rejects.toMatchObject({
    code: "input",
    message,
    mend: mend ?? expect.stringMatching(/./),
  });
});

test("rows that cannot be used are left out when it is told so, and named", async () => {
  const text = "lon,lat,price\n1,2,3\n1,89,4\n1,3,5\n";
  await expect(read("a.csv", text, "price")).rejects.toMatchObject({
    mend: expect.stringMatching(/--skip-bad 1/),
  });
  const column = await read("a.csv", text, "price", { skipBad: 1 });
  expect(column.points.map(({ label }) => label)).toEqual([3, 5]);
  expect(column.bad).toEqual({ count: 1, first: [expect.stringMatching(/^row 3: latitude 89/)] });
});

test("it stops when it is told to", async () => {
  const stopped = AbortSignal.abort(new Error("enough"));
  await expect(read("a.csv", CSV, "kind", { signal: stopped })).rejects.toThrowError("enough");
});
