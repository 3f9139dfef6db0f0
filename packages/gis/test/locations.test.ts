import { execFile } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import type { FarmError, Location } from "@loc2vec/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocationSource, openLocationFile } from "../src/index.ts";
import type { ReadOptions } from "../src/locations/survey.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gis-locations-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function open(name: string, content: string | Buffer, options?: ReadOptions): Promise<LocationSource> {
  const path = join(folder, name);
  await writeFile(path, content);
  return openLocationFile(path, options);
}

async function read(name: string, content: string | Buffer, options?: ReadOptions): Promise<Location[]> {
  const source = await open(name, content, options);
  const locations: Location[] = [];
  for await (const location of source.read()) locations.push(location);
  expect(source.count).toBe(locations.length);
  return locations;
}

/** Longitude, latitude and label of each. */
const rows = async (name: string, content: string | Buffer, options?: ReadOptions) =>
  (await read(name, content, options)).map(({ lon, lat, label }) =>
    label === undefined ? [lon, lat] : [lon, lat, label],
  );

const failure = (promise: Promise<unknown>): Promise<FarmError> =>
  promise.then(
    () => expect.unreachable("it was read"),
    (error: FarmError) => error,
  );

const utf16 = (text: string, order: "le" | "be"): Buffer => {
  const bytes = Buffer.from(text, "utf16le");
  return order === "le" ? bytes : bytes.swap16();
};

const point = (lon: number, lat: number, properties: unknown = {}) => ({
  type: "Feature",
  geometry: { type: "Point", coordinates: [lon, lat] },
  properties,
});
const collection = (features: readonly unknown[], more: object = {}) =>
  JSON.stringify({ type: "FeatureCollection", ...more, features });

