import { FarmError } from "@loc2vec/core";

/** Slope of LeakyReLU below zero, as in Keras. */
export const LEAK = 0.3;
/** Added to the variance in batch normalization, as in Keras. */
export const BN_EPSILON = 1e-3;

/**
 * The network of Loc2Vec (2018), in the reading that gives its published count of 305,040 parameters: five 3×3
 * convolutions, each followed by 2×2 max-pooling; two 1×1 convolutions (Network in Network, arXiv 1312.4400); a dense
 * layer; the embedding, dense and linear. Batch normalization follows every layer but the last, which alone has a bias.
 */
export interface Architecture {
  /** Channels of a tile. */
  channels: number;
  /** Side of a tile; halved by each of the pooled convolutions. */
  pixels: number;
  /** Filters of the 3×3 convolutions. */
  pooled: readonly number[];
  /** Filters of the 1×1 convolutions. */
  pointwise: readonly number[];
  /** Units of the dense layer. */
  dense: number;
  embedding: number;
}

export const LOC2VEC: Architecture = {
  channels: 12,
  pixels: 128,
  pooled: [32, 64, 64, 128, 128],
  pointwise: [128, 16],
  dense: 16,
  embedding: 16,
};

/** What of an architecture can be chosen; the rest is the data set's. */
export type Network = Pick<Architecture, "pooled" | "pointwise" | "dense" | "embedding">;

/** Networks by name. `paper` is Loc2Vec's; on tiles of 12 × 128 × 128 they have 81,552, 305,040 and 1,208,080 parameters. */
export const NETWORKS = {
  small: { pooled: [16, 32, 32, 64, 64], pointwise: [64, 16], dense: 16, embedding: 16 },
  paper: networkOf(LOC2VEC),
  large: { pooled: [64, 128, 128, 256, 256], pointwise: [256, 32], dense: 32, embedding: 16 },
} as const satisfies Record<string, Network>;

/** What was chosen of an architecture, its fields in a fixed order. */
export function networkOf({ pooled, pointwise, dense, embedding }: Network): Network {
  return { pooled: [...pooled], pointwise: [...pointwise], dense, embedding };
}

/** The name of a network, or else its layers as JSON. */
export function describeNetwork(network: Network): string {
  const text = JSON.stringify(networkOf(network));
  const found = Object.entries(NETWORKS).find(([, each]) => JSON.stringify(networkOf(each)) === text);
  return found?.[0] ?? text;
}

/** A layer, in the order of computation. Kernels are [height, width, in, out], or [in, out] for dense layers. */
export interface Layer {
  /** `conv1` …, `dense`, `embedding`: the prefix of its weights' names. */
  name: string;
  kind: "conv" | "dense";
  kernel: readonly number[];
  filters: number;
  /** 2×2 max-pooling after it. */
  pool: boolean;
  /** Batch normalization, LeakyReLU and dropout after it; without, a bias. */
  normalized: boolean;
}

/** @throws FarmError `usage` when the tile's side cannot be halved often enough */
export function layersOf(architecture: Architecture): Layer[] {
  const { channels, pixels, pooled, pointwise, dense, embedding } = architecture;
  const side = pixels / 2 ** pooled.length;
  if (pooled.length === 0)
    throw new FarmError("usage", "a network without a pooled convolution", "1 or more of them");
  if (!Number.isInteger(side) || side < 1) {
    throw new FarmError(
      "usage",
      `tiles of ${pixels} pixels cannot be halved ${pooled.length} times`,
      `a multiple of ${2 ** pooled.length}`,
    );
  }
  const layers: Layer[] = [];
  let inputs = channels;
  for (const [convolutions, size] of [
    [pooled, 3],
    [pointwise, 1],
  ] as const) {
    for (const filters of convolutions) {
      layers.push({
        name: `conv${layers.length + 1}`,
        kind: "conv",
        kernel: [size, size, inputs, filters],
        filters,
        pool: size === 3,
        normalized: true,
      });
      inputs = filters;
    }
  }
  layers.push({
    name: "dense",
    kind: "dense",
    kernel: [side * side * inputs, dense],
    filters: dense,
    pool: false,
    normalized: true,
  });
  layers.push({
    name: "embedding",
    kind: "dense",
    kernel: [dense, embedding],
    filters: embedding,
    pool: false,
    normalized: false,
  });
  return layers;
}

export interface ParameterSpec {
  name: string;
  shape: readonly number[];
  /** False for batch normalization's running mean and variance. */
  trained: boolean;
}

/** Every weight of the network, in a fixed order. Batch normalization has four vectors, as Keras counts them. */
export function parametersOf(architecture: Architecture): ParameterSpec[] {
  return layersOf(architecture).flatMap(({ name, kernel, filters, normalized }): ParameterSpec[] => [
    { name: `${name}.kernel`, shape: kernel, trained: true },
    ...(normalized
      ? [
          { name: `${name}.gamma`, shape: [filters], trained: true },
          { name: `${name}.beta`, shape: [filters], trained: true },
          { name: `${name}.mean`, shape: [filters], trained: false },
          { name: `${name}.variance`, shape: [filters], trained: false },
        ]
      : [{ name: `${name}.bias`, shape: [filters], trained: true }]),
  ]);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** 305,040 for {@link LOC2VEC}. */
export function countParameters(architecture: Architecture): number {
  return parametersOf(architecture).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
