// Takes half a minute: dozens of maps are written and imported by osm2pgsql, each in processes of its own.

import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { FarmError } from "@loc2vec/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importPbf, loadProfile, type Profile, readImportInfo } from "../src/index.ts";
import { createDatabase, type TestDatabase } from "./database.ts";

const STYLE = fileURLToPath(new URL("../../../styles/loc2vec.yaml", import.meta.url));

let profile: Profile;
let database: TestDatabase;
let folder: string;
/** Where the import has its temporary files. */
let scratch: string;
const before = process.env.TMPDIR;

beforeAll(async () => {
  database = await createDatabase("mapfiles");
  profile = await loadProfile(STYLE);
  folder = await mkdtemp(join(tmpdir(), "gis-mapfiles-"));
  scratch = join(folder, "scratch");
  await mkdir(scratch);
  process.env.TMPDIR = scratch;
});
afterAll(async () => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

const write = async (name: string, bytes: string | Buffer): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};
/** What osmium writes of what it reads: both of the given format. */
const osmium = (input: string | Buffer, args: string[], format = "osm"): Buffer =>
  execFileSync("osmium", [...args, `--input-format=${format}`, "-"], { input });
const pbf = (xml: string, format = "pbf", ...more: string[]): Buffer =>
  osmium(xml, ["cat", `--output-format=${format}`, ...more]);

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';
const osm = (...objects: string[]): string =>
  `${DECLARATION}<osm version="0.6" generator="by hand">\n${objects.join("\n")}\n</osm>\n`;
const node = (id: number, lon: number, lat: number, tags = "", more = 'version="1"'): string =>
  `<node id="${id}" ${more} lon="${lon}" lat="${lat}">${tags}</node>`;
const tag = (key: string, value: string): string => `<tag k="${key}" v="${value}"/>`;
const way = (id: number, refs: number[], tags: string, more = 'version="1"'): string =>
  `<way id="${id}" ${more}>${refs.map((ref) => `<nd ref="${ref}"/>`).join("")}${tags}</way>`;

const NODES = [
  node(1, 4.92, 52.34),
  node(2, 4.93, 52.34),
  node(3, 4.93, 52.35),
  node(4, 4.92, 52.35),
  node(9, 4.925, 52.345, tag("shop", "bakery") + tag("name", "Bäcker > Söhne")),
];
const WAYS = [
  way(1, [1, 2, 3, 4, 1], tag("landuse", "residential")),
  way(2, [1, 3], tag("highway", "residential")),
];
const TOWN = osm(...NODES, ...WAYS);
/** The features of that town: kind of object, kind and size (metres, EPSG:3857) of the geometry. */
const FEATURES = ["N POINT 0 0", "W LINESTRING 1113 1822", "W POLYGON 1113 1822"];

const features = async (): Promise<string[]> =>
  (
    await database.query(
      `SELECT osm_type || ' ' || GeometryType(geom) || ' ' || round(ST_XMax(geom) - ST_XMin(geom)) || ' ' ||
         round(ST_YMax(geom) - ST_YMin(geom)) AS feature FROM farm.feature ORDER BY 1`,
    )
  ).map((row) => row.feature as string);

async function load(path: string, signal?: AbortSignal, onLine = (_: string): void => {}): Promise<string[]> {
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
    onLine(line);
  };
  const { databaseUrl } = database;
  await importPbf({ pbf: path, databaseUrl, profile, force: true, log, ...(signal ? { signal } : {}) });
  return lines.filter((line) => line.startsWith(path)).map((line) => line.slice(path.length + 2));
}

