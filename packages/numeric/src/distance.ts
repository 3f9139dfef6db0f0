/** The squared Euclidean distance of two vectors of length `size`, that begin at `atA` in `a` and at `atB` in `b`. */
export function squaredDistance(
  a: Float32Array,
  atA: number,
  b: Float32Array,
  atB: number,
  size: number,
): number {
  let sum = 0;
  for (let k = 0; k < size; k++) sum += ((a[atA + k] as number) - (b[atB + k] as number)) ** 2;
  return sum;
}
