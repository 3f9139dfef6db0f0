import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c } from "../src/index.ts";

fc.configureGlobal({ seed: 13, numRuns: 200 });

test("the vectors of RFC 3720, appendix B.4", () => {
  const bytes = (make: (i: number) => number): Uint8Array =>
    Uint8Array.from({ length: 32 }, (_, i) => make(i));
  expect(crc32c(bytes(() => 0))).toBe(0x8a9136aa);
  expect(crc32c(bytes(() => 0xff))).toBe(0x62a8ab43);
  expect(crc32c(bytes((i) => i))).toBe(0x46dd794e);
  expect(crc32c(bytes((i) => 31 - i))).toBe(0x113fdb5c);
  const command = "01c00000000000000000000000000000140000000000040000000014000000182800000000000000";
  const padded = Buffer.from(`${command}0200000000000000`, "hex");
  expect(padded.length).toBe(48);
  expect(crc32c(padded)).toBe(0xd9963a56);
});

test("the check value of CRC-32/ISCSI; nothing has 0", () => {
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array())).toBe(0);
});

/** The polynomial's long division, bit by bit. */
function bitByBit(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const out = (rest ^ (byte >>> bit)) & 1;
      rest = out === 1 ? (rest >>> 1) ^ 0x82f63b78 : rest >>> 1;
    }
  }
  return (rest ^ 0xffffffff) >>> 0;
}

test("of any bytes, wherever they begin, it is the division's", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(9), (bytes, offset) => {
      const within = new Uint8Array(offset + bytes.length);
      within.set(bytes, offset);
      expect(crc32c(within.subarray(offset))).toBe(bitByBit(bytes));
    }),
  );
});