describe("CSV", () => {
  test("column names in any case and order, quoted labels, a byte order mark, empty cells", async () => {
    const text =
      '\uFEFFLabel,Latitude,lng,weight,kind\r\n"Café, ""x""",60.1,24.9,2,transport\r\n,60.2,25,,\r\n';
    expect(await read("a.csv", text)).toEqual([
      { lon: 24.9, lat: 60.1, kind: "transport", weight: 2, label: 'Café, "x"' },
      { lon: 25, lat: 60.2, kind: "visit" },
    ]);
  });

  test.each([
    ["a header with CRLF, rows with LF", "lon,lat,label\r\n1,2,a\n3,4,b\n"],
    ["a header with LF, rows with CRLF", "lon,lat,label\n1,2,a\r\n3,4,b\r\n"],
    ["CR alone", "lon,lat,label\r1,2,a\r3,4,b\r"],
    ["all three", "lon,lat,label\r1,2,a\r\n3,4,b\n"],
    ["semicolons", "lon;lat;label\n1;2;a\n3;4;b\n"],
    ["tabs", "lon\tlat\tlabel\n1\t2\ta\n3\t4\tb"],
    ["bars", "lon|lat|label\n1|2|a\n3|4|b"],
    ["a sep= line", "sep=,\nlon,lat,label\n1,2,a\n3,4,b\n"],
    ["a quoted sep= line, and semicolons", '"sep=;"\r\nlon;lat;label\r\n1;2;a\r\n3;4;b'],
    ["rows without a value", 'lon,lat,label\n\n1,2,a\n,,\n  , ,\n3,4,b\n"","",""\n,,\n\n'],
    ["empty rows before the header", ",,\n\nlon,lat,label\n1,2,a\n3,4,b"],
    ["spaces, quotes and marks around names", ' "Lon" , \uFEFFLAT,\'label\'\n 1 , "2" ,a\n3,4, b '],
    ["cells without a name at the ends", "lon,lat,label,,\n1,2,a,,\n3,4,b,,,\n"],
    ["pixel columns beside", "x,lat,y,lon,label\n7,2,7,1,a\n8,4,8,3,b\n"],
    ["x and y alone", "Y,X,Label\n2,1,a\n4,3,b\n"],
    ["UTF-16, little-endian", utf16("\uFEFFlon,lat,label\r\n1,2,a\r\n3,4,b", "le")],
    ["UTF-16, big-endian", utf16("\uFEFFlon,lat,label\r\n1,2,a\r\n3,4,b", "be")],
    ["UTF-16, little-endian, unmarked", utf16("lon\tlat\tlabel\n1\t2\ta\n3\t4\tb", "le")],
    ["UTF-16, big-endian, unmarked", utf16("lon;lat;label\n1;2;a\n3;4;b", "be")],
    ["gzip, in two members", Buffer.concat([gzipSync("lon,lat,label\n1,"), gzipSync("2,a\n3,4,b\n")])],
  ])("%s", async (_, content) => {
    expect(await rows("a.csv", content)).toEqual([
      [1, 2, "a"],
      [3, 4, "b"],
    ]);
  });

  test("decimal commas, where commas do not separate, or in quotes", async () => {
    expect(await rows("a.csv", "lon;lat;label\n4,92936;-52,3;a\n-4,9;52;b,c\n")).toEqual([
      [4.92936, -52.3, "a"],
      [-4.9, 52, "b,c"],
    ]);
    expect(await read("a.csv", 'lon,lat,weight\n"4,929","52,344","1,500"\n')).toEqual([
      { lon: 4.929, lat: 52.344, kind: "visit", weight: 1.5 },
    ]);
    // Where coordinates have points, 1,500 may be fifteen hundred.
    expect((await failure(read("a.csv", 'lon,lat,weight\n4.9,52.3,"1,500"\n'))).message).toMatch(
      /row 2: weight "1,500" has thousands separators/,
    );
  });

  test("characters of several bytes, wherever blocks of the file are cut; nothing becomes U+FFFD", async () => {
    for (let shift = 0; shift < 4; shift++) {
      const label = `${"x".repeat(shift)}${"é€😀".repeat(9000)}`;
      for (const content of [`lon,lat,label\n1,2,${label}\n`, utf16(`lon,lat,label\n1,2,${label}\n`, "be")]) {
        expect((await read("a.csv", Buffer.from(content)))[0]?.label === label).toBe(true);
      }
    }
  });

  test("line breaks in quotes count: rows are those that an editor shows; inches are no quotes", async () => {
    const text = 'lon,lat,label\n1,2,"a\r\nb ""c"""\nx,4,d\n5,6,5" nail\n7,8,"bad" quote\n9,y,e\n';
    const { message } = await failure(read("a.csv", text));
    expect(message).toBe(
      'a.csv: 3 of 5 rows are bad: row 4: longitude "x" is not a number; row 6: its quotes do not fit; row 7: latitude "y" is not a number',
    );
    expect(await rows("a.csv", text, { skipBad: 3 })).toEqual([
      [1, 2, 'a\nb "c"'],
      [5, 6, '5" nail'],
    ]);
  });

  test("a quote after another character than the separator is part of its cell", async () => {
    expect(await rows("a.csv", 'lon;lat;label\n1;2;Rue, "Nord"\n3;4;"b; c"\n')).toEqual([
      [1, 2, 'Rue, "Nord"'],
      [3, 4, "b; c"],
    ]);
  });

  test("a CRLF that two blocks of the file share is one line break", async () => {
    for (const padding of ["", "a", "bc", "def", "ghij", "klmno", "pqrstu"]) {
      const text = `lon,lat,label${padding}\n${"1,2,a\r\n".repeat(12_000)}x,1\r\n`;
      const { bad, count } = await open("a.csv", text, { skipBad: 1 });
      expect([count, bad.first]).toEqual([12_000, ['row 12002: longitude "x" is not a number']]);
    }
  });

  test("a quote that is never closed spoils its own row alone", async () => {
    const text = `lon,lat,label\n1,2,"open\n3,4,b\n5,6,"c, d"\n${"7,8,e\n".repeat(20_000)}`;
    const source = await open("a.csv", text, { skipBad: 1 });
    expect([source.count, source.bad]).toEqual([
      20_002,
      { count: 1, first: ["row 2: its quotes do not fit"] },
    ]);
  });
});

