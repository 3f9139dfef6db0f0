import { randomOf } from "@loc2vec/core";
import { createEncoder, initialWeights, LOC2VEC, NETWORKS } from "@loc2vec/encoder";
import type { Tensorflow } from "@loc2vec/tensorflow";
import { takeStep } from "@loc2vec/trainer";
import { withBinding } from "./binding.ts";
import { miniBatchOf, settingsOf } from "./mini-batch.ts";

/** An op of TensorFlow's and the types that it is run with, by its attributes' names, e.g. `{ T: "bfloat16" }`. */
export interface TypedOp {
  op: string;
  types: Readonly<Record<string, string>>;
}

/** What runs ops. */
export const USES = ["float32 step", "mixed step", "embedding"] as const;
export type Use = (typeof USES)[number];

export interface UsedOp extends TypedOp {
  /** In the order of {@link USES}. */
  uses: Use[];
  /** Names of the networks, in their order. */
  networks: string[];
}

/** Numbers of TensorFlow's `types.proto`. */
const TYPES: Readonly<Record<number, string>> = {
  1: "float32",
  2: "float64",
  3: "int32",
  4: "uint8",
  7: "string",
  8: "complex64",
  9: "int64",
  10: "bool",
  14: "bfloat16",
};

/** Tiles of a mini-batch: the ops do not depend on how many. */
const SHAPE = { locations: 2, pairs: 1 };

/**
 * The ops that the farm runs on a GPU: it takes a real training step of each network in each precision and embeds, as a GPU
 * would have it done, and notes what is asked of TensorFlow.
 *
 * @returns sorted by name and types
 */
export function recordGpuOps(tensorflow: Tensorflow): UsedOp[] {
  const ops = new Map<string, UsedOp>();
  for (const [network, layers] of Object.entries(NETWORKS)) {
    for (const use of USES) {
      recording(tensorflow, (recorded) => {
        const precision = use === "mixed step" ? "mixed" : "float32";
        const architecture = { ...LOC2VEC, layers };
        const random = randomOf(1);
        const bytes = architecture.channels * architecture.pixels ** 2;
        const tiles = Array.from({ length: SHAPE.locations * (1 + SHAPE.pairs) }, () =>
          new Uint8Array(bytes).map(() => random.int(256)),
        );
        const encoder = createEncoder(recorded, architecture, initialWeights(architecture, 1), { precision });
        if (use === "embedding") encoder.embed(tiles);
        else
          takeStep(
            encoder,
            miniBatchOf(tiles, SHAPE, architecture, 1),
            settingsOf(layers, architecture, precision),
          );
        encoder.dispose();
      }).forEach((each) => {
        const key = nameOf(each);
        const known = ops.get(key) ?? { ...each, uses: [], networks: [] };
        ops.set(key, known);
        if (!known.uses.includes(use)) known.uses.push(use);
        if (!known.networks.includes(network)) known.networks.push(network);
      });
    }
  }
  const inOrder = (uses: readonly Use[]): Use[] => USES.filter((use) => uses.includes(use));
  return [...ops.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, op]) => ({ ...op, uses: inOrder(op.uses) }));
}

/** E.g. `Conv2D (T = bfloat16)`. */
export function nameOf({ op, types }: TypedOp): string {
  const list = Object.entries(types).map(([name, type]) => `${name} = ${type}`);
  return list.length === 0 ? op : `${op} (${list.join(", ")})`;
}

/** Runs work on a TensorFlow that says of itself that it is on a GPU. @returns the ops that were run, each once */
function recording(tensorflow: Tensorflow, work: (recorded: Tensorflow) => void): TypedOp[] {
  const noted = new Map<string, TypedOp>();
  withBinding(
    tensorflow,
    (binding) => ({
      executeOp: (op, attributes, ...rest) => {
        const types = attributes
          .filter(({ type }) => type === binding.TF_ATTR_TYPE)
          .map(({ name, value }) => [name, TYPES[value as number] ?? `type ${value}`] as const);
        const each = { op, types: Object.fromEntries(types.sort()) };
        noted.set(nameOf(each), each);
        return binding.executeOp(op, attributes, ...rest);
      },
    }),
    () => work({ ...tensorflow, device: "GPU" }),
  );
  return [...noted.values()];
}
