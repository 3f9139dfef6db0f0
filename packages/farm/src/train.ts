import { FarmError, type Progress } from "@loc2vec/core";
import { type HistoryEntry, type TrainOptions, type TrainResult, train } from "@loc2vec/trainer";
import type { FarmContext } from "./context.ts";

/** What decides how a training goes, and when it ends. */
export type TrainSettings = Omit<
  TrainOptions,
  "store" | "dataset" | "model" | "signal" | "onStart" | "onStep" | "onJudged" | "onWait" | "onWarning"
>;

/** How a training stands, shown while it goes on. */
export interface TrainingView {
  start(before: readonly HistoryEntry[]): void;
  step(entry: HistoryEntry): void;
  /** A step whose entry has figures of held-out locations. */
  judged(entry: HistoryEntry): void;
  wait(waiting: boolean): void;
  finish(): void;
}

export interface TrainWatch {
  /** Default: the context's progress and log. */
  view?: TrainingView | undefined;
  onStep?: (entry: HistoryEntry) => void;
  onJudged?: (entry: HistoryEntry) => void;
}

/**
 * Trains a model on a data set, or on several.
 *
 * @throws FarmError `interrupted` when the context's signal was given; what was reached is kept
 */
export async function trainModel(
  context: FarmContext,
  dataset: string | readonly string[],
  model: string,
  settings: TrainSettings,
  { view = viewOf(context, settings.steps), onStep = () => {}, onJudged = () => {} }: TrainWatch = {},
): Promise<TrainResult> {
  const result = await train({
    store: context.store(),
    dataset,
    model,
    ...settings,
    signal: context.signal,
    onStart: view.start,
    onWait: view.wait,
    onWarning: (line) => context.log(`train: ${line}`),
    onStep: (entry) => {
      view.step(entry);
      onStep(entry);
    },
    onJudged: (entry) => {
      view.judged(entry);
      onJudged(entry);
    },
  }).finally(view.finish);
  if (result.emptyTiles > 0) {
    const { emptyTiles, skippedLocations } = result;
    context.log(
      settings.empty === "keep"
        ? `train: ${emptyTiles} tiles show nothing of the map, and are trained on`
        : `train: ${emptyTiles} tiles show nothing of the map; they and ${skippedLocations} locations are left out`,
    );
  }
  if (context.signal.aborted) {
    throw new FarmError(
      "interrupted",
      `model ${model}: stopped after step ${result.step}`,
      "run it again: it goes on from there",
    );
  }
  return result;
}

/** One line of progress. */
function viewOf({ progress: startProgress, log }: FarmContext, steps: number): TrainingView {
  let progress: Progress | undefined;
  let heldOut = "";
  return {
    start: (before) => {
      progress = startProgress({ label: "train", total: steps, unit: "steps", from: before.length });
    },
    step: ({ step, loss, accuracy }) =>
      progress?.update(
        step,
        `loss ${loss.toFixed(4)}, ${Math.round(100 * accuracy)}% of triplets right${heldOut}`,
      ),
    judged: ({ heldout }) => {
      heldOut = heldout ? `, ${(100 * heldout.accuracy).toFixed(1)}% held out` : "";
    },
    wait: (waiting) => log(waiting ? "train: waiting for shards" : "train: going on"),
    finish: () => progress?.finish(),
  };
}
