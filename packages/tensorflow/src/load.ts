import { createRequire } from "node:module";
import { errorMessage, FarmError } from "@loc2vec/core";
import type * as tfjs from "@tensorflow/tfjs";
import type { NodeBackend } from "./backend.ts";
import { hasBfloat16 } from "./bfloat16.ts";
import { opRunner, type RunOp } from "./ops.ts";
import { loadWithoutNotices } from "./stderr.ts";
import { boundPackage } from "./tfjs.ts";

const require = createRequire(import.meta.url);
const SETUP = "npm run setup binds TensorFlow; pnpm farm:doctor says what is missing";

export interface Tensorflow {
  /** The tfjs API, on the native backend. */
  readonly tf: typeof tfjs;
  /** Version of the native library, e.g. `2.21.0`. */
  readonly version: string;
  readonly device: "CPU" | "GPU";
  /** Whether it multiplies bfloat16 in hardware. */
  readonly bfloat16: boolean;
  /** Whether it has kernels for bfloat16 at all: tfjs-node's own TensorFlow is older than they. */
  readonly bfloat16Kernels: boolean;
  readonly op: RunOp;
  /** A uint8 tensor in the array's own memory, which must stay as it is meanwhile. */
  bytes(values: Uint8Array, shape: readonly number[]): tfjs.Tensor;
}

let loaded: Promise<Tensorflow> | undefined;

/**
 * Loads tfjs-node or tfjs-node-gpu, whichever the setup has bound, with its native TensorFlow. Never falls back to a slower backend.
 *
 * @throws FarmError `missing` when it is not set up, or does not load
 */
export function loadTensorflow(): Promise<Tensorflow> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Tensorflow> {
  const tfjsNode = boundPackage();
  if (tfjsNode === undefined) throw new FarmError("tensorflow-missing", "TensorFlow is not set up", SETUP);
  // Read when the library starts: its notes on CPU features are of no use to users.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
  process.env.TF_ENABLE_ONEDNN_OPTS ??= "1";
  // tfjs-node calls them; Node 23 removed them, and Node 22 warns of them.
  const util = require("node:util") as Record<string, (value: unknown) => boolean>;
  util.isNullOrUndefined = (value) => value === null || value === undefined;
  util.isArray = Array.isArray;
  let tf: typeof tfjs;
  try {
    tf = loadWithoutNotices(() => quietly(() => require(tfjsNode) as typeof tfjs));
    await tf.ready();
  } catch (error) {
    throw new FarmError("tensorflow-missing", `TensorFlow does not load: ${errorMessage(error)}`, SETUP, {
      cause: error,
    });
  }
  if (tf.getBackend() !== "tensorflow") {
    throw new FarmError(
      "tensorflow-missing",
      `TensorFlow.js chose the backend ${tf.getBackend()}, not the native one`,
      SETUP,
    );
  }
  const backend = tf.backend() as unknown as NodeBackend;
  const version = backend.binding.TF_Version;
  const device = backend.isUsingGpuDevice ? "GPU" : "CPU";
  const bfloat16Kernels = !version.startsWith("2.9.");
  return {
    tf,
    version,
    device,
    bfloat16: bfloat16Kernels && hasBfloat16(device),
    bfloat16Kernels,
    op: opRunner(tf, backend),
    bytes: (values, shape) => {
      const tensor = tf.tensor(values, [...shape], "bool");
      backend.tensorMap.get(tensor.dataId).dtype = backend.binding.TF_UINT8 as number;
      return tensor;
    },
  };
}

/** tfjs greets on the console on its first import. */
function quietly<T>(work: () => T): T {
  const { info, log, warn } = console;
  Object.assign(console, { info: () => {}, log: () => {}, warn: () => {} });
  try {
    return work();
  } finally {
    Object.assign(console, { info, log, warn });
  }
}
