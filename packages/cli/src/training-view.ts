import { formatDuration } from "@loc2vec/core";
import type { TrainingView } from "@loc2vec/farm";
import { describeNames, type HistoryEntry } from "@loc2vec/trainer";
import type { CommandContext } from "./context.ts";
import { bar, startLive } from "./live.ts";

/** Steps that rates and means are taken from. */
const RECENT = 50;
const REDRAW_MS = 200;
const BARS = "▁▂▃▄▅▆▇█";

export interface TrainingViewOptions {
  context: CommandContext;
  /** Names of its data sets. */
  dataset: readonly string[];
  model: string;
  /** To train up to. */
  steps: number;
}

/** On a terminal a view of several lines, drawn anew in their place; elsewhere undefined: one line is enough. */
export function liveView(options: TrainingViewOptions): TrainingView | undefined {
  return process.stderr.isTTY && !options.context.quiet ? showLines(options) : undefined;
}

function showLines({ context, dataset, model, steps }: TrainingViewOptions): TrainingView {
  let terminal = startLive(process.stderr);
  const losses: number[] = [];
  const recent: { entry: HistoryEntry; at: number }[] = [];
  const judged: HistoryEntry[] = [];
  let state = "training";
  let stopping = false;
  let drawn = 0;
  const draw = (): void => {
    drawn = performance.now();
    // What says that it stops has moved the cursor.
    if (context.signal.aborted && !stopping) terminal = startLive(process.stderr);
    stopping = context.signal.aborted;
    terminal.draw([
      `model ${model}, ${describeNames(dataset)}: ${state}`,
      ...trainingLines(steps, losses, recent, judged),
    ]);
  };
  return {
    start: (before) => {
      for (const { loss } of before) losses.push(loss);
      judged.push(...before.filter(({ heldout }) => heldout !== undefined));
    },
    judged: (entry) => void judged.push(entry),
    step: (entry) => {
      losses.push(entry.loss);
      recent.push({ entry, at: performance.now() });
      if (recent.length > RECENT) recent.shift();
      if (performance.now() - drawn > REDRAW_MS) draw();
    },
    wait: (waiting) => {
      state = waiting ? "waiting for shards" : "training";
      draw();
    },
    finish: () => {
      state = stopping || context.signal.aborted ? "stopped" : "ended";
      if (recent.length > 0) draw();
    },
  };
}

/**
 * @param recent the last steps, and when each ended, milliseconds
 * @param judged those of all steps that have figures of held-out locations
 */
export function trainingLines(
  steps: number,
  losses: readonly number[],
  recent: readonly { entry: HistoryEntry; at: number }[],
  judged: readonly HistoryEntry[] = [],
): string[] {
  const [first, last] = [recent[0], recent.at(-1)];
  if (first === undefined || last === undefined) return [];
  const mean = (value: (entry: HistoryEntry) => number): number =>
    recent.reduce((sum, { entry }) => sum + value(entry), 0) / recent.length;
  const { step, gradientNorm = Number.NaN, learningRate = Number.NaN } = last.entry;
  const rate =
    recent.length > 1
      ? (recent.length - 1) / ((last.at - first.at) / 1000)
      : 1 / Math.max(1e-9, last.entry.seconds);
  const waited =
    (100 * mean((entry) => entry.waited)) /
    Math.max(
      1e-9,
      mean((entry) => entry.seconds),
    );
  return [
    `${bar(step / steps)} step ${step} of ${steps}, ${rate.toPrecision(3)} steps/s, ETA ${formatDuration((steps - step) / rate)}`,
    `loss           ${mean(({ loss }) => loss).toFixed(4)} ${sparkline(losses, 40)}`,
    `distance       d⁺ ${mean(({ positive }) => positive).toPrecision(4)}, d⁻ ${mean(({ negative }) => negative).toPrecision(4)}; ${(100 * mean(({ accuracy }) => accuracy)).toFixed(1)}% of triplets right`,
    `learning rate  ${learningRate.toPrecision(3)}, norm of the gradients ${gradientNorm.toPrecision(3)}`,
    ...heldOutLines(judged),
    `waited         ${waited.toFixed(1)}% of the time for tiles`,
  ];
}

function heldOutLines(judged: readonly HistoryEntry[]): string[] {
  const values = judged.map(({ heldout }) => heldout?.accuracy ?? 0);
  const last = values.at(-1);
  if (last === undefined) return [];
  return [
    `held out       ${(100 * last).toFixed(1)}% of triplets right, ${(100 * Math.max(...values)).toFixed(1)}% at best ${sparkline(values, 40)}`,
  ];
}

/** The course of values, each character the mean of a stretch, the lowest `▁` and the highest `█`. */
export function sparkline(values: readonly number[], width: number): string {
  const count = Math.min(width, values.length);
  const means = Array.from({ length: count }, (_, i) => {
    const part = values.slice(
      Math.floor((i * values.length) / count),
      Math.floor(((i + 1) * values.length) / count),
    );
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const [low, high] = [Math.min(...means), Math.max(...means)];
  return means.map((value) => BARS[high > low ? Math.round((7 * (value - low)) / (high - low)) : 0]).join("");
}