describe("JSON", () => {
  const wanted = [
    [1, 2, "a"],
    [3, 4, "b"],
  ];
  const features = [point(1, 2, { label: "a" }), point(3, 4, { LABEL: "b" })];
  const lines = features.map((each) => JSON.stringify(each));

  test.each<[string, string, string | Buffer]>([
    ["FeatureCollection", "a.geojson", collection(features)],
    ["FeatureCollection over lines", "a.json", JSON.stringify(JSON.parse(collection(features)), null, 2)],
    ["a feature a line within one collection", "a", `{"features":[\n${lines.join(",\n")}\n]}`],
    ["features, one a line", "a.geojsonl", lines.join("\n")],
    ["objects, with CR", "a.jsonl", '{"lon":1,"lat":2,"label":"a"}\r\r{"Lng":3,"LATITUDE":"4","label":"b"}'],
    [
      "pixels beside",
      "a.ndjson",
      '{"lon":1,"lat":2,"x":12,"y":7,"label":"a"}\n{"x":3,"y":9,"lon":3,"lat":4,"label":"b"}',
    ],
    ["text sequence (RFC 8142)", "a.geojsons", lines.map((line) => `\x1e${line}\n`).join("")],
    [
      "text sequence over lines, marked",
      "a.json",
      `\uFEFF${features.map((each) => `\x1e${JSON.stringify(each, null, 1)}\r\n`).join("")}`,
    ],
    ["text sequence without line breaks", "a.txt", `\x1e${lines.join("\x1e")}`],
    ["collections, one a line", "a.ndjson", features.map((each) => collection([each])).join("\n")],
    ["array of objects", "a.json", '[{"lon":1,"lat":2,"label":"a"},\n{"lon":3,"lat":4,"label":"b"}]'],
    ["array of features, big-endian", "a.json", utf16(`[${lines.join()}]`, "be")],
    [
      "objects after each other, over lines",
      "a.json",
      '{"lon":1,\n"lat":2,\n"label":"a"}\n{"lon":3,"lat":4,\n"label":"b"}',
    ],
    ["named CSV, gzipped", "a.csv", gzipSync(collection(features))],
  ])("%s", async (_, name, content) => {
    expect(await rows(name, content)).toEqual(wanted);
  });

  test("one Feature, one geometry, several points of one Feature, heights", async () => {
    expect(await rows("a.geojson", JSON.stringify(point(1, 2, { label: "a" })))).toEqual([[1, 2, "a"]]);
    expect(await rows("a.geojson", '{"type":"Point","coordinates":[1,2,30]}')).toEqual([[1, 2]]);
    const geometries = [
      { type: "Point", coordinates: [1, 2] },
      {
        type: "MultiPoint",
        coordinates: [
          [3, 4, 5],
          [6, 7],
        ],
      },
    ];
    const gathered = { type: "GeometryCollection", geometries };
    expect(await rows("a.geojson", JSON.stringify(gathered))).toEqual([
      [1, 2],
      [3, 4],
      [6, 7],
    ]);
    const feature = { type: "Feature", properties: { label: "l" }, geometry: gathered };
    expect(await rows("a.geojson", collection([feature]))).toEqual([
      [1, 2, "l"],
      [3, 4, "l"],
      [6, 7, "l"],
    ]);
  });

  test("what has no point is a bad row each", async () => {
    const line = {
      type: "LineString",
      coordinates: [
        [1, 2],
        [3, 4],
      ],
    };
    const text = collection([
      point(1, 2),
      { type: "Feature", properties: {}, geometry: null },
      { type: "Feature", geometry: { type: "MultiPoint", coordinates: [] } },
      {
        type: "Feature",
        geometry: { type: "GeometryCollection", geometries: [{ type: "Point", coordinates: [5, 6] }, line] },
      },
      { type: "Feature", geometry: { type: "Point", coordinates: [] } },
      7,
    ]);
    expect((await failure(read("a.geojson", text))).message).toBe(
      "a.geojson: 5 of 7 rows are bad: feature 2: it has no geometry; feature 3: a MultiPoint without a point; " +
        "feature 4, geometry 2: geometry LineString is not a Point; feature 5: a Point without coordinates; feature 6: 7 is not an object",
    );
    expect(await rows("a.geojson", text, { skipBad: 5 })).toEqual([
      [1, 2],
      [5, 6],
    ]);
  });

  test("a crs that is WGS 84 is taken, another refused by name, wherever it stands", async () => {
    const crs = (name: string) => ({ crs: { type: "name", properties: { name } } });
    for (const name of [
      "urn:ogc:def:crs:OGC:1.3:CRS84",
      "urn:ogc:def:crs:EPSG::4326",
      "EPSG:4326",
      "OGC:CRS84",
    ])
      expect(await rows("a.geojson", collection(features, crs(name)))).toEqual(wanted);
    const other = crs("urn:ogc:def:crs:EPSG::3857");
    for (const [content, where] of [
      [collection([point(548734.8, 6864500.1)], other), ""],
      [`{"features":[${lines}],${JSON.stringify(other).slice(1)}`, ""],
      [`${lines[0]}\n${JSON.stringify({ ...point(1, 2), ...other })}`, ", row 2"],
    ] as const) {
      const error = await failure(read("a.geojson", content));
      expect(error.message).toBe(`a.geojson${where}: crs urn:ogc:def:crs:EPSG::3857 is not WGS 84`);
      expect(error.mend).toMatch(/reproject to WGS 84, e\.g\. ogr2ogr -t_srs EPSG:4326/);
    }
    const link = { crs: { type: "link", properties: { href: "http://x.org/3857", type: "proj4" } } };
    expect((await failure(read("a.geojson", collection(features, link)))).message).toMatch(
      /crs http:\/\/x\.org\/3857/,
    );
  });

  test("two keys for one field are a bad row", async () => {
    const text =
      '{"lng":1,"longitude":2,"lat":3}\n{"lon":1,"Lon":2,"lat":3}\n{"lon":1,"lng":5,"lat":2}\n{"x":1,"lat":2}';
    expect((await failure(read("a.ndjson", text))).message).toBe(
      'a.ndjson: 3 of 4 rows are bad: row 1: keys: two columns for lon: "lng" and "longitude"; row 2: keys: two columns for lon: "lon" and "Lon"; row 4: no key for lon among x, lat',
    );
  });

  test("where it is broken or cut off", async () => {
    const begin = `{"type":"FeatureCollection","features":[\n${lines[0]},\n`;
    expect((await failure(read("a.geojson", `${begin}{"type":"Feature","geometry":NaN}]}`))).message).toMatch(
      /^a\.geojson, row 3, after feature 1: not JSON/,
    );
    expect((await failure(read("a.geojson", `${begin}{"type":"Fea`))).message).toBe(
      "a.geojson, row 3, after feature 1: the JSON is cut off",
    );
    expect(
      (await failure(read("a.ndjson", '{"lon":1,"lat":2}\n{"lon":\n\n[1]\n{"lon":3,"lat":4}'))).message,
    ).toBe("a.ndjson: 2 of 4 rows are bad: row 2: not JSON; row 4: an array is not an object");
  });

  test("a collection on one line larger than the memory that there is", async () => {
    const path = join(folder, "large.geojson");
    const file = createWriteStream(path);
    file.write('{"type":"FeatureCollection","features":[');
    const many = 40_000;
    for (let at = 0; at < many; at++) {
      const feature = JSON.stringify(point(at / 1000, 1, { padding: "x".repeat(3000) }));
      if (!file.write(`${at === 0 ? "" : ","}${feature}`)) await once(file, "drain");
    }
    file.end("]}");
    await once(file, "finish");
    const script = `
      import { openLocationFile } from ${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)};
      const { count, read } = await openLocationFile(${JSON.stringify(path)});
      let last;
      for await (const { lon } of read()) last = lon;
      process.stdout.write(JSON.stringify([count, last]));`;
    const args = ["--max-old-space-size=48", "--input-type=module", "--eval", script];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    expect(JSON.parse(stdout)).toEqual([many, 39.999]);
  });
});

