/** Significant digits after which every float32 reads back as itself (IEEE 754). */
const DIGITS = 9;

/** `count` numbers of a float32 array from `first` on, as texts that read back as the same float32. */
export function decimals(values: Float32Array, first: number, count: number): string[] {
  return Array.from({ length: count }, (_, k) =>
    String(Number((values[first + k] as number).toPrecision(DIGITS))),
  );
}
