// From painted planes to tiles.

/** Two matrices of 16 × 16 bytes. */
const ROOM: usize = 256;
const ROOM2: usize = 512;

/** Transposes the 16 × 16 bytes in ROOM: four perfect shuffles of its rows. */
// AssemblyScript knows decorators of functions.
@inline
function transpose(): void {
  shuffle(ROOM, ROOM2);
  shuffle(ROOM2, ROOM);
  shuffle(ROOM, ROOM2);
  shuffle(ROOM2, ROOM);
}

@inline
function shuffle(from: usize, to: usize): void {
  for (let i: usize = 0; i < 128; i += 16) {
    const a = v128.load(from + i);
    const b = v128.load(from + i, 128);
    v128.store(to + (i << 1), i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    v128.store(to + (i << 1), i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
  }
}

/**
 * Planes to pixels of 16 bytes each, so that one weighs all channels at once.
 *
 * @param planes u8 [count, area]; count ≤ 16, area a multiple of 16
 * @param picture u8 [area, 16]
 */
export function interleave(planes: usize, count: i32, area: i32, picture: usize): void {
  for (let i = 0; i < area; i += 16) {
    for (let c = 0; c < 16; c++) {
      const row = c < count ? v128.load(planes + <usize>(c * area + i)) : i32x4.splat(0);
      v128.store(ROOM + (<usize>c << 4), row);
    }
    transpose();
    memory.copy(picture + (<usize>i << 4), ROOM, 256);
  }
}

/**
 * Cuts a turned square out of a picture and writes its channels as planes: bilinear, to 1/32768 of a pixel.
 *
 * @param picture u8 [side, side, 16]
 * @param target u8 [count, pixels, pixels]
 * @param pixels a multiple of 16
 * @param u, v where the centre of the first pixel lies, in 16.16 fixed point, in units of whole pixels of the picture
 * @param coarse rounds to 16 levels, the multiples of 17
 * @param du, dv step to the next pixel of a row; the next row is a quarter turn further (−dv, du)
 */
export function cut(
  picture: usize, side: i32, count: i32, target: usize, pixels: i32, coarse: bool, u: i32, v: i32, du: i32, dv: i32,
): void {
  const area = pixels * pixels;
  const stride = <usize>side << 4;
  for (let y = 0; y < pixels; y++) {
    let sx = u;
    let sy = v;
    let at = target + <usize>(y * pixels);
    for (let x = 0; x < pixels; x += 16) {
      for (let i: usize = 0; i < 256; i += 16) {
        const from = picture + <usize>(sy >> 16) * stride + (<usize>(sx >> 16) << 4);
        const fx = i16x8.splat(<i16>((sx & 0xffff) >> 1));
        const fy = i16x8.splat(<i16>((sy & 0xffff) >> 1));
        const a = v128.load(from);
        const b = v128.load(from, 16);
        const c = v128.load(from + stride);
        const d = v128.load(from + stride, 16);
        const low = blend(
          i16x8.extend_low_i8x16_u(a), i16x8.extend_low_i8x16_u(b),
          i16x8.extend_low_i8x16_u(c), i16x8.extend_low_i8x16_u(d), fx, fy,
        );
        const high = blend(
          i16x8.extend_high_i8x16_u(a), i16x8.extend_high_i8x16_u(b),
          i16x8.extend_high_i8x16_u(c), i16x8.extend_high_i8x16_u(d), fx, fy,
        );
        let value = i8x16.narrow_i16x8_u(low, high);
        if (coarse) {
          // (v − v/16 + 8) / 16 is v / 17, rounded; a multiple of 17 stays.
          value = i8x16.add(i8x16.sub(value, i8x16.shr_u(value, 4)), i8x16.splat(8));
          value = i8x16.shr_u(value, 4);
          value = v128.or(value, i8x16.shl(value, 4));
        }
        v128.store(ROOM + i, value);
        sx += du;
        sy += dv;
      }
      transpose();
      let to = at + <usize>x;
      for (let c = 0; c < count; c++) {
        v128.store(to, v128.load(ROOM + (<usize>c << 4)));
        to += <usize>area;
      }
    }
    u -= dv;
    v += du;
  }
}

/** Between four neighbours, each 0–255, with weights of 15 bits; 7 bits of fraction are kept on the way. */
// AssemblyScript knows decorators of functions.
@inline
function blend(a: v128, b: v128, c: v128, d: v128, fx: v128, fy: v128): v128 {
  const a7 = i16x8.shl(a, 7);
  const b7 = i16x8.shl(b, 7);
  const left = i16x8.add(a7, i16x8.q15mulr_sat_s(i16x8.sub(i16x8.shl(c, 7), a7), fy));
  const right = i16x8.add(b7, i16x8.q15mulr_sat_s(i16x8.sub(i16x8.shl(d, 7), b7), fy));
  const mix = i16x8.add(left, i16x8.q15mulr_sat_s(i16x8.sub(right, left), fx));
  return i16x8.shr_u(i16x8.add(mix, i16x8.splat(64)), 7);
}