/** Bytes of the o5m format (wiki.openstreetmap.org/wiki/O5m), of {@link TOWN}'s ways and nodes. */
function o5m(kind: "o5m2" | "o5c2"): Buffer {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
  const signed = (value: number): number[] => varint(value < 0 ? -2 * value - 1 : 2 * value);
  const text = (key: string, value: string): number[] => [0, ...Buffer.from(`${key}\0${value}\0`)];
  const set = (type: number, bytes: number[]): number[] => [type, ...varint(bytes.length), ...bytes];
  let [lon, lat] = [0, 0];
  const place = (x: number, y: number, tags: number[] = []): number[] => {
    const [dx, dy] = [x - lon, y - lat];
    [lon, lat] = [x, y];
    return set(0x10, [...signed(1), 0, ...signed(dx), ...signed(dy), ...tags]);
  };
  let last = 0;
  const line = (refs: number[], tags: number[]): number[] => {
    const ids = refs.flatMap((ref) => {
      const delta = ref - last;
      last = ref;
      return signed(delta);
    });
    return set(0x11, [...signed(1), 0, ...varint(ids.length), ...ids, ...tags]);
  };
  return Buffer.from([
    ...[0xff, 0xe0, 4, ...Buffer.from(kind)],
    ...place(49_200_000, 523_400_000),
    ...place(49_300_000, 523_400_000),
    ...place(49_300_000, 523_500_000),
    ...place(49_200_000, 523_500_000),
    ...place(49_250_000, 523_450_000, text("shop", "bakery")),
    0xff,
    ...line([1, 2, 3, 4, 1], text("landuse", "residential")),
    ...line([1, 3], text("highway", "residential")),
    0xfe,
  ]);
}

