import { mean } from "@loc2vec/numeric";
import type { ObjectStore } from "@loc2vec/shards";
import { type HistoryEntry, readHistory } from "@loc2vec/trainer";
import type { Curve } from "./result.ts";

/** Points of a curve, at most. */
const POINTS = 30;

/** Figure 11: reads a model's history, and condenses it. @param loss that it was trained with */
export async function readCurve(store: ObjectStore, model: string, loss: string): Promise<Curve> {
  return { model, loss, ...condense(await readHistory(store, model)) };
}

/** Means of equally many steps each, but for the last point's, and what checkpoints counted at held-out places. */
export function condense(history: readonly HistoryEntry[]): Pick<Curve, "points" | "heldout"> {
  const steps = Math.max(1, Math.ceil(history.length / POINTS));
  const points = Array.from({ length: Math.ceil(history.length / steps) }, (_, at) => {
    const entries = history.slice(at * steps, (at + 1) * steps);
    const meanOf = (value: (entry: HistoryEntry) => number): number => mean(entries.map(value));
    return {
      step: entries.at(-1)?.step ?? 0,
      loss: meanOf((entry) => entry.loss),
      positive: meanOf((entry) => entry.positive),
      negative: meanOf((entry) => entry.negative),
      accuracy: meanOf((entry) => entry.accuracy),
    };
  });
  const heldout = history.flatMap(({ step, heldout: figures }) =>
    figures ? [{ step, accuracy: figures.accuracy }] : [],
  );
  return { points, heldout };
}
