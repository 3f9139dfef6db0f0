import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { zstdDecompressSync } from "node:zlib";
import { FarmError } from "@loc2vec/core";
import { type FileMark, hasMark } from "./marks.ts";
import { type Packing, packingOf, unpack } from "./packing.ts";
import { rootOf } from "./xml.ts";

export type OsmFormat = "pbf" | "xml" | "o5m" | "opl";

export interface OsmFile {
  format: OsmFormat;
  packing: Packing | undefined;
  /** Bytes. */
  size: number;
  /** How the blobs of a PBF file that is not packed are compressed. */
  blobs: ReadonlySet<BlobCompression>;
}

/** Fields 1 and 3 to 7 of a PBF file's blobs. */
const BLOB_COMPRESSIONS = { 1: "none", 3: "zlib", 4: "lzma", 5: "bzip2", 6: "lz4", 7: "zstd" } as const;
export type BlobCompression = (typeof BLOB_COMPRESSIONS)[keyof typeof BLOB_COMPRESSIONS];

/** Limits of the PBF format: https://wiki.openstreetmap.org/wiki/PBF_Format */
const MAX_HEADER = 64 * 1024;
const MAX_BLOB = 32 * 1024 * 1024;
/** The fields of a blob before its data: a tag and a varint each. */
const BLOB_FIELDS = 12;
/** How much is looked at to find what a file is, bytes: XML may have long comments before it. */
const MAX_HEAD = 4 * 1024 * 1024;

const GIVE = "give an .osm.pbf file";

/**
 * Looks what OpenStreetMap data a file holds, before anything is started on it: by its content, whatever its name. A PBF is
 * walked from blob to blob (headers only), so that a truncated download is found in milliseconds.
 *
 * @throws FarmError `input` for a missing, empty, foreign or truncated file, with the mend of each kind
 */
export async function checkOsmFile(path: string): Promise<OsmFile> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) throw new FarmError("input", `${path}: no such file`, GIVE);
  if (!info.isFile()) throw new FarmError("input", `${path}: not a file`, GIVE);
  if (info.size === 0) throw new FarmError("input", `${path}: the file is empty`, "fetch it again");
  const file = await open(path).catch((error: Error) => {
    throw new FarmError("input", `${path}: ${error.message}`);
  });
  try {
    const magic = (await file.read(Buffer.alloc(16), 0, 16, 0)).buffer;
    const packing = packingOf(magic);
    const format = await formatOf(path, packing);
    const blobs = format === "pbf" && !packing ? await walkBlobs(file, path, info.size) : new Set<never>();
    return { format, packing, size: info.size, blobs };
  } finally {
    await file.close();
  }
}

async function formatOf(path: string, packing: Packing | undefined): Promise<OsmFormat> {
  const chunks: Buffer[] = [];
  let size = 0;
  let looked = 0;
  for await (const chunk of unpack(path, packing)) {
    chunks.push(chunk);
    size += chunk.length;
    if (size < 2 * looked) continue;
    looked = size;
    const format = look(path, packing, Buffer.concat(chunks), size > MAX_HEAD);
    if (format !== undefined) return format;
  }
  return look(path, packing, Buffer.concat(chunks), true) as OsmFormat;
}

/** Files that are given by mistake: their kind, what that is, and what mends it. */
const FOREIGN: readonly [kind: FileMark, what: string, mend: (path: string) => string][] = [
  ["zip", "a zip archive", (path) => `unzip ${path}, and import what was in it`],
  ["7z", "a 7z archive", (path) => `7z x ${path}, and import what was in it`],
  ["rar", "a rar archive", (path) => `unrar x ${path}, and import what was in it`],
  ["tar", "a tar archive", (path) => `tar -xf ${path}, and import what was in it`],
  ["xz", "packed with xz", (path) => `xz -dc ${path} > map.osm, and import that`],
  ["lz4", "packed with lz4", (path) => `lz4 -dc ${path} > map.osm, and import that`],
  ["sqlite", "an SQLite database (GeoPackage, MBTiles)", () => GIVE],
  ["shapefile", "a shapefile", () => GIVE],
  ["mapsforge", "a mapsforge map, which is drawn already", () => GIVE],
  ["o5c", "a change file, which holds no map", (path) => changesMend(path)],
];

