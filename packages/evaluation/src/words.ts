import type { Random } from "@loc2vec/core";
import type { Representation, TileShape } from "./representation.ts";

/** Side of a patch, pixels. */
const PATCH = 16;
/** Upper ends of the bins of intensity. */
const BINS = [0, 85, 170, 255] as const;
const ROUNDS = 20;
/** Patches that the vocabulary is learned from. */
const LEARNED = 20_000;

/** Which bin an intensity belongs to. */
const BIN_OF = Uint8Array.from({ length: 256 }, (_, value) => BINS.findIndex((end) => value <= end));

/**
 * A bag of visual words (Sivic & Zisserman 2003): a tile is cut into patches of 16×16 pixels, each described by a histogram
 * of intensities per channel; k-means makes a vocabulary of them, and a tile is the square root of how often each word is
 * in it, so that Euclidean distance is Hellinger's. Where patches lie, and how a tile is turned, hardly counts.
 *
 * @param fit tiles to learn the vocabulary from
 */
export function bagOfWords(
  { channels, pixels }: TileShape,
  fit: readonly Uint8Array[],
  words: number,
  random: Random,
): Representation {
  const side = Math.floor(pixels / PATCH);
  const patches = side * side;
  const length = channels * BINS.length;
  const describePatches = (tile: Uint8Array): Float32Array => {
    const found = new Float32Array(patches * length);
    const share = 1 / PATCH ** 2;
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < side * PATCH; y++) {
        const [row, base] = [(channel * pixels + y) * pixels, Math.floor(y / PATCH) * side * length];
        for (let x = 0; x < side * PATCH; x++) {
          const at = base + Math.floor(x / PATCH) * length + channel * BINS.length;
          (found[at + (BIN_OF[tile[row + x] as number] as number)] as number) += share;
        }
      }
    }
    return found;
  };
  const all = fit.map(describePatches);
  const learned = Array.from({ length: Math.min(LEARNED, all.length * patches) }, () => {
    const patch = random.int(patches);
    return (all[random.int(all.length)] as Float32Array).subarray(patch * length, (patch + 1) * length);
  });
  const vocabulary = kMeans(learned, words, random);
  return {
    name: `histograms, bag of ${words} words`,
    size: words,
    describe(tiles) {
      const found = new Float32Array(tiles.length * words);
      for (const [row, tile] of tiles.entries()) {
        const parts = describePatches(tile);
        for (let patch = 0; patch < patches; patch++) {
          const word = closest(vocabulary, parts.subarray(patch * length, (patch + 1) * length));
          found[row * words + word] = (found[row * words + word] as number) + 1 / patches;
        }
      }
      return found.map(Math.sqrt);
    },
    dispose: () => {},
  };
}

/** Lloyd's algorithm (1982), begun as k-means++ does (Arthur & Vassilvitskii 2007). @returns the centres */
export function kMeans(rows: readonly Float32Array[], count: number, random: Random): Float32Array[] {
  const centres = [(rows[random.int(rows.length)] as Float32Array).slice()];
  const distances = new Float64Array(rows.length).fill(Number.POSITIVE_INFINITY);
  while (centres.length < count) {
    let total = 0;
    for (const [i, row] of rows.entries()) {
      distances[i] = Math.min(distances[i] as number, squared(row, centres.at(-1) as Float32Array));
      total += distances[i] as number;
    }
    let rest = random.uniform() * total;
    const chosen = distances.findIndex((distance) => {
      rest -= distance;
      return rest < 0;
    });
    centres.push((rows[Math.max(0, chosen)] as Float32Array).slice());
  }
  for (let round = 0; round < ROUNDS; round++) {
    const sums = centres.map((centre) => new Float64Array(centre.length));
    const sizes = new Float64Array(count);
    for (const row of rows) {
      const index = closest(centres, row);
      const sum = sums[index] as Float64Array;
      for (let k = 0; k < row.length; k++) sum[k] = (sum[k] as number) + (row[k] as number);
      sizes[index] = (sizes[index] as number) + 1;
    }
    for (const [i, centre] of centres.entries()) {
      // A centre that nothing is closest to stays where it is.
      if ((sizes[i] as number) > 0)
        centre.set((sums[i] as Float64Array).map((sum) => sum / (sizes[i] as number)));
    }
  }
  return centres;
}

function closest(centres: readonly Float32Array[], row: Float32Array): number {
  let [found, least] = [0, Number.POSITIVE_INFINITY];
  for (let index = 0; index < centres.length; index++) {
    const distance = squared(centres[index] as Float32Array, row, least);
    if (distance < least) [found, least] = [index, distance];
  }
  return found;
}

/** The squared distance, or something above `limit` when it is farther than that. */
function squared(a: Float32Array, b: Float32Array, limit = Number.POSITIVE_INFINITY): number {
  let sum = 0;
  for (let k = 0; k < a.length && sum <= limit; k++) sum += ((a[k] as number) - (b[k] as number)) ** 2;
  return sum;
}
