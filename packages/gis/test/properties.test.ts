import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Location } from "@loc2vec/core";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLocationFile } from "../src/index.ts";

/** The same cases in each run. */
fc.configureGlobal({ seed: 13, numRuns: 80 });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gis-properties-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(content: string | Buffer): Promise<Location[]> {
  const path = join(folder, "locations");
  await writeFile(path, content);
  const source = await openLocationFile(path);
  const locations: Location[] = [];
  for await (const location of source.read()) locations.push(location);
  return locations;
}

/** As people write them: letters, and all that has a meaning to a format. Lines break as LF does. */
const label = fc
  .string({ unit: fc.constantFrom(..."aZé漢😀0 ,;|\t\"'\\{}[]:=\n#"), minLength: 1, maxLength: 30 })
  .map((text) => text.trim())
  .filter((text) => text !== "");
const coordinate = (most: number) =>
  fc.integer({ min: -most * 1e6, max: most * 1e6 }).map((value) => value / 1e6);
const location = fc.record(
  {
    lon: coordinate(179.9),
    lat: coordinate(84),
    kind: fc.constantFrom("visit", "transport"),
    weight: fc.integer({ min: 1, max: 1000 }),
    label,
  },
  { requiredKeys: ["lon", "lat", "kind"] },
) as fc.Arbitrary<Location>;
const locations = fc.array(location, { minLength: 2, maxLength: 8 });
const packing = fc.record({ mark: fc.constantFrom("", "\uFEFF"), zipped: fc.boolean() });

const pack = (text: string, { mark, zipped }: { mark: string; zipped: boolean }): string | Buffer =>
  zipped ? gzipSync(mark + text) : mark + text;

test("CSV of any separator, order of columns, line ending and quoting, marked or zipped or not", async () => {
  const FIELDS = ["lon", "lat", "kind", "weight", "label"] as const;
  await fc.assert(
    fc.asyncProperty(
      locations,
      fc.constantFrom(",", ";", "\t", "|"),
      fc.constantFrom("\n", "\r\n"),
      fc.shuffledSubarray([...FIELDS], { minLength: FIELDS.length }),
      fc.boolean(),
      packing,
      async (all, separator, end, columns, quoteAll, packed) => {
        const cell = (value: unknown): string => {
          const text = value === undefined ? "" : String(value);
          const must = quoteAll || /[,;|\t"\n]/.test(text);
          return must ? `"${text.replaceAll('"', '""')}"` : text;
        };
        const lines = [columns, ...all.map((one) => columns.map((field) => cell(one[field])))];
        const text = lines.map((line) => line.join(separator) + end).join("");
        expect(await read(pack(text, packed))).toEqual(all);
      },
    ),
  );
});

test("GeoJSON, indented or not", async () => {
  await fc.assert(
    fc.asyncProperty(locations, fc.constantFrom(0, 2), packing, async (all, indent, packed) => {
      const features = all.map(({ lon, lat, ...properties }) => ({
        type: "Feature",
        properties,
        geometry: { type: "Point", coordinates: [lon, lat] },
      }));
      const text = JSON.stringify({ type: "FeatureCollection", features }, null, indent);
      expect(await read(pack(text, packed))).toEqual(all);
    }),
  );
});

test("NDJSON, and an array of objects", async () => {
  await fc.assert(
    fc.asyncProperty(locations, fc.constantFrom("\n", "\r\n"), packing, async (all, end, packed) => {
      const lines = all.map((one) => JSON.stringify(one) + end).join("");
      expect(await read(pack(lines, packed))).toEqual(all);
      expect(await read(pack(JSON.stringify(all), packed))).toEqual(all);
    }),
  );
});
