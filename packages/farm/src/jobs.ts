import { type HistoryEntry, parseRecipe } from "@loc2vec/trainer";
import { type Consumer, GO_ON_LATER } from "@loc2vec/worker";
import type { FarmContext } from "./context.ts";
import { embed } from "./embed.ts";
import { trainModel } from "./train.ts";

/** How long a job waits for whoever else trains its model, or embeds with it: longer than one that died is believed to live. */
const BUSY_MS = 180_000;

/**
 * Trainings as jobs of a queue: stopped, they keep what they reached and go back at once; when their time is over, they go
 * back behind the others.
 */
export function trainConsumer(context: FarmContext): Consumer<"train"> {
  return {
    queue: "train",
    handBack: "at once",
    async process({ store: _, dataset, model, steps, ...settings }, { signal, progress }) {
      const recipe = parseRecipe(`model ${model}`, settings);
      let heldoutAccuracy: number | undefined;
      const onStep = ({ step, loss, seconds }: HistoryEntry): void =>
        progress({ step, of: steps, loss, stepMs: 1000 * seconds, heldoutAccuracy }, step === steps);
      const onJudged = ({ heldout }: HistoryEntry): void => {
        heldoutAccuracy = heldout?.accuracy;
      };
      const patient = { steps, ...recipe, busyMs: BUSY_MS };
      const { step, history, ended } = await trainModel({ ...context, signal }, dataset, model, patient, {
        onStep,
        onJudged,
      }).catch(asStopped(signal));
      return ended === "time" ? GO_ON_LATER : { step, loss: history.at(-1)?.loss };
    },
  };
}

/** Embeddings as jobs of a queue. */
export function embedConsumer(context: FarmContext): Consumer<"embed"> {
  return {
    queue: "embed",
    handBack: "at once",
    async process({ dataset, model, checkpoint }, { signal, progress }) {
      const onProgress = (locations: number, of: number): void =>
        progress({ locations, of }, locations === of);
      const options = { checkpoint, onProgress, busyMs: BUSY_MS };
      const { locations, prefix, step } = await embed({ ...context, signal }, dataset, model, options).catch(
        asStopped(signal),
      );
      return { locations, prefix, step };
    },
  };
}

/** Throws the signal's reason where it was given, else the error. */
function asStopped(signal: AbortSignal): (error: unknown) => never {
  return (error) => {
    throw signal.aborted ? signal.reason : error;
  };
}
