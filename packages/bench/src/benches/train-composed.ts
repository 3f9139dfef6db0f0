import {
  BN_EPSILON,
  concatTiles,
  DROPOUT,
  initialWeights,
  LEAK,
  LOC2VEC,
  layersOf,
  parametersOf,
  type Triplet,
} from "@loc2vec/encoder";
import type { Tensor, Tensor2D, Tensor4D, Tensorflow, Variable } from "@loc2vec/tensorflow";

/**
 * The same training step the tfjs way: batch normalization, LeakyReLU, dropout and loss of tfjs's small ops, which it
 * differentiates one by one, and its Adam. Its images are in TensorFlow beforehand.
 */
export function composedStep(
  { tf }: Tensorflow,
  tiles: readonly Uint8Array[],
  triplets: readonly Triplet[],
): { step: () => void; dispose: () => void } {
  const count = tiles.length;
  const { channels, pixels } = LOC2VEC;
  const images = tf.tidy(() => {
    const all = Float32Array.from(concatTiles(LOC2VEC, tiles));
    return tf.transpose(tf.tensor4d(all, [count, channels, pixels, pixels]), [0, 2, 3, 1]).div(255);
  });
  const weights = initialWeights(LOC2VEC, 0);
  const variables = new Map<string, Variable>();
  for (const { name, shape, trained } of parametersOf(LOC2VEC)) {
    if (trained)
      variables.set(name, tf.variable(tf.tensor(weights.get(name)?.data.slice() ?? [], [...shape])));
  }
  const rows = (["anchor", "positive", "negative"] as const).map((role) =>
    tf.tensor1d(
      triplets.map((triplet) => triplet[role]),
      "int32",
    ),
  );
  const optimizer = tf.train.adam(1e-3);

  const embeddings = (): Tensor => {
    let x: Tensor = tf.dropout(images, DROPOUT.input, [count, 1, 1, channels]);
    const layers = layersOf(LOC2VEC);
    for (const [at, { spec, name, output }] of layers.entries()) {
      const weight = (own: string): Tensor => variables.get(`${name}.${own}`) as Variable;
      if (spec.kind === "pool") x = tf.maxPool(x as Tensor4D, 2, 2, "valid");
      else if (spec.kind === "flatten") x = x.reshape([count, -1]);
      else if (spec.kind === "conv" || spec.kind === "dense") {
        const spatial = spec.kind === "conv";
        x = spatial
          ? tf.conv2d(x as Tensor4D, weight("kernel") as Tensor4D, 1, "same")
          : tf.matMul(x as Tensor2D, weight("kernel") as Tensor2D);
        if (spec.normalization === "none") return x.add(weight("bias"));
        const { mean, variance } = tf.moments(x, spatial ? [0, 1, 2] : [0]);
        x = x.sub(mean).div(variance.add(BN_EPSILON).sqrt()).mul(weight("gamma")).add(weight("beta"));
        x = tf.maximum(x, x.mul(LEAK));
      }
      // After the pooling, where there is any.
      if (spec.kind === "flatten" || layers[at + 1]?.spec.kind === "pool") continue;
      const channels = output.at(-1) as number;
      x =
        output.length === 3
          ? tf.dropout(x, DROPOUT.conv, [count, 1, 1, channels])
          : tf.dropout(x, DROPOUT.dense);
    }
    return x;
  };
  const loss = (): Tensor => {
    const vectors = embeddings();
    const [a, p, n] = rows.map((role) => tf.gather(vectors, role)) as [Tensor, Tensor, Tensor];
    const distance = (one: Tensor, other: Tensor): Tensor => one.sub(other).square().sum(1).add(1e-12).sqrt();
    const far = tf.minimum(distance(a, n), distance(p, n));
    return distance(a, p).sub(far).sigmoid().square().mean();
  };
  return {
    step: () => tf.tidy(() => void optimizer.minimize(() => loss() as never, true)?.dataSync()),
    dispose: () => {
      tf.dispose([images, ...rows, ...variables.values()]);
      optimizer.dispose();
    },
  };
}
