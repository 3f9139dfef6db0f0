/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), eight bytes a step (slicing-by-8).
 * Node's `zlib.crc32` is the other polynomial (IEEE), which Zarr does not use.
 */

const TABLES = ((): Uint32Array[] => {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    at(tables, 0)[byte] = crc;
  }
  const first = at(tables, 0);
  for (let slice = 1; slice < 8; slice++) {
    const below = at(tables, slice - 1);
    for (let byte = 0; byte < 256; byte++) {
      const crc = below[byte] as number;
      at(tables, slice)[byte] = (crc >>> 8) ^ (first[crc & 0xff] as number);
    }
  }
  return tables;
})();

function at(tables: readonly Uint32Array[], i: number): Uint32Array {
  return tables[i] as Uint32Array;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/** The checksum as an unsigned 32-bit number. `crc32c(utf8("123456789")) === 0xe3069283`. */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  let i = 0;
  const b = bytes as { [index: number]: number } & Uint8Array;
  for (const end = bytes.length - 7; i < end; i += 8) {
    const low =
      crc ^
      ((b[i] as number) |
        ((b[i + 1] as number) << 8) |
        ((b[i + 2] as number) << 16) |
        ((b[i + 3] as number) << 24));
    crc =
      (T7[low & 0xff] as number) ^
      (T6[(low >>> 8) & 0xff] as number) ^
      (T5[(low >>> 16) & 0xff] as number) ^
      (T4[low >>> 24] as number) ^
      (T3[b[i + 4] as number] as number) ^
      (T2[b[i + 5] as number] as number) ^
      (T1[b[i + 6] as number] as number) ^
      (T0[b[i + 7] as number] as number);
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ (T0[(crc ^ (b[i] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
