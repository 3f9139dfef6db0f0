// AssemblyScript, built to dist/cut.wasm. Memory is laid out by src/cut.ts.

/**
 * Cuts a turned square out of a picture and writes three of its channels as planes: bilinear, weights of 7 bits.
 *
 * @param source RGBA, `side` pixels wide
 * @param target three planes of `pixels` × `pixels` bytes, one after the other
 * @param pixels a multiple of 4
 * @param u, v where the centre of the first pixel lies, in 16.16 fixed point, in units of whole source pixels
 * @param du, dv step to the next pixel of a row; the next row is a quarter turn further (−dv, du)
 */
export function cut(source: usize, side: i32, target: usize, pixels: i32, u: i32, v: i32, du: i32, dv: i32): void {
  const area = pixels * pixels;
  const stride = side << 2;
  for (let y = 0; y < pixels; y++) {
    let x0 = u;
    let y0 = v;
    let at = target + y * pixels;
    for (let x = 0; x < pixels; x += 4) {
      const first = i16x8.narrow_i32x4_u(sample(source, stride, x0, y0), sample(source, stride, x0 + du, y0 + dv));
      x0 += du << 1;
      y0 += dv << 1;
      const second = i16x8.narrow_i32x4_u(sample(source, stride, x0, y0), sample(source, stride, x0 + du, y0 + dv));
      x0 += du << 1;
      y0 += dv << 1;
      // r r r r g g g g b b b b a a a a
      const rgba = i8x16.narrow_i16x8_u(first, second);
      const planes = i8x16.shuffle(rgba, rgba, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      v128.store_lane<u32>(at, planes, 0);
      v128.store_lane<u32>(at + area, planes, 1);
      v128.store_lane<u32>(at + 2 * area, planes, 2);
      at += 4;
    }
    u -= dv;
    v += du;
  }
}

/** The picture's four channels at a place, as int32. */
// AssemblyScript knows decorators of functions.
@inline
function sample(source: usize, stride: i32, x: i32, y: i32): v128 {
  const from = source + (y >> 16) * stride + ((x >> 16) << 2);
  const fx = (x >> 9) & 127;
  const fy = (y >> 9) & 127;
  // Two neighbours of a row as r r g g b b a a, so that one dot product weighs both.
  const above = v128.load64_zero(from);
  const below = v128.load64_zero(from + stride);
  const top = i16x8.extend_low_i8x16_u(i8x16.shuffle(above, above, 0, 4, 1, 5, 2, 6, 3, 7, 8, 8, 8, 8, 8, 8, 8, 8));
  const bottom = i16x8.extend_low_i8x16_u(i8x16.shuffle(below, below, 0, 4, 1, 5, 2, 6, 3, 7, 8, 8, 8, 8, 8, 8, 8, 8));
  const left = 128 - fx;
  const sum = i32x4.add(
    i32x4.dot_i16x8_s(top, i32x4.splat((((128 - fy) * fx) << 16) | ((128 - fy) * left))),
    i32x4.dot_i16x8_s(bottom, i32x4.splat(((fy * fx) << 16) | (fy * left))),
  );
  return i32x4.shr_u(i32x4.add(sum, i32x4.splat(1 << 13)), 14);
}
