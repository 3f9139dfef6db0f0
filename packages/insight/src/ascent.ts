import { setImmediate } from "node:timers/promises";
import type { Inspector } from "@loc2vec/encoder";
import type { Tensor, Tensor4D, Tensorflow } from "@loc2vec/tensorflow";
import { blur } from "./blur.ts";

/** A pixel's greatest value; the least is 0. */
export const BRIGHTEST = 255;

/**
 * How images climb. Decay and blur are those of Yosinski et al. 2015 (arXiv 1506.06579, section 3): decay darkens what does
 * not help, and blur takes away what is finer than anything drawn.
 */
export interface Ascent {
  /** Steps uphill. */
  iterations: number;
  /** Root mean square of what a step adds to an image, of 255: its gradient in the units of its own length. */
  rate: number;
  /** Share that each pixel loses with every step. */
  decay: number;
  /** An image is blurred after so many steps, but not after the last. */
  blurEvery: number;
  /** Standard deviation of the Gaussian, pixels. */
  blurWidth: number;
}

/**
 * Rate over decay, 120, is the root mean square that images come to: the strongest channels are bright and not all at 255,
 * so that it can be seen which is stronger.
 */
export const DEFAULT_ASCENT: Ascent = {
  iterations: 120,
  rate: 6,
  decay: 0.05,
  blurEvery: 4,
  blurWidth: 1,
};

/** What became of a mini-batch of images, each with a filter of its own. */
export interface Climbed {
  /** Float32 [image, y, x, channel], 0 to 255. */
  images: Float32Array;
  /** Activation of each image's filter at first, and at last. */
  first: Float32Array;
  last: Float32Array;
  /** Whether on the way a filter was ever above 0 and had a gradient: else nothing was climbed. */
  alive: boolean[];
}

/**
 * Gradient ascent on pixels (Erhan et al. 2009, "Visualizing Higher-Layer Features of a Deep Network"): each image is moved
 * to where the mean of its filter's map is greater, and kept within 0 to 255.
 *
 * @param start float32 [image, y, x, channel], 0 to 255
 * @param filters of the layer, by index, one for each image
 */
export async function climb(
  tensorflow: Tensorflow,
  inspector: Inspector,
  layer: string,
  start: Float32Array,
  side: number,
  filters: readonly number[],
  ascent: Ascent,
): Promise<Climbed> {
  const { tf } = tensorflow;
  const count = filters.length;
  let images = tf.tensor4d(start, [count, side, side, start.length / (count * side * side)]);
  let first: Float32Array | undefined;
  const above = filters.map(() => false);
  const moves = filters.map(() => false);
  const note = (activations: Float32Array): Float32Array => {
    first ??= activations;
    for (const [i, activation] of activations.entries()) above[i] ||= activation > 0;
    return activations;
  };
  for (let iteration = 1; iteration <= ascent.iterations; iteration++) {
    const next = tf.tidy(() => {
      const { activations, gradient } = gradientOf(tensorflow, inspector, layer, images, filters);
      note(activations);
      const length = tf.sqrt(tf.mean(tf.square(gradient), [1, 2, 3], true));
      for (const [i, each] of (length.dataSync() as Float32Array).entries()) moves[i] ||= each > 0;
      // Where there is no gradient, there is no step either.
      const step = tf.mul(tf.divNoNan(gradient, length), ascent.rate);
      const moved = tf.clipByValue(tf.add(tf.mul(images, 1 - ascent.decay), step), 0, BRIGHTEST);
      const blurs = iteration % ascent.blurEvery === 0 && iteration < ascent.iterations;
      return blurs ? blur(tensorflow, moved as Tensor4D, ascent.blurWidth) : (moved as Tensor4D);
    });
    images.dispose();
    images = next;
    // Others get their turn.
    await setImmediate();
  }
  const last = tf.tidy(() => note(activationsOf(tensorflow, inspector, layer, images, filters).read()));
  const pixels = images.dataSync() as Float32Array;
  images.dispose();
  return {
    images: pixels,
    first: first as Float32Array,
    last,
    alive: filters.map((_, i) => above[i] === true && moves[i] === true),
  };
}

/** The activation of each image's own filter: the mean over its map, or the number itself in a vector. */
export function activationsOf(
  { tf }: Tensorflow,
  inspector: Inspector,
  layer: string,
  images: Tensor4D,
  filters: readonly number[],
): { read: () => Float32Array; gradient: () => Tensor4D } {
  const { output, back } = inspector.look(images, layer);
  const [count = 0, ...shape] = output.shape;
  const places = shape.slice(0, -1).reduce((product, length) => product * length, 1);
  const channels = shape.at(-1) as number;
  const chosen = tf.oneHot(tf.tensor1d([...filters], "int32"), channels, 1, 0, "float32");
  const weighing: Tensor = tf.div(
    tf.reshape(chosen, [count, ...shape.slice(1).map(() => 1), channels]),
    places,
  );
  const axes = output.shape.map((_, axis) => axis).slice(1);
  return {
    read: () => tf.sum(tf.mul(output, weighing), axes).dataSync() as Float32Array,
    gradient: () => back(tf.mul(tf.onesLike(output), weighing)) as Tensor4D,
  };
}

function gradientOf(
  tensorflow: Tensorflow,
  inspector: Inspector,
  layer: string,
  images: Tensor4D,
  filters: readonly number[],
): { activations: Float32Array; gradient: Tensor4D } {
  const { read, gradient } = activationsOf(tensorflow, inspector, layer, images, filters);
  return { activations: read(), gradient: gradient() };
}
