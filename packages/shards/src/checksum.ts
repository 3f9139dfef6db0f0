import { crc32c } from "@loc2vec/numeric";

/** The `crc32c` codec of Zarr: the bytes, then their checksum, little-endian. Parts are joined. */
export function appendCrc32c(...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const sealed = new Uint8Array(length + 4);
  let offset = 0;
  for (const part of parts) {
    sealed.set(part, offset);
    offset += part.length;
  }
  new DataView(sealed.buffer).setUint32(length, crc32c(sealed.subarray(0, length)), true);
  return sealed;
}

/** Undoes {@link appendCrc32c}: a view without the checksum, or undefined when the checksum does not fit the bytes. */
export function checkCrc32c(sealed: Uint8Array): Uint8Array | undefined {
  const length = sealed.length - 4;
  if (length < 0) return undefined;
  const stored = new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength).getUint32(length, true);
  const bytes = sealed.subarray(0, length);
  return crc32c(bytes) === stored ? bytes : undefined;
}
