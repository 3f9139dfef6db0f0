/** Ends with code 0 only when TensorFlow computes the gradient of a convolution right. */
import { loadTensorflow } from "./load.ts";

const { tf } = await loadTensorflow();
const [height, width] = [5, 4];
const x = Array.from({ length: height * width }, (_, i) => Math.sin(i));
const image = tf.tensor4d(x, [1, height, width, 1]);
const gradient = tf.grad((filter) =>
  tf.conv2d(image, filter as ReturnType<typeof tf.zeros> & typeof image, 1, "valid").sum(),
);
const gradients = await gradient(tf.ones([3, 3, 1, 1])).data();
for (let dy = 0; dy < 3; dy++) {
  for (let dx = 0; dx < 3; dx++) {
    let expected = 0;
    for (let y = 0; y < height - 2; y++) {
      for (let column = 0; column < width - 2; column++)
        expected += x[(y + dy) * width + column + dx] as number;
    }
    const value = gradients[3 * dy + dx] as number;
    if (!(Math.abs(value - expected) < 1e-5)) throw new Error(`error: gradient ${value}, not ${expected}`);
  }
}
