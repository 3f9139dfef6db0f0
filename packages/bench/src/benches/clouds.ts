import { randomOf } from "@loc2vec/core";

/** Numbers of an embedding. */
export const SIZE = 16;
/** Clouds, how far their centres lie from the middle, and the widest of a cloud: axes get narrower, as those of embeddings do. */
const [CLOUDS, APART, WIDE] = [200, 1, 0.5];
/** By how much each axis is narrower than the one before. */
const NARROWER = 0.9;

export interface Clouds {
  /** Float32 [n, 16]. */
  vectors: Float32Array;
  /** Which cloud each row is of. */
  clouds: Int32Array;
}

/** Rows as embeddings of a city may lie: 200 Gaussian clouds of several sizes and widths that overlap. All follows from the seed. */
export function drawClouds(n: number, seed: number): Clouds {
  const random = randomOf(seed);
  const axes = Array.from({ length: SIZE }, (_, axis) => NARROWER ** axis);
  const centres = Float64Array.from(
    { length: CLOUDS * SIZE },
    (_, i) => APART * (axes[i % SIZE] as number) * random.normal(),
  );
  const widths = Float64Array.from({ length: CLOUDS }, () => WIDE * (0.2 + 0.8 * random.uniform()));
  const vectors = new Float32Array(n * SIZE);
  // The square of a uniform draw: a few clouds have most rows.
  const clouds = Int32Array.from({ length: n }, () => Math.floor(CLOUDS * random.uniform() ** 2));
  for (const [row, cloud] of clouds.entries())
    for (let k = 0; k < SIZE; k++)
      vectors[row * SIZE + k] =
        (centres[cloud * SIZE + k] as number) +
        (widths[cloud] as number) * (axes[k] as number) * random.normal();
  return { vectors, clouds };
}
