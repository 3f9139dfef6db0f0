import type { CheckpointChoice } from "@loc2vec/core";
import { type EmbedResult, embedDataset } from "@loc2vec/trainer";
import type { FarmContext } from "./context.ts";

export interface EmbedSettings {
  checkpoint?: CheckpointChoice | undefined;
  /** How long to wait for whoever else embeds with the model, milliseconds. */
  busyMs?: number;
  onProgress?: (locations: number, total: number) => void;
}

/** Embeds the anchors of a data set with a model. */
export async function embed(
  context: FarmContext,
  dataset: string,
  model: string,
  { checkpoint, busyMs, onProgress = () => {} }: EmbedSettings = {},
): Promise<EmbedResult> {
  const result = await embedDataset({
    store: context.store(),
    dataset,
    model,
    checkpoint,
    busyMs,
    signal: context.signal,
    progress: onProgress,
    onWarning: (line) => context.log(`embed: ${line}`),
  });
  context.log(
    `embed: ${result.locations} locations${result.kept > 0 ? ` (${result.kept} of them before)` : ""}, ${result.size}-D, by step ${result.step}, to ${result.prefix}`,
  );
  return result;
}
