import { randomOf } from "@loc2vec/core";
import { openNeighbours } from "@loc2vec/space";

/** Nearest rows whose differences make the noise: as many directions as embeddings vary in. */
const NEIGHBOURS = 10;
/** Of the noise: rows come to lie about as far from theirs as those from their own neighbours. */
const WIDTH = 0.5;

/**
 * Many rows that lie as some given ones do: each is one of them, drawn at random, moved by a Gaussian with the covariance of
 * its nearest (a smoothed bootstrap with local bandwidth: Silverman & Young 1987). All follows from the seed.
 *
 * @param vectors float32 [m, size], at least 11 rows
 * @returns float32 [n, size]
 */
export async function resample(
  vectors: Float32Array,
  size: number,
  n: number,
  seed: number,
): Promise<Float32Array> {
  const random = randomOf(seed);
  const index = await openNeighbours(vectors, size);
  const near = new Map<number, number[]>();
  const drawn = new Float32Array(n * size);
  for (let row = 0; row < n; row++) {
    const from = random.int(index.rows);
    const about = near.get(from) ?? index.nearest(from, NEIGHBOURS).map((each) => each.row);
    near.set(from, about);
    drawn.set(index.vector(from), row * size);
    for (const other of about) {
      const share = (WIDTH * random.normal()) / Math.sqrt(NEIGHBOURS);
      for (let k = 0; k < size; k++) {
        const difference = (vectors[other * size + k] as number) - (vectors[from * size + k] as number);
        drawn[row * size + k] = (drawn[row * size + k] as number) + share * difference;
      }
    }
  }
  return drawn;
}
