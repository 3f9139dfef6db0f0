import { whole } from "@loc2vec/cli";
import { FarmError } from "@loc2vec/core";
import {
  countParameters,
  createEncoder,
  initialWeights,
  LOC2VEC,
  layersOf,
  sizeOf,
  type Triplet,
} from "@loc2vec/encoder";
import { type FarmContext, machine } from "@loc2vec/farm";
import { sampleLocations } from "@loc2vec/gis";
import { median } from "@loc2vec/numeric";
import { loadTensorflow, type Tensorflow } from "@loc2vec/tensorflow";
import { takeStep } from "@loc2vec/trainer";
import { defineBench, type MapOptions, mapOption, repeatsOption } from "../bench.ts";
import { withMap } from "../map.ts";
import { drawTriplets, miniBatchOf, settingsOf } from "../mini-batch.ts";
import { composedStep } from "./train-composed.ts";
import { hostMs, type ProfileRow, profileStep } from "./train-profile.ts";
import { timeRivals } from "./train-rivals.ts";

const SHAPE = { locations: 20, pairs: 5 };
/** Steps between two looks at the clock. */
const STEPS = 4;
/** Steps that are profiled. */
const PROFILED = 8;
/** Looks at memory, after the first. */
const LOOKS = 8;

interface TrainOptions extends MapOptions {
  repeats: number;
  steps: number;
}

export const train = defineBench({
  name: "train",
  description: "training steps a second, beside Keras on the same TensorFlow, and PyTorch",
  options: (command) =>
    command
      .addOption(mapOption())
      .option("--steps <n>", "steps over which memory is watched", whole(4), 200)
      .addOption(repeatsOption()),
  measure: (context, { pbf, repeats, steps }: TrainOptions) =>
    withMap(context, pbf, async ({ databaseUrl, render }) => {
      const sampled = await sampleLocations({ databaseUrl, count: SHAPE.locations, seed: 1 });
      const tiles = (await render(sampled)).flatMap((samples) => samples.slice(0, 1 + SHAPE.pairs));
      return measureTraining({ context, tiles, repeats, steps });
    }),
});

interface TrainSubject {
  context: FarmContext;
  /** For 20 locations the anchor and 5 positives: planar uint8 [channel, y, x]. */
  tiles: readonly Uint8Array[];
  repeats: number;
  /** Steps over which memory is watched. */
  steps: number;
}

/**
 * Training steps per second, ours and those of the same network and loss in Keras on the same TensorFlow and in PyTorch, on
 * one mini-batch of 120 images; ours per op, and what it were of tfjs's own ops.
 */
async function measureTraining({ context, tiles, repeats, steps }: TrainSubject): Promise<object> {
  const { log } = context;
  const tensorflow = await loadTensorflow();
  const triplets = drawTriplets(SHAPE);
  log("bench: ours");
  const ours = timeOurs(tensorflow, tiles, repeats, steps);
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  log("bench: ours in mixed precision, per op, and composed of tfjs's ops");
  const mixed = stepper(tensorflow, tiles, "mixed");
  const mixedRate = timeSteps(mixed.train, repeats);
  const mixedOps = profileStep(tensorflow, mixed.train, PROFILED);
  mixed.dispose();
  const ops = profileOurs(tensorflow, tiles);
  const composed = timeComposed(tensorflow, tiles, triplets);
  const parameters = countParameters(LOC2VEC);
  const task = { tiles, triplets, steps: STEPS, repeats };
  const { keras, torch, fastest } = await timeRivals(context, tensorflow, parameters, task);
  const round = (value: number, digits = 3): number => Number(value.toFixed(digits));
  const roundOr = (value: number | undefined, reason: string | undefined): number | string =>
    value === undefined ? `not compiled: ${reason}` : round(value);
  const gflop = flopsPerStep(tiles.length) / 1e9;
  return {
    machine: machine(),
    tensorflow: tensorflow.version,
    keras_tensorflow: keras.tensorflow,
    torch: torch.torch,
    device: tensorflow.device,
    images: tiles.length,
    parameters,
    keras_parameters: keras.parameters,
    torch_parameters: torch.parameters,
    ours_steps_per_s: round(ours.rate),
    keras_steps_per_s: round(keras.steps_per_s),
    torch_steps_per_s: round(torch.float32_steps_per_s),
    torch_compiled_steps_per_s: roundOr(torch.compiled_float32_steps_per_s, torch.not_compiled),
    keras_naive_steps_per_s: round(keras.naive_steps_per_s),
    mixed_steps_per_s: round(mixedRate),
    keras_mixed_steps_per_s: round(keras.mixed_steps_per_s),
    torch_mixed_steps_per_s: round(torch.mixed_steps_per_s),
    torch_compiled_mixed_steps_per_s: roundOr(torch.compiled_mixed_steps_per_s, torch.not_compiled),
    composed_steps_per_s: round(composed.rate),
    // All that is not an op of TensorFlow's.
    host_ms_per_step: round(hostMs(ops), 2),
    mixed_host_ms_per_step: round(hostMs(mixedOps), 2),
    // Beside the fastest of Keras and PyTorch, as they are and compiled.
    ratio: round(ours.rate / fastest.float32),
    ratio_mixed: round(mixedRate / fastest.mixed),
    ratio_naive: round(ours.rate / keras.naive_steps_per_s),
    // Multiplications and additions of convolutions and matrices, forward and twice backward.
    gflops: round(gflop * ours.rate, 1),
    peak_gflops: round(ours.matmulGflops, 1),
    keras_peak_gflops: round(keras.matmul_gflops, 1),
    peak_rss_mb: peak,
    keras_peak_rss_mb: keras.peak_rss_mb,
    torch_peak_rss_mb: torch.peak_rss_mb,
    torch_threads: torch.threads,
    steps_watched: steps,
    rss_mb: ours.rss,
    tensors: ours.tensors,
    ops,
    composed_ops: composed.ops,
  };
}

