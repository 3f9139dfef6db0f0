import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { FarmError } from "@loc2vec/core";
import { type ParquetWriteOptions, parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLocationFile } from "../src/index.ts";
import type { ReadOptions } from "../src/locations/survey.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gis-parquet-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Content = Omit<ParquetWriteOptions, "writer">;

async function read(content: Content | Buffer, options?: ReadOptions) {
  const path = join(folder, "a.parquet");
  await writeFile(path, content instanceof Buffer ? content : Buffer.from(parquetWriteBuffer(content)));
  const source = await openLocationFile(path, options);
  const locations: unknown[] = [];
  for await (const { kind: _, ...location } of source.read()) locations.push(location);
  expect(source.count).toBe(locations.length);
  return locations;
}

const failure = (content: Content | Buffer): Promise<FarmError> =>
  read(content).then(
    () => expect.unreachable("it was read"),
    (error: FarmError) => error,
  );

/** Well-known binary of a point. @param flags of PostGIS's extended form */
function wkb(lon: number, lat: number, { little = true, flags = 0, z = false } = {}): Buffer {
  const bytes = Buffer.alloc(5 + (flags ? 4 : 0) + (z ? 24 : 16));
  const type = (z && !flags ? 1001 : 1) + flags * 2 ** 29;
  const at = flags ? 9 : 5;
  if (little) {
    bytes.writeUInt8(1);
    bytes.writeUInt32LE(type, 1);
    if (flags) bytes.writeUInt32LE(4326, 5);
    bytes.writeDoubleLE(lon, at);
    bytes.writeDoubleLE(lat, at + 8);
  } else {
    bytes.writeUInt32BE(type, 1);
    bytes.writeDoubleBE(lon, at);
    bytes.writeDoubleBE(lat, at + 8);
  }
  return bytes;
}

const geo = (column: object, primary = "geometry") => [
  {
    key: "geo",
    value: JSON.stringify({ version: "1.1.0", primary_column: primary, columns: { [primary]: column } }),
  },
];
const geometry = (data: (Buffer | null)[], name = "geometry") => ({
  name,
  data,
  type: "BYTE_ARRAY" as const,
});
const labels = { name: "Label", data: ["Café", "b"], type: "STRING" as const };
const wanted = [
  { lon: 1.5, lat: 2, label: "Café" },
  { lon: -3, lat: 4.25, label: "b" },
];

test("columns of lon and lat, of any type and case, in several row groups", async () => {
  for (const [lon, lat] of [
    [
      { name: "Longitude", data: new Float64Array([1.5, -3]), type: "DOUBLE" as const },
      { name: "LAT", data: new Float32Array([2, 4.25]), type: "FLOAT" as const },
    ],
    [
      { name: "lon", data: ["1.5", "-3"], type: "STRING" as const },
      { name: "lat", data: ["2", "4,25"], type: "STRING" as const },
    ],
  ] as const)
    expect(await read({ columnData: [labels, lon, lat], rowGroupSize: 1 })).toEqual(wanted);
  const whole = { name: "x", data: new BigInt64Array([5n, 6n]) };
  const decimal = { name: "y", data: [2.5, 4.25] };
  const schema = [
    { name: "root", num_children: 2 },
    { name: "x", type: "INT64" as const, repetition_type: "REQUIRED" as const },
    {
      name: "y",
      type: "INT32" as const,
      converted_type: "DECIMAL" as const,
      scale: 2,
      precision: 5,
      repetition_type: "REQUIRED" as const,
    },
  ];
  expect(await read({ columnData: [whole, decimal], schema })).toEqual([
    { lon: 5, lat: 2.5 },
    { lon: 6, lat: 4.25 },
  ]);
});

test("GeoParquet: WKB of either byte order, with heights, extended; the primary column, not lon and lat beside it", async () => {
  const beside = { name: "lon", data: [9, 9], type: "INT32" as const };
  const points = [wkb(1.5, 2, { little: false }), wkb(-3, 4.25, { z: true })];
  expect(
    await read({ columnData: [beside, geometry(points), labels], kvMetadata: geo({ encoding: "WKB" }) }),
  ).toEqual(wanted);
  const extended = [wkb(1.5, 2, { flags: 1 }), wkb(-3, 4.25, { flags: 1 })];
  expect(
    await read({
      columnData: [geometry(extended, "Wo"), labels],
      kvMetadata: geo({ encoding: "WKB" }, "Wo"),
    }),
  ).toEqual(wanted);
});