/** A way with the coordinates of its nodes, as Overpass' `out geom` has it. */
const located = (xml: string): string => {
  const places = new Map(
    [...xml.matchAll(/<node id="(\d+)".*?(lon="\S+" lat="[^"]+")/g)].map(([, id, at]) => [id, at]),
  );
  return xml.replaceAll(/<nd ref="(\d+)"\/>/g, (_, id: string) => `<nd ref="${id}" ${places.get(id)}/>`);
};
/** The nodes that no way has. */
const [SHOP = ""] = NODES.slice(-1);

/** The town as PBF, the data compressed as `field` of a blob says. */
function compressed(field: number, compress: (raw: Buffer) => Buffer): Buffer {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
  /** The bytes behind a tag of one byte and a length. */
  const after = (bytes: Buffer): Buffer => bytes.subarray((bytes[1] as number) < 128 ? 2 : 3);
  const plain = pbf(TOWN, "pbf,pbf_compression=none");
  const blocks: Buffer[] = [];
  for (let at = 0; at < plain.length; ) {
    const start = at + 4 + plain.readUInt32BE(at);
    // A header ends with the size of its blob, in one or two bytes.
    const [high = 0, low = 0] = plain.subarray(start - 2, start);
    const size = high < 128 ? low : (high & 127) | (low << 7);
    const raw = after(plain.subarray(start, start + size));
    if (at === 0) blocks.push(plain.subarray(0, start + size));
    else {
      const data = compress(raw);
      const blob = [0x10, ...varint(raw.length), (field << 3) | 2, ...varint(data.length), ...data];
      const header = [0x0a, 7, ...Buffer.from("OSMData"), 0x18, ...varint(blob.length)];
      blocks.push(Buffer.from([0, 0, 0, header.length, ...header, ...blob]));
    }
    at = start + size;
  }
  return Buffer.concat(blocks);
}

const bzip2 = (text: string): Buffer => execFileSync("bzip2", ["-c"], { input: text });
const half = TOWN.indexOf("<way");

const works: [name: string, bytes: () => string | Buffer, said: RegExp | undefined][] = [
  ["map", () => TOWN, undefined],
  ["map.bin", () => pbf(TOWN), undefined],
  ["xml.osm.pbf", () => TOWN, undefined],
  ["pbf.osm", () => pbf(TOWN), undefined],
  ["map.osm.gz", () => gzipSync(TOWN), /packed with gzip/],
  [
    "two-members",
    () => Buffer.concat([gzipSync(TOWN.slice(0, half)), gzipSync(TOWN.slice(half))]),
    /packed with gzip/,
  ],
  ["pbf.gz", () => gzipSync(pbf(TOWN)), /packed with gzip/],
  [
    "two-streams.osm.bz2",
    () => Buffer.concat([bzip2(TOWN.slice(0, half)), bzip2(TOWN.slice(half))]),
    /packed with bzip2/,
  ],
  ["map.osm.zst", () => zstdCompressSync(TOWN), /packed with zstd/],
  [
    "long-comment.osm",
    () => TOWN.replace("<osm ", `<!-- ${"<a licence> ".repeat(100_000)} -->\n<osm `),
    undefined,
  ],
  [
    "doctype.osm",
    () => TOWN.replace("<osm ", "<!DOCTYPE osm [<!ELEMENT osm (node)>]>\n<?by hand?>\n<osm "),
    undefined,
  ],
  ["mark.osm", () => `\uFEFF${TOWN}`, undefined],
  ["utf16.osm", () => Buffer.from(`\uFEFF${TOWN.replace("UTF-8", "UTF-16")}`, "utf16le"), undefined],
  [
    "utf16be.osm",
    () => Buffer.from(`\uFEFF${TOWN.replace("UTF-8", "UTF-16")}`, "utf16le").swap16(),
    undefined,
  ],
  ["windows.osm", () => Buffer.from(TOWN.replace("UTF-8", "windows-1252"), "latin1"), undefined],
  ["map.opl", () => pbf(TOWN, "opl"), undefined],
  ["map.o5m", () => o5m("o5m2"), undefined],
  ["lz4.osm.pbf", () => pbf(TOWN, "pbf,pbf_compression=lz4"), /lz4/],
  ["zstd.osm.pbf", () => compressed(7, (raw) => zstdCompressSync(raw)), /zstd/],
  ["raw.osm.pbf", () => pbf(TOWN, "pbf,pbf_compression=none"), undefined],
  ["unsorted.osm.pbf", () => pbf(osm(...WAYS, ...NODES.toReversed())), /not sorted.*osmium sorts/],
  [
    "says-sorted.osm.pbf",
    () => pbf(osm(...WAYS, ...NODES.toReversed()), "pbf", "--output-header=sorting=Type_then_ID"),
    /not sorted.*osmium sorts/,
  ],
  ["unsorted.osm.gz", () => gzipSync(osm(...WAYS, ...NODES)), /packed.*not sorted/s],
  ["negative.osm", () => TOWN.replaceAll(/(id|ref)="/g, '$1="-'), /ids are not positive/],
  [
    "mixed.osm",
    () => osm(...NODES, ...WAYS).replaceAll(/(id|ref)="([34])"/g, '$1="-$2"'),
    /ids are not positive/,
  ],
  ["zero.osm", () => TOWN.replaceAll(/(id|ref)="1"/g, '$1="0"'), /ids are not positive/],
  ["twice.osm.pbf", () => pbf(osm(...NODES, ...NODES, ...WAYS, ...WAYS)), /more than once/],
  [
    "versions.osm.pbf",
    () =>
      pbf(
        osm(
          node(1, 5, 50, tag("shop", "gone"), 'version="0"'),
          ...NODES,
          node(9, 5, 50, "", 'version="0"'),
          ...WAYS,
        ),
      ),
    /more than once/,
  ],
  ["history.osh", () => history(), /a history/],
  ["history.osh.pbf", () => pbf(history(), "osh.pbf"), /a history/],
  ["history.osh.pbf.gz", () => gzipSync(pbf(history(), "osh.pbf")), /a history/],
  ["locations.osm.pbf", () => withLocations(), /locations lie on its ways/],
  ["locations.osm.pbf.gz", () => gzipSync(withLocations()), /locations lie on its ways/],
  ["locations-all.osm.pbf", () => withLocations("--keep-untagged-nodes"), /locations lie on its ways/],
  ["out-geom.osm", () => outGeom(), /locations lie on its ways/],
  [
    "josm-deleted.osm",
    () =>
      osm(
        ...NODES,
        node(10, 4.928, 52.341, tag("shop", "gone"), "action='delete' visible='true' version='1'"),
        '<node id="11" action="delete" version="1" lon="5" lat="50"/>',
        ...WAYS,
        way(3, [2, 4], tag("highway", "primary"), "action='delete' version='1'"),
        '<node id="-12" action="modify" lon="4.921" lat="52.341"/>',
      ),
    /3 objects that JOSM was told to delete/,
  ],
];

/** Each object in three versions, the middle one a deletion; and a shop that was deleted last. */
function history(): string {
  const objects = [...NODES, ...WAYS].flatMap((object) => {
    const at = (version: number): string =>
      object.replace(
        'version="1"',
        `version="${version}" visible="true" timestamp="2020-01-0${version}T00:00:00Z"`,
      );
    const [start = ""] = /^<\w+ id="\d+" /.exec(object) ?? [];
    return [at(1), `${start}version="2" visible="false" timestamp="2020-01-02T00:00:00Z"/>`, at(3)];
  });
  const gone = node(
    10,
    4.928,
    52.341,
    tag("shop", "gone"),
    'version="1" visible="true" timestamp="2020-01-01T00:00:00Z"',
  );
  const since = '<node id="10" version="2" visible="false" timestamp="2020-01-02T00:00:00Z"/>';
  return osm(
    ...objects.filter((each) => each.startsWith("<node")),
    gone,
    since,
    ...objects.filter((each) => each.startsWith("<way")),
  );
}

const withLocations = (...more: string[]): Buffer =>
  osmium(TOWN, ["add-locations-to-ways", "--output-format=pbf", ...more]);

/** As Overpass gives it: no versions, no nodes but the shop; boxes, and a relation whose members have coordinates. */
function outGeom(): string {
  const box = '<bounds minlat="52.34" minlon="4.92" maxlat="52.35" maxlon="4.93"/>';
  const member = `<member type="way" ref="1" role="outer"><nd lat="52.34" lon="4.92"/><nd lat="52.35" lon="4.93"/></member>`;
  const ways = /<way[\s\S]*<\/way>/.exec(located(TOWN))?.[0] ?? "";
  const text = `<note>by hand</note><meta osm_base="2020-01-01T00:00:00Z"/>${SHOP}${ways}<relation id="1">${box}${member}</relation>`;
  return osm(text.replaceAll(/ version="1"/g, "").replaceAll(/(<way id="\d+">)/g, `$1${box}`)).replace(
    "<osm>",
    '<osm version="0.6">',
  );
}

describe("is imported, whatever its name", () => {
  test.each(works)("%s", async (name, bytes, said) => {
    const lines = await load(await write(name, bytes()));
    expect(await features()).toEqual(FEATURES);
    if (said === undefined) expect(lines).toEqual([]);
    else expect(lines.join("\n")).toMatch(said);
    expect(await readdir(scratch), "temporary files").toEqual([]);
  });

  test("what is written of it is what was read: names, the latest version, the file's own checksum", async () => {
    const names = async () => (await database.query("SELECT name FROM farm.label")).map((row) => row.name);
    for (const name of [
      "windows.osm",
      "utf16.osm",
      "map.osm.gz",
      "out-geom.osm",
      "history.osh",
      "locations.osm.pbf",
    ]) {
      const path = join(folder, name);
      await load(path);
      expect(await names(), name).toEqual(["Bäcker > Söhne"]);
      expect(await readImportInfo(database.databaseUrl)).toMatchObject({
        pbf: name,
        size: (await readFile(path)).length,
        invalid: 0,
      });
    }
  });

  test("places without ways", async () => {
    await load(await write("places.osm", osm(...NODES)));
    expect(await features()).toEqual(["N POINT 0 0"]);
  });
});

const CHANGES = `${DECLARATION}<osmChange version="0.6"><create>${node(20, 4.921, 52.341, tag("shop", "new"))}</create></osmChange>`;
/** In PBF, with bytes of Latin-1 in a name of node 9. */
const wrongBytes = (bytes: Buffer | string): Buffer => {
  const wrong = Buffer.from(bytes);
  wrong.write("\xe4\xe4", wrong.indexOf("ä"), "latin1");
  return wrong;
};
const tar = (): Buffer => {
  const archive = Buffer.alloc(2048);
  archive.write("map.osm");
  archive.write("ustar", 257);
  return archive;
};
const ASK =
  '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x">\n<html><head><title>OSM3S Response</title></head><body><p><strong style="color:#FF0000">Error</strong>: runtime error: open64: 0 Success /osm3s_osm_base Dispatcher_Client::request_read_and_idx::timeout. </p></body></html>';

const refused: [name: string, bytes: () => string | Buffer, message: RegExp, mend: RegExp][] = [
  ["change.osc", () => CHANGES, /a change file/, /^import the map that it changes: osmium apply-changes/],
  ["change.osm.gz", () => gzipSync(CHANGES), /packed with gzip: a change file/, /osmium apply-changes/],
  ["change.o5c", () => o5m("o5c2"), /a change file/, /osmium apply-changes/],
  [
    "diff.osm",
    () => osm(`<action type="create">${SHOP}</action>`),
    /changes between two times/,
    /without \[diff:…\]/,
  ],
  [
    "wrong.osm.pbf",
    () => wrongBytes(pbf(TOWN, "pbf,pbf_compression=none")),
    /a tag of node 9 is no UTF-8/,
    /iconv -c/,
  ],
  ["wrong.osm", () => wrongBytes(TOWN), /a tag of node 9 is no UTF-8/, /iconv -c/],
  [
    "wrong.osm.gz",
    () => gzipSync(wrongBytes(TOWN)),
    /a tag of node 9 is no UTF-8/,
    /^.*gzip -dc .* \| iconv -c/,
  ],
  ["wrong16.osm", () => Buffer.from("\uFEFF<osm>\uD800 </osm>", "utf16le"), /not in the encoding/, /UTF-8/],
  [
    "remark.osm",
    () => TOWN.replace("</osm>", "<remark> runtime error: Query timed out in\n line 3 </remark></osm>"),
    /Overpass broke off.*runtime error: Query timed out in line 3/,
    /a smaller area/,
  ],
  [
    "overpass.json",
    () => '{ "version": 0.6, "generator": "Overpass API", "osm3s": {}, "elements": [] }',
    /as JSON/,
    /\[out:xml\]/,
  ],
  ["places.osm", () => '{"type":"FeatureCollection","features":[]}', /GeoJSON/, /\.osm\.pbf/],
  ["error.osm", () => ASK, /a page of the web \(runtime error: open64.*timeout\.\)/, /look at what it says/],
  [
    "page.osm.pbf",
    () => "<html>\n<head><title>502 Bad Gateway</title>",
    /\(502 Bad Gateway\)/,
    /fetch the map again/,
  ],
  ["track.gpx", () => `${DECLARATION}<gpx></gpx>`, /XML of another kind \(<gpx>\)/, /\.osm\.pbf/],
  ["map.zip", () => Buffer.from("PK\x03\x04      map.osm"), /a zip archive/, /^unzip .*map\.zip/],
  ["map.7z", () => Buffer.from("7z\xbc\xaf\x27\x1c", "latin1"), /a 7z archive/, /^7z x /],
  ["map.tar", tar, /a tar archive/, /^tar -xf .*map\.tar/],
  ["map.tar.gz", () => gzipSync(tar()), /a tar archive/, /^tar -xf .*map\.tar\.gz/],
  ["map.osm.xz", () => Buffer.from("\xfd7zXZ\0\0", "latin1"), /packed with xz/, /^xz -dc /],
  ["lzma.osm.pbf", () => compressed(4, (raw) => raw), /blobs are compressed with lzma/, /written with zlib/],
  ["empty.osm", () => osm(), /the map is empty/, /the query or the extract/],
  ["empty.osm.pbf", () => pbf(osm()), /the map is empty/, /the query or the extract/],
  ["ways.osm.pbf", () => pbf(osm(...WAYS)), /the map holds no nodes with coordinates/, /osmium getid -r/],
  [
    "out-tags.osm",
    () => osm(`<node id="1">${tag("shop", "bakery")}</node>`),
    /the map holds no nodes with coordinates/,
    /Overpass gives them/,
  ],
  [
    "feature.osm.pbf",
    () => {
      const bytes = pbf(TOWN, "pbf,pbf_compression=none");
      bytes.write("WenseNodes", bytes.indexOf("DenseNodes"));
      return bytes;
    },
    /feature not supported: WenseNodes/,
    /written without that/,
  ],
  [
    "entities.osm",
    () => TOWN.replace("<osm ", '<!DOCTYPE osm [<!ENTITY x "y">]><osm '),
    /entities are not supported/,
    /^xmllint --noent/,
  ],
  ["dots.osm", () => osm(...NODES.slice(0, 4)), /no object of the map fits any rule/, /another extract/],
  ["cut.osm", () => TOWN.slice(0, -20), /XML parsing error/, /fetch the file again/],
  ["cut.osm.gz", () => gzipSync(TOWN).subarray(0, -20), /gzip data are damaged or cut off/, /fetch it again/],
  ["cut.osm.bz2", () => bzip2(TOWN).subarray(0, -20), /bzip2 data are damaged or cut off/, /fetch it again/],
  [
    "cut.osm.zst",
    () => zstdCompressSync(TOWN).subarray(0, -20),
    /packed with zstd: it holds nothing/,
    /fetch it again/,
  ],
];

const errorOf = (loaded: Promise<unknown>): Promise<FarmError> =>
  loaded.then(
    () => expect.fail("is imported"),
    (error: FarmError) => error,
  );

describe("is refused with its own mend, and the former import stays", () => {
  beforeAll(async () => void (await load(await write("town.osm", TOWN))));

  test.each(refused)("%s", async (name, bytes, message, mend) => {
    const path = await write(name, bytes());
    const error = await errorOf(load(path));
    expect(error).toMatchObject({ name: "FarmError", kind: "input" });
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(path)).toBe(true);
    expect(error.mend).toMatch(mend);
    expect(error.line).not.toContain("\n");
    expect((await readImportInfo(database.databaseUrl))?.pbf).toBe("town.osm");
    expect(await readdir(scratch), "temporary files").toEqual([]);
  });

  /** Runs the command in a mend, and imports what it makes. */
  const mended = async (path: string, makes: string): Promise<string[]> => {
    const { mend } = await errorOf(load(path));
    const [, command = ""] = /: (.*?)(?:;|$)/.exec(mend) ?? [];
    try {
      execFileSync("sh", ["-c", command], { cwd: folder, stdio: "ignore" });
    } catch {
      // iconv says by its exit code that it left something out.
    }
    await load(join(folder, makes));
    return features();
  };

  test("the mend of a change file", async () => {
    await write("MAP.osm.pbf", pbf(TOWN));
    expect(await mended(join(folder, "change.osc"), "changed.osm.pbf")).toEqual(["N POINT 0 0", ...FEATURES]);
  });

  test.each(["wrong.osm.pbf", "wrong.osm", "wrong.osm.gz"])(
    "the mend of what is no UTF-8: %s",
    async (name) => {
      await rm(join(folder, "mended.osm"), { force: true });
      expect(await mended(join(folder, name), "mended.osm")).toEqual(FEATURES);
      expect(await database.query("SELECT name FROM farm.label")).toEqual([{ name: "Bcker > Söhne" }]);
    },
  );

  test.each(["ways.osm.pbf", "bare.osm.pbf"])("the mend of a map without nodes: %s", async (name) => {
    await write("WHOLE.osm.pbf", pbf(TOWN));
    await write("bare.osm.pbf", pbf(osm(...NODES.slice(-1), ...WAYS)));
    await rm(join(folder, "mended.osm.pbf"), { force: true });
    expect(await mended(join(folder, name), "mended.osm.pbf")).toEqual(
      expect.arrayContaining(FEATURES.slice(1)),
    );
  });
});

describe("objects without geometry", () => {
  /** A map of 30 ways, of which so many lack their nodes. */
  const lacking = (bare: number): string =>
    osm(
      ...NODES,
      ...Array.from({ length: 30 }, (_, i) =>
        way(i + 1, i < bare ? [101, 102] : [1, 3], tag("highway", "residential")),
      ),
    );

  test("a few, as at an extract's border, are counted", async () => {
    await load(await write("border.osm", lacking(9)));
    expect(await readImportInfo(database.databaseUrl)).toMatchObject({ pbf: "border.osm", invalid: 9 });
  });

  test("a large share is refused; the former import stays", async () => {
    const error = await errorOf(load(await write("broken.osm", lacking(12))));
    expect(error).toMatchObject({
      kind: "input",
      message: expect.stringMatching(/12 of 30 ways and relations have no geometry/),
      mend: expect.stringMatching(/osmium getid/),
    });
    expect((await readImportInfo(database.databaseUrl))?.pbf).toBe("border.osm");
  });

  test("those whose geometry is wrong, and not missing, are not of them", async () => {
    const bowTies = Array.from({ length: 30 }, (_, i) =>
      way(i + 10, [1, 2, 4, 3, 1], tag("building", "yes")),
    );
    await load(await write("bow-ties.osm", osm(...NODES, ...WAYS, ...bowTies)));
    expect(await readImportInfo(database.databaseUrl)).toMatchObject({ invalid: 30 });
  });
});

test("Ctrl-C while osmium works: the former import stays, and nothing is left behind", async () => {
  await load(await write("town.osm", TOWN));
  const path = await write("unsorted.osm", osm(...WAYS, ...NODES));
  const stop = new AbortController();
  const error = await errorOf(
    load(path, stop.signal, (line) => void (line.includes("not sorted") && stop.abort())),
  );
  expect(error).toMatchObject({ kind: "interrupted", message: expect.stringContaining(path) });
  expect((await readImportInfo(database.databaseUrl))?.pbf).toBe("town.osm");
  expect(await readdir(scratch)).toEqual([]);
});

test("osmium is not installed", async () => {
  const path = process.env.PATH;
  process.env.PATH = folder;
  try {
    expect(await errorOf(load(join(folder, "town.osm")))).toMatchObject({
      kind: "missing",
      message: "osmium is not installed",
      mend: expect.stringContaining("osmium-tool"),
    });
  } finally {
    process.env.PATH = path;
  }
});