interface Stepper {
  train: () => void;
  dispose: () => void;
}

/** One mini-batch again and again, as the trainer takes its steps. */
function stepper(
  tensorflow: Tensorflow,
  tiles: readonly Uint8Array[],
  precision: "float32" | "mixed",
): Stepper {
  const encoder = createEncoder(tensorflow, LOC2VEC, initialWeights(LOC2VEC, 0), { precision });
  const settings = settingsOf(LOC2VEC.layers, LOC2VEC, precision);
  const batch = miniBatchOf(tiles, SHAPE, LOC2VEC, 1);
  let step = 0;
  const train = (): void => {
    step++;
    const figures = takeStep(encoder, { ...batch, plan: { ...batch.plan, step } }, settings);
    if ("broken" in figures) throw new FarmError("internal", `step ${step}: ${figures.broken}`);
  };
  return { train, dispose: encoder.dispose };
}

/** Steps per second: the median of some runs. */
function timeSteps(train: () => void, repeats: number): number {
  for (let i = 0; i < 3; i++) train();
  const rates: number[] = [];
  for (let run = 0; run < repeats; run++) {
    const begin = performance.now();
    for (let i = 0; i < STEPS; i++) train();
    rates.push(STEPS / ((performance.now() - begin) / 1000));
  }
  return median(rates) as number;
}

function timeOurs(
  tensorflow: Tensorflow,
  tiles: readonly Uint8Array[],
  repeats: number,
  long: number,
): { rate: number; matmulGflops: number; rss: number[]; tensors: number[] } {
  const { tf } = tensorflow;
  const { train, dispose } = stepper(tensorflow, tiles, "float32");
  try {
    const rate = timeSteps(train, repeats);
    const rss: number[] = [];
    const tensors: number[] = [];
    const look = (): void => {
      rss.push(Math.round(process.memoryUsage.rss() / 2 ** 20));
      tensors.push(tf.memory().numTensors);
    };
    look();
    for (let i = 1; i <= long; i++) {
      train();
      if (i % Math.ceil(long / LOOKS) === 0) look();
    }
    return { rate, matmulGflops: matmulGflops(tf), rss, tensors };
  } finally {
    dispose();
  }
}

function profileOurs(tensorflow: Tensorflow, tiles: readonly Uint8Array[]): ProfileRow[] {
  const { train, dispose } = stepper(tensorflow, tiles, "float32");
  const rows = profileStep(tensorflow, train, PROFILED);
  dispose();
  return rows;
}

function timeComposed(
  tensorflow: Tensorflow,
  tiles: readonly Uint8Array[],
  triplets: readonly Triplet[],
): { rate: number; ops: ProfileRow[] } {
  const { step, dispose } = composedStep(tensorflow, tiles, triplets);
  try {
    const ops = profileStep(tensorflow, step, 1, 2);
    const begin = performance.now();
    for (let i = 0; i < STEPS; i++) step();
    return { rate: STEPS / ((performance.now() - begin) / 1000), ops };
  } finally {
    dispose();
  }
}

function matmulGflops(tf: Tensorflow["tf"]): number {
  const side = 2048;
  const [a, times] = [tf.randomNormal([side, side]), 5];
  const multiply = (): void =>
    tf.tidy(
      () =>
        void tf
          .matMul(a as never, a as never)
          .sum()
          .dataSync(),
    );
  multiply();
  const begin = performance.now();
  for (let i = 0; i < times; i++) multiply();
  const seconds = (performance.now() - begin) / 1000;
  a.dispose();
  return (times * 2 * side ** 3) / seconds / 1e9;
}

/** Multiplications and additions of convolutions and matrices, forward and twice backward. */
function flopsPerStep(images: number): number {
  let sum = 0;
  for (const { kernel = [0], output } of layersOf(LOC2VEC)) {
    const [height, width] = output.length === 3 ? output : [1, 1];
    sum += 2 * sizeOf(kernel) * height * width;
  }
  return 3 * sum * images;
}
