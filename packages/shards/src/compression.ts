import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
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
 * Undoes {@link packChunk}.
 *
 * @param rawLength size of the decoded chunk; nothing longer is ever allocated
 * @throws DamagedChunk when the checksum differs, or the content is not zstd of that size
 */
export async function unpackChunk(stored: Uint8Array, rawLength: number): Promise<Uint8Array> {
  const packed = checkCrc32c(stored);
  if (packed === undefined) throw new DamagedChunk("its checksum (crc32c) does not fit its bytes");
  let raw: Buffer;
  try {
    raw = await decompress(packed, { maxOutputLength: rawLength });
  } catch (error) {
    throw new DamagedChunk(`it is not zstd data of ${rawLength} bytes`, { cause: error });
  }
  if (raw.length !== rawLength) throw new DamagedChunk(`it holds ${raw.length} bytes, not ${rawLength}`);
  return new Uint8Array(raw.buffer, raw.byteOffset, raw.length);
}