describe("what is refused as a whole", () => {
  test.each<[string, string | Buffer, RegExp, RegExp]>([
    [
      "head.csv",
      "a,lat\n1,2\n",
      /^head\.csv, row 1: no column for lon among a, lat$/,
      /name it one of lon, longitude/,
    ],
    [
      "sep.csv",
      "sep=;\n\nlon;b\n1;2",
      /^sep\.csv, row 3: no column for lat among lon, b$/,
      /one of lat, latitude, y/,
    ],
    [
      "twice.csv",
      "lng,longitude,lat\n1,1,2\n",
      /row 1: two columns for lon: "lng" and "longitude"/,
      /keep or rename/,
    ],
    ["case.csv", "lat,lon,Lon\n1,1,2\n", /row 1: two columns for lon: "lon" and "Lon"/, /keep or rename/],
    ["half.csv", "x,lat\n1,2\n", /no column for lon among x, lat/, /name it/],
    ["blanks.csv", "lon lat\n1 2\n", /row 1: one column only, lon lat/, /separate columns by commas/],
    [
      "values.csv",
      "4.9,52.3\n4.8,52.2\n",
      /row 1: no header, but values \(4\.9, 52\.3\)/,
      /name the columns/,
    ],
    ["empty.csv", "", /^empty\.csv: holds no location$/, /add at least one row/],
    ["header.csv", "lon,lat\n,\n", /^header\.csv: holds no location$/, /add at least one row/],
    ["none.geojson", collection([]), /holds no location/, /add/],
    [
      "latin.csv",
      Buffer.from("lon,lat,label\r\n1,2,a\r\n3,4,Café Zürich\r\n", "latin1"),
      /^latin\.csv, row 3: not UTF-8 \(as Windows-1252 it reads "3,4,Café Zürich"\)$/,
      /save as UTF-8/,
    ],
    [
      "latin.geojson",
      Buffer.from(collection([point(1, 2, { label: "Zürich" })]), "latin1"),
      /^latin\.geojson, row 1: not UTF-8 \(as Windows-1252 .*Zürich/,
      /save as UTF-8/,
    ],
    ["cut.csv", Buffer.from("lon,lat,label\n1,2,Ca\xc3", "latin1"), /row 2: not UTF-8/, /save as UTF-8/],
    [
      "late.csv",
      Buffer.from(`lon,lat,label\n${"1,2,a\r\n".repeat(30_000)}3,4,\xe9\n`, "latin1"),
      /row 30002: not/,
      /UTF-8/,
    ],
    [
      "half.16.csv",
      utf16("lon,lat,label\n1,2,\ud83d\n", "le"),
      /row 2: UTF-16 with half a character/,
      /UTF-8/,
    ],
    ["32.csv", Buffer.from([0xff, 0xfe, 0, 0, 0x6c, 0, 0, 0]), /^32\.csv: UTF-32$/, /UTF-8/],
    ["nul.csv", "lon,lat\n1,2\0\n", /holds NUL bytes/, /use CSV/],
    ["a.xlsx", "PK\x03\x04rest", /^a\.xlsx: an Excel workbook or a ZIP archive$/, /save the sheet as CSV/],
    ["a.csv", Buffer.from("\xd0\xcf\x11\xe0", "latin1"), /an old Excel workbook/, /save the sheet as CSV/],
    ["a.gpkg", "SQLite format 3\0", /a GeoPackage/, /ogr2ogr -f GeoJSONSeq/],
    ["a.kml", "<?xml version='1.0'?><kml/>", /XML or HTML/, /ogr2ogr/],
    ["a.json", '{"type":"Topology","objects":{},"arcs":[]}', /TopoJSON/, /make GeoJSON/],
    [
      "cut.gz",
      gzipSync("lon,lat\n1,2\n".repeat(100)).subarray(0, -9),
      /its gzip data are damaged or cut off/,
      /fetch it again/,
    ],
  ])("%s", async (name, content, message, mend) => {
    const error = await failure(read(name, content));
    expect(error).toMatchObject({ kind: "input" });
    expect(error.message).toMatch(message);
    expect(error.mend).toMatch(mend);
  });

  test("what is no file, or cannot be read twice", async () => {
    for (const [path, message] of [
      [join(folder, "none.csv"), /none\.csv: no such file/],
      [folder, /a folder/],
      ["-", /standard input cannot be read twice/],
      ["/dev/null", /a pipe or device, which cannot be read twice/],
    ] as const)
      expect((await failure(openLocationFile(path))).message).toMatch(message);
  });
});

describe("bad rows", () => {
  test.each([
    ["nan", "NaN,2", 'longitude "NaN" is not a number', /mend or drop/],
    ["gap", "1,", "latitude is missing", /mend or drop/],
    ["far", "-181,2", "longitude -181 is not within ±180", /mend or drop/],
    ["round", "284.5,40", "longitude 284.5 is not within ±180", /subtract 360/],
    ["endless", "1e999,2", 'longitude "1e999" is not a number', /mend or drop/],
    ["pole", "1,85.5", "latitude 85.5 is beyond ±85, where Web Mercator ends", /drop the row/],
    ["metres", "548734.8,6864500.1", "latitude 6864500.1 is not within ±90", /reproject to WGS 84/],
    ["kind", "1,2,walk", 'unknown kind "walk"', /one of visit, transport/],
    ["weight", "1,2,,-1", "weight -1 is negative", /mend or drop/],
    ["minutes", `1,52°22'N`, `latitude "52°22'N" is not in decimal degrees`, /write decimal degrees/],
    ["degrees", "4.9E,52", 'longitude "4.9E" is not in decimal degrees', /write decimal degrees/],
    ["hexadecimal", "0x10,2", 'longitude "0x10" is not a number', /mend or drop/],
    ["thousands", "5.234.432,2", 'longitude "5.234.432" has thousands separators', /without/],
    ["both", '"1,234.5",2', 'longitude "1,234.5" has thousands separators', /without/],
    ["commas", "4,92936,52,34432,,7", "6 cells, where the header names 5", /decimal commas too/],
  ])("%s", async (name, row, what, mend) => {
    const error = await failure(read(`${name}.csv`, `lon,lat,kind,weight,label\n1,2\n${row}\n`));
    expect(error.message).toBe(`${name}.csv, row 3: ${what}`);
    expect(error.mend).toMatch(mend);
    expect(error.mend).toMatch(/or leave them out: --skip-bad 1$/);
  });

  test.each([
    ['{"lon":1,"lat":2,"label":{"a":1}}', 'label {"a":1} is not text'],
    ['{"lon":1,"lat":2,"label":"\\ud800"}', 'label "\\ud800" holds half a character'],
    ['{"lon":true,"lat":2}', "longitude true is not a number"],
    ['{"lon":1,"lat":[2]}', "latitude [2] is not a number"],
  ])("%s", async (text, what) => {
    expect((await failure(read("a.ndjson", `${text}\n{"lon":1,"lat":2}`))).message).toBe(
      `a.ndjson, row 1: ${what}`,
    );
  });

  test("all are counted, ten are named; as many as are allowed are left out", async () => {
    const text = `lon,lat\n${Array.from({ length: 40 }, (_, at) => (at % 3 === 0 ? "x,1" : `${at},1`)).join("\n")}`;
    const error = await failure(read("a.csv", text, { skipBad: 13 }));
    expect(error.message).toMatch(
      /^a\.csv: 14 of 40 rows are bad: row 2: .*; row 29: longitude "x" is not a number; and 4 more$/,
    );
    expect(error.message.match(/row \d+/g)).toHaveLength(10);
    expect(error.mend).toMatch(/--skip-bad 14/);
    const source = await open("a.csv", text, { skipBad: 14 });
    expect([source.count, source.bad.count]).toEqual([26, 14]);
    expect((await rows("a.csv", text, { skipBad: 14 })).map(([lon]) => lon)).not.toContain(0);
    // Where none is left, nothing is.
    const none = await failure(read("a.csv", "lon,lat\nx,1\n", { skipBad: 5 }));
    expect([none.message, none.mend]).toEqual([
      'a.csv, row 2: longitude "x" is not a number',
      "mend or drop the row",
    ]);
  });
});

describe("beside the imported area", () => {
  const helsinki = [24.9, 60.1, 25, 60.2] as const;
  const list = (count: number, row: string, ...others: string[]) =>
    `lon,lat\n${others.join("\n")}\n${`${row}\n`.repeat(count)}`;

  test("locations outside are counted, the first named, and read nonetheless", async () => {
    const source = await open("a.csv", list(6, "4.9,52.3", "24.95,60.15"), { bbox: helsinki });
    expect(source).toMatchObject({
      count: 7,
      outside: {
        count: 6,
        swapped: 0,
        first: ["row 3 (4.9, 52.3)", "row 4 (4.9, 52.3)", "row 5 (4.9, 52.3)"],
      },
    });
    const fiji = [177, -20, -178, -15] as const;
    expect((await open("a.csv", "lon,lat\n179,-17\n-179,-17\n0,-17\n", { bbox: fiji })).outside.count).toBe(
      1,
    );
  });

  test("columns are swapped when nearly all rows fit only so, by range or by the area", async () => {
    for (const [text, options] of [
      [list(1, "37.5,126.9"), {}],
      [list(1, "60.15,24.95"), { bbox: helsinki }],
      [list(19, "60.15,24.95", "60.15,4.95"), { bbox: helsinki }],
    ] as const) {
      const error = await failure(read("a.csv", text, options));
      expect(error.mend).toMatch(/swap lon and lat/);
      expect(error.message).toMatch(/only with their coordinates swapped, first row \d/);
    }
  });

  test("one row that fits only when swapped is no proof", async () => {
    const world = list(30, "-70.5,-33.4", "60.15,24.95", "24.95,60.15");
    expect((await open("a.csv", world, { bbox: helsinki })).outside).toMatchObject({ count: 31, swapped: 1 });
    const bad = await failure(read("a.csv", list(30, "-70.5,-33.4", "37.5,126.9"), { bbox: helsinki }));
    expect(bad.message).toMatch(/^a\.csv, row 2: latitude 126\.9 is not within ±90$/);
  });
});