const changesMend = (path: string): string =>
  `import the map that it changes: osmium apply-changes MAP.osm.pbf ${path} -o changed.osm.pbf`;

/** @param whole there is no more of the file; else undefined says that more is needed */
function look(
  path: string,
  packing: Packing | undefined,
  head: Buffer,
  whole: boolean,
): OsmFormat | undefined {
  const refuse = (what: string, mend: string): never => {
    throw new FarmError("input", `${path}: ${packing ? `packed with ${packing}: ` : ""}${what}`, mend);
  };
  if (!whole && head.length < 512) return undefined;
  if (head.length === 0) refuse("it holds nothing", "fetch it again");
  for (const [kind, what, mend] of FOREIGN) {
    if (!hasMark(head, kind)) continue;
    const first = `${packing} -dc ${quoted(path)} > unpacked, and see to that`;
    refuse(what, packing === undefined || kind === "tar" ? mend(quoted(path)) : first);
  }
  if (hasMark(head, "o5m")) return "o5m";
  if (hasMark(head, "pbf")) return "pbf";
  const xml = rootOf(head, whole);
  if (xml === undefined) return undefined;
  const { root, text } = xml;
  if (root === "osm") return "xml";
  if (root === "osmChange") refuse("a change file, which holds no map", changesMend(quoted(path)));
  if (root === "html") {
    const said =
      /<strong[^>]*>Error<\/strong>\s*:([^<]*)/.exec(text)?.[1] ?? /<title>([^<]*)/i.exec(text)?.[1];
    const title = said === undefined ? "" : ` (${said.replaceAll(/\s+/g, " ").trim().slice(0, 200)})`;
    refuse(`a page of the web${title}, no map`, "look at what it says, and fetch the map again");
  }
  if (root !== "") refuse(`XML of another kind (<${root}>), but not OpenStreetMap data`, GIVE);
  if (/^\s*[[{]/.test(text)) {
    if (/"(osm3s|elements)"/.test(text)) {
      refuse("OpenStreetMap data as JSON", "ask Overpass for [out:xml]; other sources for XML or .osm.pbf");
    }
    const geojson = /"(FeatureCollection|Feature|coordinates)"/.test(text);
    refuse(
      geojson ? "GeoJSON, which holds no OpenStreetMap objects" : "JSON, no map",
      geojson ? `${GIVE}; locations are given with farm:enqueue --locations` : GIVE,
    );
  }
  if (/^(#[^\n]*\n)*[nwr]-?\d+( |\n|$)/.test(text)) return "opl";
  return refuse("not OpenStreetMap data", GIVE);
}

/** A path as a shell takes it. */
export function quoted(path: string): string {
  return /^[\w./:@%+=,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

async function walkBlobs(file: FileHandle, path: string, size: number): Promise<Set<BlobCompression>> {
  const compressions = new Set<BlobCompression>();
  for (let at = 0, blobs = 0; at < size; blobs++) {
    const length = (await read(file, at, 4))?.readUInt32BE(0);
    const header =
      length !== undefined && length > 0 && length <= MAX_HEADER
        ? await read(file, at + 4, length)
        : undefined;
    const blob = header && blobHeader(header);
    const foreign =
      blob === undefined || blob.size > MAX_BLOB || blob.type !== (blobs === 0 ? "OSMHeader" : "OSMData");
    const start = at + 4 + (length ?? 0);
    const end = start + (blob?.size ?? 0);
    if (end > size || (foreign && header === undefined && (length === undefined || length <= MAX_HEADER))) {
      throw new FarmError("input", `${path}: truncated after ${size} bytes`, "fetch it again");
    }
    if (foreign) throw new FarmError("input", `${path}: damaged at byte ${at}`, "fetch it again");
    const compression = blobCompression(
      (await read(file, start, Math.min(BLOB_FIELDS, blob.size))) as Buffer,
    );
    if (compression !== undefined) compressions.add(compression);
    at = end;
  }
  return compressions;
}

/** A protobuf varint at `at`, and where it ends; NaN where it does not. */
function varint(bytes: Buffer, at: number): readonly [value: number, end: number] {
  let value = 0;
  for (let scale = 1; at < bytes.length; scale *= 128) {
    const byte = bytes[at++] as number;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at];
  }
  return [Number.NaN, at];
}

/** Type and size of the blob that follows (protobuf: 1 = type, 2 = indexdata, 3 = datasize); undefined when it is none. */
function blobHeader(bytes: Buffer): { type: string; size: number } | undefined {
  let at = 0;
  let type: string | undefined;
  let size: number | undefined;
  while (at < bytes.length) {
    const [tag, after] = varint(bytes, at);
    const [value, end] = varint(bytes, after);
    at = end;
    if (Number.isNaN(tag) || Number.isNaN(value)) return undefined;
    if (tag === 0x18) size = value;
    else if (tag === 0x0a || tag === 0x12) {
      if (tag === 0x0a) type = bytes.toString("latin1", at, at + value);
      at += value;
    } else return undefined;
  }
  return type === undefined || size === undefined || at !== bytes.length ? undefined : { type, size };
}

/** How a blob is compressed, of its first bytes (protobuf: 2 = raw_size, and one of {@link BLOB_COMPRESSIONS}). */
function blobCompression(bytes: Buffer): BlobCompression | undefined {
  let [tag, at] = varint(bytes, 0);
  if (tag === 0x10) [tag, at] = varint(bytes, varint(bytes, at)[1]);
  return BLOB_COMPRESSIONS[(tag >> 3) as keyof typeof BLOB_COMPRESSIONS];
}

/**
 * A PBF file whose blobs of zstd are unpacked; the others are as they were.
 *
 * @param path path of a file that {@link checkOsmFile} walked through
 * @throws FarmError `input` where a blob is damaged
 */
export async function* unpackZstdBlobs(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    for (let at = 0; ; ) {
      const length = (await read(file, at, 4))?.readUInt32BE(0);
      if (length === undefined) return;
      const header = (await read(file, at + 4, length)) as Buffer;
      const { type, size } = blobHeader(header) as { type: string; size: number };
      const blob = (await read(file, at + 4 + length, size)) as Buffer;
      if (blobCompression(blob) === "zstd")
        yield block(type, unpackedBlob(blob, `${path}: damaged at byte ${at}`));
      else yield block(type, blob);
      at += 4 + length + size;
    }
  } finally {
    await file.close();
  }
}

/** @param damaged what to say where it is not what it seems */
function unpackedBlob(blob: Buffer, damaged: string): Buffer {
  // Field 2, the size when unpacked, may come before the data.
  let [tag, at] = varint(blob, 0);
  if (tag === 0x10) [tag, at] = varint(blob, varint(blob, at)[1]);
  const [size, data] = varint(blob, at);
  try {
    const raw = zstdDecompressSync(blob.subarray(data, data + size), { maxOutputLength: MAX_BLOB });
    return Buffer.concat([Buffer.from([0x0a]), varintOf(raw.length), raw]);
  } catch (error) {
    throw new FarmError("input", damaged, "fetch it again", { cause: error });
  }
}

/** A block of a PBF file: big-endian length, BlobHeader, blob. */
function block(type: string, blob: Buffer): Buffer {
  const header = Buffer.concat([
    Buffer.from([0x0a, type.length]),
    Buffer.from(type),
    Buffer.from([0x18]),
    varintOf(blob.length),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return Buffer.concat([length, header, blob]);
}

function varintOf(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** `length` bytes at `position`, or undefined where the file ends before. */
async function read(file: FileHandle, position: number, length: number): Promise<Buffer | undefined> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  return bytesRead === length ? buffer : undefined;
}

/** SHA-256 (hex) of a file, streamed. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
