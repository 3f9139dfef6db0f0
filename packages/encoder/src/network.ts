import { FarmError } from "@loc2vec/core";
import { z } from "zod";
import { LAYER_KINDS, type LayerSpec } from "./layers/index.ts";
import { layersOf } from "./layout.ts";

/** A network as data: its layers in the order of computation. Tiles of any size pass it whose sides it can halve. */
export type Network = readonly LayerSpec[];

const count = z.int().min(1).max(4096);

/**
 * Loc2Vec's kind of network in short: 3×3 convolutions, each followed by pooling; 1×1 convolutions (Network in Network,
 * arXiv 1312.4400); a dense layer; the embedding.
 */
const shorthandSchema = z.strictObject({
  /** Filters of the 3×3 convolutions. */
  pooled: z.array(count).min(1).readonly(),
  /** Filters of the 1×1 convolutions. */
  pointwise: z.array(count).readonly(),
  /** Units of the dense layer. */
  dense: count,
  embedding: count,
});
export type Shorthand = z.infer<typeof shorthandSchema>;

const FOLLOWED = { normalization: "batch", activation: "leaky relu" } as const;

/** Batch normalization and LeakyReLU follow every layer but the last, which alone has a bias. */
function expand({ pooled, pointwise, dense, embedding }: Shorthand): Network {
  return [
    ...pooled.flatMap(
      (filters): Network => [{ kind: "conv", filters, size: 3, ...FOLLOWED }, { kind: "pool" }],
    ),
    ...pointwise.map((filters) => ({ kind: "conv", filters, size: 1, ...FOLLOWED }) as const),
    { kind: "flatten" },
    { kind: "dense", units: dense, ...FOLLOWED },
    { kind: "dense", units: embedding, normalization: "none", activation: "none" },
  ];
}

/** Convolutions as Loc2Vec's, then what the whole tile shows, wherever it lies: lines and corners as well as what they make up. */
const GLOBAL: Network = [
  ...[32, 64, 64, 128].flatMap(
    (filters): Network => [{ kind: "conv", filters, size: 3, ...FOLLOWED }, { kind: "pool" }],
  ),
  { kind: "conv", filters: 128, size: 3, ...FOLLOWED },
  { kind: "conv", filters: 128, size: 1, ...FOLLOWED },
  { kind: "global pool", also: ["pool2", "pool3", "pool4"] },
  { kind: "dense", units: 64, ...FOLLOWED },
  { kind: "dense", units: 16, normalization: "none", activation: "none" },
];

/**
 * Networks by name. `paper` is that of Loc2Vec (2018), in the reading that gives its published count of parameters; on
 * tiles of 12 × 128 × 128 it and its neighbours have 81,552, 305,040 and 1,208,080. `global` has 348,944 on tiles of any
 * size.
 */
export const NETWORKS = {
  small: expand({ pooled: [16, 32, 32, 64, 64], pointwise: [64, 16], dense: 16, embedding: 16 }),
  paper: expand({ pooled: [32, 64, 64, 128, 128], pointwise: [128, 16], dense: 16, embedding: 16 }),
  large: expand({ pooled: [64, 128, 128, 256, 256], pointwise: [256, 32], dense: 32, embedding: 16 }),
  global: GLOBAL,
} as const satisfies Record<string, Network>;

export type NetworkName = keyof typeof NETWORKS;

/** What a network can be given as: its name, its layers, or Loc2Vec's kind in short. */
export type NetworkInput = NetworkName | Network | Shorthand;

const layerSchema = z.discriminatedUnion(
  "kind",
  Object.values(LAYER_KINDS).map(({ schema }) => schema) as unknown as [z.ZodObject<{ kind: z.ZodLiteral }>],
) as unknown as z.ZodType<LayerSpec>;

/** So large that it can be halved as often as any list does: what is wrong with a list then is wrong for every tile. */
const LARGE_TILE = { channels: 1, pixels: 2 ** 30 };

const layersSchema = z
  .array(layerSchema)
  .min(1)
  .max(100)
  .superRefine((layers, context) => {
    try {
      layersOf({ ...LARGE_TILE, layers });
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      context.addIssue({ code: "custom", message: error.line });
    }
  });

const nameSchema = z
  .enum(Object.keys(NETWORKS) as [NetworkName, ...NetworkName[]])
  .transform((name) => NETWORKS[name]);

/**
 * Reads a network as it is given, {@link NetworkInput}, to its layers. What is wrong is said of the form that was meant:
 * the list's layers are named by their places, from 1.
 */
export const networkSchema: z.ZodType<Network, NetworkInput> = z
  .custom<NetworkInput>(() => true)
  .transform((input: unknown, context): Network => {
    const parsed =
      typeof input === "string"
        ? nameSchema.safeParse(input)
        : Array.isArray(input)
          ? layersSchema.safeParse(input)
          : shorthandSchema.transform(expand).safeParse(input);
    if (parsed.success) return parsed.data;
    for (const { message, path } of parsed.error.issues) {
      const [at, ...fields] = path;
      if (Array.isArray(input) && typeof at === "number") {
        const where = [`layer ${at + 1}`, ...fields].join(", ");
        context.addIssue({ code: "custom", message: `${where}: ${message}` });
      } else context.addIssue({ code: "custom", message, path });
    }
    return z.NEVER;
  });

/**
 * A network's layers, however it is given.
 *
 * @param input a {@link NetworkInput}, or what is to be one
 * @throws FarmError `usage` saying what is wrong with it
 */
export function networkOf(input: unknown): Network {
  const parsed = networkSchema.safeParse(input as NetworkInput);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new FarmError("usage", `the network${field === "" ? "" : `, ${field}`}: ${issue?.message}`);
}

/** The network in short where it is of Loc2Vec's kind, as data sets' models have it written; else its layers. */
export function compactNetwork(network: Network): Network | Shorthand {
  const filtersOf = (size: number): number[] =>
    network.flatMap((spec) => (spec.kind === "conv" && spec.size === size ? [spec.filters] : []));
  const [dense, embedding] = network.flatMap((spec) => (spec.kind === "dense" ? [spec.units] : []));
  if (dense === undefined || embedding === undefined) return network;
  const short = { pooled: filtersOf(3), pointwise: filtersOf(1), dense, embedding };
  return sameNetwork(expand(short), network) ? short : network;
}

const sameNetwork = (one: Network, other: Network): boolean => JSON.stringify(one) === JSON.stringify(other);

/** The name of a network, or else what it is made of as JSON. */
export function describeNetwork(network: Network): string {
  const preset = Object.entries(NETWORKS).find(([, layers]) => sameNetwork(layers, network));
  return preset?.[0] ?? JSON.stringify(compactNetwork(network));
}
