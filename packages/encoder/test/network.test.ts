import { FarmError } from "@loc2vec/core";
import { expect, test } from "vitest";
import {
  type Architecture,
  architectureSchema,
  checkWeights,
  compactNetwork,
  countParameters,
  describeArchitecture,
  describeNetwork,
  embeddingSize,
  initialWeights,
  LOC2VEC,
  layersOf,
  NETWORKS,
  networkOf,
  networkSchema,
  parametersOf,
  storedArchitecture,
} from "../src/index.ts";

const BOTH = { normalization: "batch", activation: "leaky relu" } as const;
const CONV = { kind: "conv", filters: 8, size: 3, ...BOTH } as const;
const POOL = { kind: "pool" } as const;
const FLATTEN = { kind: "flatten" } as const;
const EMBEDDING = { kind: "dense", units: 4 } as const;

/** What is wrong with a network: the message and how to mend it. */
function problemOf(work: () => unknown): { kind: string; line: string } {
  try {
    work();
  } catch (error) {
    if (error instanceof FarmError) return { kind: error.kind, line: error.line };
    throw error;
  }
  throw new Error("nothing was wrong");
}

test("a network is a name, a list of layers, or Loc2Vec's kind in short: all are read to the same list", () => {
  const short = { pooled: [32, 64, 64, 128, 128], pointwise: [128, 16], dense: 16, embedding: 16 };
  for (const input of ["paper", short, NETWORKS.paper, JSON.parse(JSON.stringify(NETWORKS.paper))])
    expect(networkOf(input)).toEqual(NETWORKS.paper);
  expect(networkOf([CONV, POOL, FLATTEN, EMBEDDING]).at(-1)).toEqual({
    ...EMBEDDING,
    normalization: "none",
    activation: "none",
  });
  expect(compactNetwork(NETWORKS.paper)).toEqual(short);
  const own = networkOf([{ ...CONV, size: 5 }, POOL, FLATTEN, EMBEDDING]);
  expect(compactNetwork(own)).toBe(own);
  expect(Object.keys(NETWORKS).map((name) => describeNetwork(networkOf(name)))).toEqual(
    Object.keys(NETWORKS),
  );
  expect(describeNetwork(networkOf({ pooled: [8], pointwise: [], dense: 4, embedding: 3 }))).toBe(
    '{"pooled":[8],"pointwise":[],"dense":4,"embedding":3}',
  );
  expect(JSON.parse(describeNetwork(own))).toEqual(own);
});

test("paper is the list that has 305,040 parameters", () => {
  expect(countParameters({ channels: 12, pixels: 128, layers: networkOf("paper") })).toBe(305_040);
  expect(countParameters({ ...LOC2VEC, layers: NETWORKS.small })).toBe(81_552);
  expect(countParameters({ ...LOC2VEC, layers: NETWORKS.large })).toBe(1_208_080);
  expect(layersOf(LOC2VEC).map(({ name }) => name)).toEqual(
    "conv1 pool1 conv2 pool2 conv3 pool3 conv4 pool4 conv5 pool5 conv6 conv7 flatten1 dense embedding".split(
      " ",
    ),
  );
  expect(layersOf(LOC2VEC).map(({ output }) => output.join("×"))).toEqual(
    (
      "128×128×32 64×64×32 64×64×64 32×32×64 32×32×64 16×16×64 16×16×128 8×8×128 8×8×128 4×4×128 " +
      "4×4×128 4×4×16 256 16 16"
    ).split(" "),
  );
  expect(embeddingSize({ ...LOC2VEC, layers: networkOf([FLATTEN, EMBEDDING]) })).toBe(4);
});

test("weights are named by kind and number, the first dense layer and the embedding as of old", () => {
  const dense = { kind: "dense", units: 5, normalization: "none", activation: "leaky relu" } as const;
  const layers = networkOf([
    POOL,
    { ...CONV, normalization: "none" },
    CONV,
    FLATTEN,
    dense,
    dense,
    EMBEDDING,
  ]);
  const architecture: Architecture = { channels: 2, pixels: 4, layers };
  expect(parametersOf(architecture).map(({ name, shape }) => `${name} ${shape}`)).toEqual([
    "conv1.kernel 3,3,2,8",
    "conv1.bias 8",
    "conv2.kernel 3,3,8,8",
    ...["gamma", "beta", "mean", "variance"].map((name) => `conv2.${name} 8`),
    "dense.kernel 32,5",
    "dense.bias 5",
    "dense2.kernel 5,5",
    "dense2.bias 5",
    "embedding.kernel 5,4",
    "embedding.bias 4",
  ]);
  const weights = initialWeights(architecture, 1);
  expect(() => checkWeights(architecture, weights, "here")).not.toThrow();
  expect(() => checkWeights(LOC2VEC, weights, "here")).toThrow(
    /^here: weight conv1.kernel has shape 3,3,2,8, not 3,3,12,32$/,
  );
});

