import { z } from "zod";
import { sizeOf } from "./layers/shape.ts";
import { type Architecture, layersOf, MOST_HALVINGS, TURNS } from "./layout.ts";
import {
  compactNetwork,
  describeNetwork,
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
export type StoredArchitecture = Omit<Architecture, "layers"> & ({ layers: Network } | Shorthand);

const sizedSchema = z
  .looseObject({
    ...{ channels: z.int(), pixels: z.int() },
    halvings: z.int().min(0).max(MOST_HALVINGS).default(0),
    turns: z.literal(TURNS).default(1),
  })
  .transform(({ channels, pixels, halvings, turns, ...network }, context): Architecture => {
    const input = "layers" in network ? network.layers : network;
    const parsed = networkSchema.safeParse(input as NetworkInput);
    if (parsed.success) return { channels, pixels, ...chosenOf({ halvings, turns }), layers: parsed.data };
    for (const { message, path } of parsed.error.issues) context.addIssue({ code: "custom", message, path });
    return z.NEVER;
  });

/** Reads an architecture as checkpoints hold it, {@link StoredArchitecture}. */
export const architectureSchema = sizedSchema as unknown as z.ZodType<Architecture, StoredArchitecture>;

/** What of it is not the default: architectures of before there was a choice stay the same bytes. */
export function chosenOf({
  halvings = 0,
  turns = 1,
}: Pick<Architecture, "halvings" | "turns">): Pick<Architecture, "halvings" | "turns"> {
  return { ...(halvings === 0 ? {} : { halvings }), ...(turns === 1 ? {} : { turns }) };
}

/** In short where it can be, so that what was written before networks were lists stays the same bytes. */
export function storedArchitecture({ channels, pixels, layers, ...rest }: Architecture): StoredArchitecture {
  const network = compactNetwork(layers);
  const tile = { channels, pixels, ...chosenOf(rest) };
  return "pooled" in network ? { ...tile, ...network } : { ...tile, layers: network };
}

/** For people: the network, and how often tiles are halved and turned where they are. */
export function describeArchitecture({ layers, halvings = 0, turns = 1 }: Architecture): string {
  const halved = halvings === 0 ? "" : ` on tiles halved ${halvings === 1 ? "once" : `${halvings} times`}`;
  const averaged = turns === 1 ? "" : `, averaged over ${turns} turns`;
  return `the network ${describeNetwork(layers)}${halved}${averaged}`;
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
