import type { Tensor4D, Tensorflow } from "@loc2vec/tensorflow";

/** A Gaussian's weights at whole pixels up to three standard deviations away; their sum is 1. @param width σ, pixels */
export function gaussian(width: number): number[] {
  const reach = Math.ceil(3 * width);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-(((i - reach) / width) ** 2) / 2),
  );
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

/**
 * Each channel of each image blurred by a Gaussian, first along y and then along x. Beyond its edges an image is mirrored, so
 * that they do not go dark.
 *
 * @param images float32 [image, y, x, channel], their sides at least ⌈3σ⌉
 * @param width σ, pixels
 */
export function blur({ tf }: Tensorflow, images: Tensor4D, width: number): Tensor4D {
  const weights = gaussian(width);
  const reach = (weights.length - 1) / 2;
  const channels = images.shape[3];
  const filterOf = (height: number, across: number): Tensor4D =>
    tf.tile(tf.tensor4d(weights, [height, across, 1, 1]), [1, 1, channels, 1]);
  const edges: [number, number][] = [
    [0, 0],
    [reach, reach],
    [reach, reach],
    [0, 0],
  ];
  const edged = tf.mirrorPad(images, edges, "symmetric");
  const alongY = tf.depthwiseConv2d(edged, filterOf(weights.length, 1), 1, "valid");
  return tf.depthwiseConv2d(alongY, filterOf(1, weights.length), 1, "valid");
}
