import type { Random } from "@loc2vec/core";
import { closestCentre, kMeans } from "@loc2vec/numeric";
import type { Representation, TileShape } from "./representation.ts";

/** Words of the bag that is told apart from those that have as few as a model has numbers. */
export const LONG_BAG = 64;

/** Side of a patch, pixels. */
const PATCH = 16;
/** Upper ends of the bins of intensity. */
const BINS = [0, 85, 170, 255] as const;
/** Patches that the vocabulary is learned from. */
const LEARNED = 20_000;

/** Which bin an intensity belongs to. */
const BIN_OF = Uint8Array.from({ length: 256 }, (_, value) => BINS.findIndex((end) => value <= end));

/** A representation, and the vectors of the tiles that it was fitted to, float32 [tiles, words]. */
export interface BagOfWords extends Representation {
  fitted: Float32Array;
}

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
): BagOfWords {
  const side = Math.floor(pixels / PATCH);
  const patches = side * side;
  const length = channels * BINS.length;
  const describePatches = (tile: Uint8Array): Float32Array => {
    const histograms = new Float32Array(patches * length);
    const share = 1 / PATCH ** 2;
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < side * PATCH; y++) {
        const [row, base] = [(channel * pixels + y) * pixels, Math.floor(y / PATCH) * side * length];
        for (let x = 0; x < side * PATCH; x++) {
          const at = base + Math.floor(x / PATCH) * length + channel * BINS.length;
          (histograms[at + (BIN_OF[tile[row + x] as number] as number)] as number) += share;
        }
      }
    }
    return histograms;
  };
  const described = fit.map(describePatches);
  const learned = Array.from({ length: Math.min(LEARNED, described.length * patches) }, () => {
    const patch = random.int(patches);
    return (described[random.int(described.length)] as Float32Array).subarray(
      patch * length,
      (patch + 1) * length,
    );
  });
  const vocabulary = kMeans(learned, words, random);
  const countWords = (all: readonly Float32Array[]): Float32Array => {
    const shares = new Float32Array(all.length * words);
    for (const [row, parts] of all.entries()) {
      for (let patch = 0; patch < patches; patch++) {
        const word = closestCentre(vocabulary, parts.subarray(patch * length, (patch + 1) * length));
        shares[row * words + word] = (shares[row * words + word] as number) + 1 / patches;
      }
    }
    return shares.map(Math.sqrt);
  };
  // What is made of a bag asks for the same tiles right after it.
  let last: { tiles: readonly Uint8Array[]; shares: Float32Array } | undefined;
  return {
    name: `histograms, bag of ${words} words`,
    size: words,
    fitted: countWords(described),
    describe(tiles) {
      if (last?.tiles !== tiles) last = { tiles, shares: countWords(tiles.map(describePatches)) };
      return last.shares;
    },
    dispose: () => {
      last = undefined;
    },
  };
}
