import { z } from "zod";
import { sizeOf } from "./layers/shape.ts";
import { type Architecture, layersOf } from "./layout.ts";
import {
  compactNetwork,
  NETWORKS,
  type Network,
  type NetworkInput,
  networkSchema,
  type Shorthand,
} from "./network.ts";
import { PARTS } from "./parts/index.ts";
import { followingParts } from "./steps.ts";

/** The network of Loc2Vec (2018) on its tiles: 305,040 parameters. */
export const LOC2VEC: Architecture = { channels: 12, pixels: 128, layers: NETWORKS.paper };

/** An architecture as it is stored: its network's layers, or, beside the tiles' size, what it is in short. */
export type StoredArchitecture = { channels: number; pixels: number } & ({ layers: Network } | Shorthand);

const sizedSchema = z
  .looseObject({ channels: z.int(), pixels: z.int() })
  .transform(({ channels, pixels, ...network }, context): Architecture => {
    const input = "layers" in network ? network.layers : network;
    const parsed = networkSchema.safeParse(input as NetworkInput);
    if (parsed.success) return { channels, pixels, layers: parsed.data };
    for (const { message, path } of parsed.error.issues) context.addIssue({ code: "custom", message, path });
    return z.NEVER;
  });

/** Reads an architecture as checkpoints hold it, {@link StoredArchitecture}. */
export const architectureSchema = sizedSchema as unknown as z.ZodType<Architecture, StoredArchitecture>;

/** In short where it can be, so that what was written before networks were lists stays the same bytes. */
export function storedArchitecture({ channels, pixels, layers }: Architecture): StoredArchitecture {
  const network = compactNetwork(layers);
  return "pooled" in network ? { channels, pixels, ...network } : { channels, pixels, layers: network };
}

/** Numbers of an embedding. */
export function embeddingSize(architecture: Architecture): number {
  return layersOf(architecture).at(-1)?.output[0] as number;
}

/** A weight of a network. */
export interface ParameterSpec {
  /** E.g. `conv1.kernel`. */
  name: string;
  shape: readonly number[];
  /** False for batch normalization's running mean and variance. */
  trained: boolean;
  /** What each of its numbers is before training; undefined for a kernel, which is drawn. */
  initial: number | undefined;
}

/** Every weight of the network, in a fixed order. Batch normalization has four vectors, as Keras counts them. */
export function parametersOf(architecture: Architecture): ParameterSpec[] {
  return layersOf(architecture).flatMap((layer): ParameterSpec[] => {
    if (layer.kernel === undefined) return [];
    const shape = [layer.output.at(-1) as number];
    const following = followingParts(layer).flatMap((part) => PARTS[part].weights);
    return [
      { name: `${layer.name}.kernel`, shape: layer.kernel, trained: true, initial: undefined },
      ...following.map(({ name, ...rest }) => ({ name: `${layer.name}.${name}`, shape, ...rest })),
    ];
  });
}

/** How many numbers the weights are, running statistics among them: 305,040 for {@link LOC2VEC}. */
export function countParameters(architecture: Architecture): number {
  return parametersOf(architecture).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
