import { promisify } from "node:util";
import { constants, type ZstdOptions, zstdCompress, zstdDecompress, zstdDecompressSync } from "node:zlib";
import { appendCrc32c, checkCrc32c } from "./checksum.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** The level that data sets are written with; measured in docs/decisions.md. */
export const DEFAULT_ZSTD_LEVEL = 3;

/**
 * The codecs at the end of every chunk: zstd, then crc32c. Runs in libuv's thread pool; `raw` must stay as it is
 * until the promise settles.
 */
export async function packChunk(raw: Uint8Array, level: number): Promise<Uint8Array> {
  const options = { params: { [constants.ZSTD_c_compressionLevel]: level }, pledgedSrcSize: raw.length };
  return appendCrc32c(await compress(raw, options));
}

/** Why a stored chunk cannot be used: the end of a sentence that names the chunk. */
export class DamagedChunk extends Error {}

/**
 * Undoes {@link packChunk}, in libuv's thread pool.
 *
 * @param rawLength size of the decoded chunk; nothing longer is ever allocated
 * @throws DamagedChunk when the checksum differs, or the content is not zstd of that size
 */
export async function unpackChunk(stored: Uint8Array, rawLength: number): Promise<Uint8Array> {
  const packed = packedOf(stored);
  const raw = await decompress(packed, inOnePiece(rawLength)).catch((error) => notZstd(rawLength, error));
  return checkLength(raw, rawLength);
}

/** {@link unpackChunk} in this thread. @param target gets the decoded chunk, whose size it has */
export function unpackChunkInto(stored: Uint8Array, target: Uint8Array): void {
  const packed = packedOf(stored);
  let raw: Uint8Array;
  try {
    raw = zstdDecompressSync(packed, inOnePiece(target.length));
  } catch (error) {
    notZstd(target.length, error);
  }
  target.set(checkLength(raw, target.length));
}

/** Node would decode in pieces of 16 KiB, and join them; a piece that is full has it ask for another one. */
const inOnePiece = (rawLength: number): ZstdOptions => ({
  maxOutputLength: rawLength,
  chunkSize: Math.max(64, rawLength + 1),
});

function packedOf(stored: Uint8Array): Uint8Array {
  const packed = checkCrc32c(stored);
  if (packed === undefined) throw new DamagedChunk("its checksum (crc32c) does not fit its bytes");
  return packed;
}

function notZstd(rawLength: number, cause: unknown): never {
  throw new DamagedChunk(`it is not zstd data of ${rawLength} bytes`, { cause });
}

function checkLength(raw: Uint8Array, rawLength: number): Uint8Array {
  if (raw.length !== rawLength) throw new DamagedChunk(`it holds ${raw.length} bytes, not ${rawLength}`);
  return new Uint8Array(raw.buffer, raw.byteOffset, raw.length);
}