test("GeoParquet 1.1: points in their native encoding", async () => {
  const schema = [
    { name: "root", num_children: 2 },
    { name: "geometry", num_children: 2, repetition_type: "OPTIONAL" as const },
    { name: "x", type: "DOUBLE" as const, repetition_type: "REQUIRED" as const },
    { name: "y", type: "DOUBLE" as const, repetition_type: "REQUIRED" as const },
    {
      name: "label",
      type: "BYTE_ARRAY" as const,
      converted_type: "UTF8" as const,
      repetition_type: "OPTIONAL" as const,
    },
  ];
  const points = [
    { x: 1.5, y: 2 },
    { x: -3, y: 4.25 },
  ];
  const content = {
    schema,
    columnData: [
      { name: "geometry", data: points },
      { name: "label", data: labels.data },
    ],
    kvMetadata: geo({ encoding: "point" }),
  };
  expect(await read(content)).toEqual(wanted);
});

test("Parquet's own geometry type", async () => {
  const data = [
    { type: "Point", coordinates: [1.5, 2] },
    { type: "MultiPoint", coordinates: [[-3, 4.25]] },
  ];
  expect(await read({ columnData: [{ name: "g", data, type: "GEOMETRY" }, labels] })).toEqual(wanted);
});

test("a reference system that is not WGS 84 is refused by name; WGS 84 and none are taken", async () => {
  const content = (crs: unknown) => ({
    columnData: [geometry([wkb(1.5, 2), wkb(-3, 4.25)]), labels],
    kvMetadata: geo({ encoding: "WKB", ...(crs === undefined ? {} : { crs }) }),
  });
  for (const crs of [
    undefined,
    null,
    { name: "WGS 84 (CRS84)", id: { authority: "OGC", code: "CRS84" } },
    { name: "WGS 84", id: { authority: "EPSG", code: 4326 } },
    { name: "WGS 84" },
  ])
    expect(await read(content(crs))).toEqual(wanted);
  const error = await failure(
    content({ name: "Amersfoort / RD New", id: { authority: "EPSG", code: 28992 } }),
  );
  expect(error.message).toBe(
    "a.parquet, column geometry: crs EPSG:28992 (Amersfoort / RD New) is not WGS 84",
  );
  expect(error.mend).toMatch(/reproject to WGS 84/);
});

test("rows without a point, and labels that are no text, are bad rows", async () => {
  const line = Buffer.from(
    "0102000000020000000000000000000000000000000000000000000000000000000000000000000000",
    "hex",
  );
  const content = {
    columnData: [
      geometry([wkb(1.5, 2), null, line, wkb(Number.NaN, Number.NaN), Buffer.from("00"), wkb(5, 6)]),
    ],
    kvMetadata: geo({ encoding: "WKB" }),
  };
  expect((await failure(content)).message).toMatch(
    /^a\.parquet: 4 of 6 rows are bad: row 2: it has no geometry; row 3: geometry LineString is not a Point; row 4: a Point without coordinates; row 5: geometry that is no WKB/,
  );
  expect(await read(content, { skipBad: 4 })).toHaveLength(2);
  const latin = { name: "label", data: [Buffer.from("Caf\xe9", "latin1")], type: "BYTE_ARRAY" as const };
  const one = (name: string) => ({ name, data: [1], type: "INT32" as const });
  expect((await failure({ columnData: [one("lon"), one("lat"), latin] })).message).toBe(
    "a.parquet, row 1: label is not UTF-8",
  );
});

test("what cannot be read is named", async () => {
  const column = (name: string) => ({ name, data: [1], type: "INT32" as const });
  const bytes = Buffer.from(parquetWriteBuffer({ columnData: [column("lon"), column("lat")] }));
  for (const [content, message] of [
    [{ columnData: [column("a"), column("lat")] }, /no column for lon among a, lat/],
    [{ columnData: [column("lng"), column("long"), column("lat")] }, /two columns for lon: "lng" and "long"/],
    [bytes.subarray(0, 60), /Parquet that cannot be read/],
    [gzipSync(bytes), /Parquet in gzip/],
    [
      { columnData: [geometry([wkb(1, 2)])], kvMetadata: geo({ encoding: "linestring" }) },
      /column geometry: encoding linestring holds no points/,
    ],
  ] as const)
    expect((await failure(content)).message).toMatch(message);
});