test.each([
  ["tiny", /^the network: Invalid option: expected one of "small"\|"paper"\|"large"/],
  [{ pooled: [], pointwise: [], dense: 4, embedding: 4 }, /^the network, pooled: /],
  [{ pooled: [8], pointwise: [0], dense: 4, embedding: 4 }, /^the network, pointwise\.0: /],
  [{ pooled: [8], dense: 4, embedding: 4 }, /^the network, pointwise: /],
  [7, /^the network: .*expected object/],
  [[], /^the network: .*>=1 items/],
  [[CONV, { kind: "cnv" }], /^the network: layer 2, kind: Invalid/],
  [[CONV, { ...CONV, filters: 0 }], /^the network: layer 2, filters: Too small/],
  [[{ ...CONV, size: 2 }], /^the network: layer 1, size: Invalid/],
  [[{ ...POOL, size: 3 }], /^the network: layer 1: Unrecognized key: "size"/],
  [
    [CONV, { ...EMBEDDING }],
    /^the network: layer 2 \(dense\): takes a vector, .* give a feature map of .* \(mend: put a flatten layer before it\)$/,
  ],
  [
    [FLATTEN, CONV, EMBEDDING],
    /^the network: layer 2 \(conv\): takes a feature map, .* \(mend: put it before the flatten layer\)$/,
  ],
  [[FLATTEN, POOL, EMBEDDING], /^the network: layer 2 \(pool\): takes a feature map/],
  [[FLATTEN, FLATTEN, EMBEDDING], /^the network: layer 2 \(flatten\): takes a feature map/],
  [[CONV, FLATTEN], /^the network: layer 2 \(flatten\): the last layer is the embedding/],
  [
    [CONV, FLATTEN, { ...EMBEDDING, normalization: "batch" }],
    /^the network: layer 3 \(dense\): the last layer is the embedding, and must be dense without normalization/,
  ],
  [
    [FLATTEN, { ...EMBEDDING, activation: "leaky relu" }],
    /^the network: layer 2 \(dense\): the last layer is the embedding/,
  ],
  [
    [CONV, POOL, { kind: "global pool", also: ["pool2"] }, EMBEDDING],
    /^the network: layer 3 \(global pool\): "also" names "pool2", which is no layer from the first convolution .*: conv1, pool1\)$/,
  ],
  [
    [POOL, CONV, { kind: "global pool", also: ["pool1"] }, EMBEDDING],
    /^the network: layer 3 \(global pool\): "also" names "pool1", .*\(mend: one or more of: conv1\)$/,
  ],
  [
    [CONV, { kind: "global pool", also: ["conv1", "conv1"] }, EMBEDDING],
    /^the network: layer 2, also: a layer that is named twice$/,
  ],
])("what makes no sense is a usage error that names the layer: %j", (input, message) => {
  const problem = problemOf(() => networkOf(input));
  expect(problem.line).toMatch(message);
  expect(problem.kind).toBe("usage");
  expect(networkSchema.safeParse(input).success).toBe(false);
});

test("halved tiles are what the first layer takes, and a network that pools globally takes any", () => {
  const global = { channels: 12, pixels: 128, layers: networkOf("global") };
  expect(countParameters(global)).toBe(348_944);
  expect(countParameters({ ...global, pixels: 64, halvings: 2 })).toBe(348_944);
  const small = { ...LOC2VEC, halvings: 2 };
  expect(layersOf(small)[0]?.input).toEqual([32, 32, 12]);
  expect(layersOf(small).find(({ name }) => name === "flatten1")?.output).toEqual([16]);
  expect(problemOf(() => layersOf({ ...LOC2VEC, halvings: 3 })).line).toContain(
    "tiles of 16 pixels cannot be halved 5 times",
  );
  expect(problemOf(() => layersOf({ ...LOC2VEC, pixels: 36, halvings: 3 })).line).toContain(
    "tiles of 36 pixels cannot be halved 3 times",
  );
  expect(describeArchitecture(LOC2VEC)).toBe("the network paper");
  expect(describeArchitecture({ ...global, halvings: 1, turns: 4 })).toBe(
    "the network global on tiles halved once, averaged over 4 turns",
  );
});

test("sides that cannot be halved so often are refused where the tiles are known", () => {
  const layers = networkOf([CONV, POOL, POOL, CONV, POOL, FLATTEN, EMBEDDING]);
  expect(layersOf({ channels: 1, pixels: 24, layers }).at(-2)?.output).toEqual([72]);
  expect(problemOf(() => countParameters({ channels: 1, pixels: 20, layers }))).toEqual({
    kind: "usage",
    line: "layer 5 (pool): tiles of 20 pixels cannot be halved 3 times (mend: tiles of a multiple of 8 pixels, or fewer layers that halve)",
  });
});

test("architectures are stored in short where they can be, and checkpoints of old are read", () => {
  const old = {
    ...{ channels: 12, pixels: 128, pooled: [32, 64, 64, 128, 128], pointwise: [128, 16] },
    ...{ dense: 16, embedding: 16 },
  };
  expect(architectureSchema.parse(old)).toEqual(LOC2VEC);
  expect(JSON.stringify(storedArchitecture(LOC2VEC))).toBe(JSON.stringify(old));
  const listed = { channels: 3, pixels: 8, layers: networkOf([POOL, FLATTEN, EMBEDDING]) };
  expect(storedArchitecture(listed)).toEqual(listed);
  expect(architectureSchema.parse(JSON.parse(JSON.stringify(listed)))).toEqual(listed);
  expect(architectureSchema.safeParse({ ...listed, layers: [POOL] }).error?.issues[0]?.message).toMatch(
    /^layer 1 \(pool\): the last layer is the embedding/,
  );
  const chosen = { ...listed, halvings: 1, turns: 4 } as const;
  expect(architectureSchema.parse(JSON.parse(JSON.stringify(storedArchitecture(chosen))))).toEqual(chosen);
  expect(storedArchitecture({ ...chosen, halvings: 0, turns: 1 })).toEqual(listed);
  expect(architectureSchema.safeParse({ ...old, turns: 2 }).error?.issues[0]?.path).toEqual(["turns"]);
  expect(architectureSchema.safeParse({ ...old, dense: 0 }).error?.issues[0]?.path).toEqual(["dense"]);
  expect(architectureSchema.safeParse({ ...old, pixels: "128" }).error?.issues[0]?.path).toEqual(["pixels"]);
});
