import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { FarmError } from "@loc2vec/core";

export type OsmFormat = "pbf" | "xml" | "bz2";

export interface OsmFile {
  format: OsmFormat;
  /** Bytes. */
  size: number;
}

/** Limits of the PBF format: https://wiki.openstreetmap.org/wiki/PBF_Format */
const MAX_HEADER = 64 * 1024;
const MAX_BLOB = 32 * 1024 * 1024;

/**
 * Looks whether a file is OpenStreetMap data, before anything is started on it. A PBF is walked from blob to blob (headers
 * only), so that a truncated download is found in milliseconds.
 *
 * @throws FarmError `input` for a missing, empty, foreign or truncated file
 */
export async function checkOsmFile(path: string): Promise<OsmFile> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) throw new FarmError("input", `${path}: no such file`, "give an .osm.pbf file");
  if (!info.isFile()) throw new FarmError("input", `${path}: not a file`, "give an .osm.pbf file");
  if (info.size === 0) throw new FarmError("input", `${path}: the file is empty`, "fetch it again");
  const file = await open(path).catch((error: Error) => {
    throw new FarmError("input", `${path}: ${error.message}`);
  });
  try {
    const head = (await read(file, 0, 512)) ?? (await read(file, 0, info.size)) ?? Buffer.alloc(0);
    if (head.toString("latin1", 0, 3) === "BZh") return { format: "bz2", size: info.size };
    const text = head
      .toString("utf8")
      .replace(/^\uFEFF/, "")
      .trimStart();
    if (text.startsWith("<?xml") || text.startsWith("<osm")) {
      if (!text.includes("<osm")) throw new FarmError("input", `${path}: XML, but not OpenStreetMap data`);
      return { format: "xml", size: info.size };
    }
    await walkBlobs(file, path, info.size);
    return { format: "pbf", size: info.size };
  } finally {
    await file.close();
  }
}

async function walkBlobs(file: FileHandle, path: string, size: number): Promise<void> {
  for (let at = 0, blobs = 0; at < size; blobs++) {
    const length = (await read(file, at, 4))?.readUInt32BE(0);
    const header =
      length !== undefined && length > 0 && length <= MAX_HEADER
        ? await read(file, at + 4, length)
        : undefined;
    const blob = header && blobHeader(header);
    const foreign =
      blob === undefined || blob.size > MAX_BLOB || blob.type !== (blobs === 0 ? "OSMHeader" : "OSMData");
    if (foreign && blobs === 0) {
      throw new FarmError("input", `${path}: not an OpenStreetMap PBF file`, "give an .osm.pbf file");
    }
    const end = at + 4 + (length ?? 0) + (blob?.size ?? 0);
    if (end > size || (foreign && header === undefined && (length === undefined || length <= MAX_HEADER))) {
      throw new FarmError("input", `${path}: truncated after ${size} bytes`, "fetch it again");
    }
    if (foreign) throw new FarmError("input", `${path}: damaged at byte ${at}`, "fetch it again");
    at = end;
  }
}

/** Type and size of the blob that follows (protobuf: 1 = type, 2 = indexdata, 3 = datasize); undefined when it is none. */
function blobHeader(bytes: Buffer): { type: string; size: number } | undefined {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return Number.NaN;
  };
  let type: string | undefined;
  let size: number | undefined;
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    if (Number.isNaN(tag) || Number.isNaN(value)) return undefined;
    if (tag === 0x18) size = value;
    else if (tag === 0x0a || tag === 0x12) {
      if (tag === 0x0a) type = bytes.toString("latin1", at, at + value);
      at += value;
    } else return undefined;
  }
  return type === undefined || size === undefined || at !== bytes.length ? undefined : { type, size };
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
