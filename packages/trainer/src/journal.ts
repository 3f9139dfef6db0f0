import { encodeSafetensors, storedArchitecture, type Weights } from "@loc2vec/encoder";
import type { ObjectStore } from "@loc2vec/shards";
import { type Best, keepBest } from "./best.ts";
import { removeCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { Corpus } from "./corpus.ts";
import { keepFailure } from "./failure.ts";
import type { MiniBatch } from "./feed.ts";
import type { HistoryEntry } from "./figures.ts";
import { openHistory } from "./history.ts";
import type { Lease } from "./lease.ts";
import { encodeJson, modelPrefix } from "./model.ts";
import { recipeNameOf, type Settings, storedSettings } from "./settings.ts";

/** What a training writes as it goes; each time it has confirmed that nobody else trains the model. */
export interface Journal {
  /** All steps so far; a step is added here, and written with the next checkpoint. */
  readonly entries: HistoryEntry[];
  /** The best checkpoint; undefined before the first. */
  best(): Best | undefined;
  /**
   * Writes history and checkpoint, and which is the best.
   *
   * @param weights to be used
   * @param optimizer what a training needs beside them to go on
   * @param end whether the session ends with it
   */
  checkpoint(step: number, weights: Weights, optimizer: Weights, end: boolean): Promise<void>;
  /** Keeps what led to a failure, and the history so far. @throws FarmError always */
  fail(batch: MiniBatch, weights: Weights, reason: string): Promise<never>;
  /** Writes the model's summary. */
  summarize(step: number): Promise<void>;
}

export interface JournalOptions {
  store: ObjectStore;
  model: string;
  settings: Settings;
  corpus: Corpus;
  /** How many the network has. */
  parameters: number;
  lease: Lease;
  /** Step that the session goes on from; 0 for a new model. */
  resumedFrom: number;
  /** Steps of checkpoints that are damaged: they go when the next one is whole. */
  damaged: readonly number[];
  checkpointEvery: number;
  onWarning(line: string): void;
}

/** Opens the journal of a session: what lies beyond its first step is forgotten. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { store, model, settings, lease, resumedFrom, checkpointEvery, onWarning } = options;
  const history = await openHistory(store, model, resumedFrom);
  const { entries } = history;
  const damaged = [...options.damaged];
  let best: Best | undefined;
  const chooseBest = async (step: number): Promise<void> => {
    const since = entries.slice(-checkpointEvery);
    const loss = since.reduce((sum, entry) => sum + entry.loss, 0) / since.length;
    const heldout = entries.at(-1)?.heldout;
    best = await keepBest(store, model, { step, loss, ...(heldout && { heldout }) }, (reason) =>
      onWarning(`${reason}; it is written anew`),
    );
  };
  // A training that was killed may have written its last checkpoint, and not yet whether that is the best.
  if (resumedFrom > 0 && entries.length > 0) await chooseBest(resumedFrom);
  return {
    entries,
    best: () => best,
    async checkpoint(step, weights, optimizer, end) {
      await lease.confirm();
      // The history first: a checkpoint without it would leave a hole in the curve.
      await history.save(end);
      await writeCheckpoint(store, model, {
        step,
        settings,
        weights: encodeSafetensors(weights, {
          step: String(step),
          architecture: JSON.stringify(storedArchitecture(settings.architecture)),
        }),
        optimizer: encodeSafetensors(optimizer),
      });
      await chooseBest(step);
      for (const other of damaged.splice(0)) if (other !== step) await removeCheckpoint(store, model, other);
    },
    async fail(batch, weights, reason) {
      await lease.confirm();
      const failure = await keepFailure(store, model, options.corpus, batch, weights, reason);
      await history.save(true);
      throw failure;
    },
    async summarize(step) {
      await lease.confirm();
      const { parameters } = options;
      await store.put(
        `${modelPrefix(model)}/model.json`,
        encodeJson({
          ...{ version: 1, step, parameters, recipe: recipeNameOf(settings) },
          settings: storedSettings(settings),
        }),
      );
    },
  };
}
