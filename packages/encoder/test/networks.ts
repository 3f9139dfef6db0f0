import { randomOf } from "@loc2vec/core";
import { type Architecture, initialWeights, networkOf, parametersOf, type Weights } from "../src/index.ts";

const FOLLOWED = { normalization: "batch", activation: "leaky relu" } as const;
/** Small, so that gradients are soon taken. */
export const TILE = { channels: 3, pixels: 16 };
const EMBEDDING = { kind: "dense", units: 4, normalization: "none", activation: "none" } as const;

/** Layers of every kind, by what is special of them. */
export const SMALL_LAYERS = {
  /** Of Loc2Vec's kind. */
  small: networkOf({ pooled: [6, 6], pointwise: [5], dense: 6, embedding: 4 }),
  blurred: [
    { kind: "conv", filters: 5, size: 5, normalization: "none", activation: "leaky relu" },
    { kind: "blur pool" },
    { kind: "conv", filters: 4, size: 3, ...FOLLOWED },
    { kind: "blur pool" },
    { kind: "flatten" },
    EMBEDDING,
  ],
  global: [
    { kind: "conv", filters: 5, size: 3, ...FOLLOWED },
    { kind: "pool" },
    { kind: "conv", filters: 4, size: 3, ...FOLLOWED },
    { kind: "global pool", also: ["conv1", "pool1"] },
    { kind: "dense", units: 6, ...FOLLOWED },
    EMBEDDING,
  ],
} as const satisfies Record<string, Architecture["layers"]>;

/** Of Loc2Vec's kind. */
export const SMALL: Architecture = { ...TILE, layers: SMALL_LAYERS.small };

/** Networks that have every kind of layer between them, by what is special of them. */
export const NETWORKS: Readonly<Record<string, Architecture>> = {
  "of Loc2Vec's kind": SMALL,
  "with blur pools and a bias": { ...TILE, layers: SMALL_LAYERS.blurred },
  "with a global pool of several maps, halved and turned": {
    ...TILE,
    ...{ pixels: 32, halvings: 1, turns: 4 },
    layers: SMALL_LAYERS.global,
  },
};

/** One convolution without anything after it, then all of it in two numbers. */
export const LINEAR: Architecture = {
  channels: 2,
  pixels: 8,
  layers: [
    { kind: "conv", filters: 3, size: 3, normalization: "none", activation: "none" },
    { kind: "flatten" },
    { kind: "dense", units: 2, normalization: "none", activation: "none" },
  ],
};

/** As after a training: statistics, shifts and scales that are not those of the beginning. */
export function trainedLike(
  architecture: Architecture,
): Map<string, { shape: readonly number[]; data: Float32Array }> {
  const weights = new Map(initialWeights(architecture, 3));
  for (const [at, { name, initial, shape }] of parametersOf(architecture).entries()) {
    if (initial === undefined) continue;
    const random = randomOf(5, at);
    const spread = name.endsWith("variance") ? 0.05 : 0.2;
    const data = new Float32Array(shape[0] as number).map(() =>
      Math.max(initial * 0.02, initial + spread * random.normal()),
    );
    weights.set(name, { shape, data });
  }
  return weights;
}

/** A weight's numbers, to change. */
export function dataOf(weights: Weights, name: string): Float32Array {
  const weight = weights.get(name);
  if (weight === undefined) throw new Error(name);
  return weight.data;
}
