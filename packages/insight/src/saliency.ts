import { setImmediate } from "node:timers/promises";
import {
  type Architecture,
  concatTiles,
  createInspector,
  type Inspector,
  inputSide,
  type Weights,
} from "@loc2vec/encoder";
import type { Tensor, Tensor4D, Tensorflow } from "@loc2vec/tensorflow";

/** Points of the way at a time, before turns: feature maps of 64 images fit into memory. */
const IMAGES_AT_A_TIME = 64;

/** What of a tile moves its vector. */
export interface Saliency {
  /** Of what the first layer takes of a tile, pixels: half the tile's with one halving. */
  side: number;
  /** How the vector differs from that of the blank tile, float32 [embedding]. */
  move: Float32Array;
  /** What each pixel adds to each number's move, float32 [embedding, channel, y, x]. */
  attributions: Float32Array;
  /** The Euclidean norm of what a pixel adds to all of them, float32 [channel, y, x]. */
  magnitude: Float32Array;
  /** Each channel's share of the sum of the magnitudes; all 0 for a tile that moves nothing. */
  shares: number[];
  /**
   * By how much the attributions miss the move, the norm of the difference as a share of the move's: more steps make it
   * smaller. 0 for a tile that moves nothing.
   */
  gap: number;
}

/**
 * Which channels and pixels of a tile move its vector away from that of the blank tile: integrated gradients (Sundararajan et
 * al. 2017, arXiv 1703.01365) of each number of the embedding, along the straight way from the blank tile, by the midpoint
 * rule. All that is attributed to a number sums up to its move (their completeness). A pixel that is blank gets nothing: what is
 * missing from a place is not told.
 *
 * @param tile uint8 [channel, y, x]
 * @param steps points of the way that gradients are taken at
 * @throws FarmError `data` for a tile of another size, or weights of another network
 */
export async function saliency(
  tensorflow: Tensorflow,
  architecture: Architecture,
  weights: Weights,
  tile: Uint8Array,
  { steps = 64 }: { steps?: number } = {},
): Promise<Saliency> {
  const { tf } = tensorflow;
  const { channels, turns = 1 } = architecture;
  const side = inputSide(architecture);
  const bytes = Float32Array.from(concatTiles(architecture, [tile]));
  const inspector = createInspector(tensorflow, architecture, weights);
  const pixels = tf.tidy(() => tf.tensor4d(bytes, [1, channels, side, side]).transpose([0, 2, 3, 1]));
  try {
    const move = moveOf(tensorflow, inspector, pixels as Tensor4D);
    const cells = channels * side * side;
    const sums = new Float64Array(move.length * cells);
    const together = Math.max(1, Math.floor(IMAGES_AT_A_TIME / turns));
    for (let from = 0; from < steps; from += together) {
      const count = Math.min(together, steps - from);
      const shares = Array.from({ length: count }, (_, i) => (from + i + 0.5) / steps);
      addGradients(tensorflow, inspector, pixels as Tensor4D, shares, sums);
      // Others get their turn.
      await setImmediate();
    }
    const attributions = Float32Array.from(sums, (sum, i) => (sum / steps) * (bytes[i % cells] as number));
    return { side, ...summarize(attributions, move, channels) };
  } finally {
    pixels.dispose();
    inspector.dispose();
  }
}

/** What distinguishes the vector of the pixels from that of blank ones. */
function moveOf({ tf }: Tensorflow, inspector: Inspector, pixels: Tensor4D): Float32Array {
  return tf.tidy(() => {
    const { output } = inspector.look(tf.concat([pixels, tf.zerosLike(pixels)]), "embedding");
    const [own, blank] = tf.split(output, 2) as [Tensor, Tensor];
    return tf.sub(own, blank).dataSync() as Float32Array;
  });
}

/**
 * Adds up the gradients of each number of the embedding at points of the way.
 *
 * @param shares of the pixels' brightness, one for each point
 * @param sums [embedding, channel, y, x]
 */
function addGradients(
  { tf }: Tensorflow,
  inspector: Inspector,
  pixels: Tensor4D,
  shares: readonly number[],
  sums: Float64Array,
): void {
  tf.tidy(() => {
    const points = tf.mul(pixels, tf.tensor4d([...shares], [shares.length, 1, 1, 1]));
    const { output, back } = inspector.look(points, "embedding");
    const size = output.shape[1] as number;
    const cells = sums.length / size;
    for (let number = 0; number < size; number++) {
      const chosen = tf.tidy(() => {
        const one = tf.oneHot(tf.fill([shares.length], number, "int32"), size, 1, 0, "float32");
        return back(one).sum(0).transpose([2, 0, 1]).dataSync() as Float32Array;
      });
      const at = number * cells;
      for (const [i, value] of chosen.entries()) sums[at + i] = (sums[at + i] as number) + value;
    }
  });
}

function summarize(attributions: Float32Array, move: Float32Array, channels: number): Omit<Saliency, "side"> {
  const size = move.length;
  const cells = attributions.length / size;
  const magnitude = new Float32Array(cells);
  const missed = new Float64Array(size);
  for (let number = 0; number < size; number++) {
    let sum = 0;
    for (let i = 0; i < cells; i++) {
      const value = attributions[number * cells + i] as number;
      sum += value;
      magnitude[i] = (magnitude[i] as number) + value * value;
    }
    missed[number] = sum - (move[number] as number);
  }
  for (let i = 0; i < cells; i++) magnitude[i] = Math.sqrt(magnitude[i] as number);
  const byChannel = Array.from({ length: channels }, (_, channel) =>
    magnitude
      .subarray((channel * cells) / channels, ((channel + 1) * cells) / channels)
      .reduce((a, b) => a + b, 0),
  );
  const all = byChannel.reduce((a, b) => a + b, 0);
  const shares = byChannel.map((each) => (all === 0 ? 0 : each / all));
  const length = Math.hypot(...move);
  return { move, attributions, magnitude, shares, gap: length === 0 ? 0 : Math.hypot(...missed) / length };
}
