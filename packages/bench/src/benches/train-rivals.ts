import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FarmError } from "@loc2vec/core";
import { DROPOUT, LOC2VEC, type Triplet } from "@loc2vec/encoder";
import type { FarmContext } from "@loc2vec/farm";
import type { Tensorflow } from "@loc2vec/tensorflow";
import { withFolder } from "../harness.ts";
import { runPython, TORCH_PACKAGES, tensorflowPackages } from "../python.ts";

/** What the others train on: the mini-batch that ours trains on. */
export interface RivalTask {
  /** Planar uint8 [channel, y, x], each. */
  tiles: readonly Uint8Array[];
  triplets: readonly Triplet[];
  /** Steps between two looks at the clock. */
  steps: number;
  repeats: number;
}

interface KerasReport {
  tensorflow: string;
  parameters: number;
  first_loss: number;
  steps_per_s: number;
  mixed_first_loss: number;
  mixed_steps_per_s: number;
  naive_steps_per_s: number;
  matmul_gflops: number;
  peak_rss_mb: number;
}

interface TorchReport {
  torch: string;
  device: "cpu" | "cuda";
  threads: number;
  parameters: number;
  float32_first_loss: number;
  float32_steps_per_s: number;
  mixed_first_loss: number;
  mixed_steps_per_s: number;
  compiled_float32_steps_per_s?: number;
  compiled_mixed_steps_per_s?: number;
  /** Why it was not compiled. */
  not_compiled?: string;
  peak_rss_mb: number;
}

/** Keras and PyTorch, one after the other, each in a process of its own. */
export interface Rivals {
  keras: KerasReport;
  torch: TorchReport;
  /** Steps a second of the fastest of them, by precision. */
  fastest: { float32: number; mixed: number };
}

/** @throws FarmError `internal` where a rival's network has not as many parameters as ours */
export async function timeRivals(
  context: FarmContext,
  tensorflow: Tensorflow,
  parameters: number,
  { tiles, triplets, steps, repeats }: RivalTask,
): Promise<Rivals> {
  const { log } = context;
  const { keras, torch } = await withFolder(async (folder) => {
    const path = join(folder, "tiles");
    await writeFile(path, Buffer.concat(tiles));
    const rows = triplets.map(({ anchor, positive, negative }) => [anchor, positive, negative]);
    const task = { tiles: path, triplets: rows, steps, repeats };
    log("bench: Keras");
    const packages = tensorflowPackages(tensorflow);
    const keras = await runPython<KerasReport>(context, packages, "keras_train.py", task);
    log("bench: PyTorch");
    const network = { layers: LOC2VEC.layers, dropout: DROPOUT };
    const own = { ...task, ...network };
    return { keras, torch: await runPython<TorchReport>(context, TORCH_PACKAGES, "torch_train.py", own) };
  });
  for (const [name, rival] of Object.entries({ Keras: keras, PyTorch: torch })) {
    if (rival.parameters !== parameters)
      throw new FarmError("internal", `${name} has ${rival.parameters} parameters, not ${parameters}`);
  }
  if (torch.not_compiled !== undefined) log(`bench: PyTorch was not compiled: ${torch.not_compiled}`);
  const fastest = {
    float32: Math.max(keras.steps_per_s, torch.float32_steps_per_s, torch.compiled_float32_steps_per_s ?? 0),
    mixed: Math.max(keras.mixed_steps_per_s, torch.mixed_steps_per_s, torch.compiled_mixed_steps_per_s ?? 0),
  };
  return { keras, torch, fastest };
}
