import { join, resolve } from "node:path";
import { DEFAULT_HOLDOUT } from "@loc2vec/core";
import type { Context } from "../context.ts";
import { embed, report, trainModel } from "../stages.ts";

export interface TrainCommandOptions {
  dataset: string;
  model: string;
  steps: number;
  seed: number;
  batchLocations: number;
  pairs: number;
  loss: "softpn" | "ratio";
  learningRate: number;
  checkpointEvery: number;
  empty: "skip" | "keep";
  early?: boolean;
  minDistance?: number;
  holdout: number;
  cell: number;
  warmup: number;
  halveEvery: number;
  patience?: number;
  maxSeconds?: number;
}

export async function trainCommand(context: Context, options: TrainCommandOptions): Promise<void> {
  const { dataset, model, batchLocations, pairs, minDistance, holdout, cell, ...settings } = options;
  const { history, ...result } = await trainModel(context, dataset, model, {
    ...settings,
    batch: { locations: batchLocations, pairs },
    minDistanceM: minDistance,
    holdout: { ...DEFAULT_HOLDOUT, share: holdout, cellM: cell },
  });
  const [first, last] = [history[0], history.at(-1)];
  context.result({ model, ...result, firstLoss: first?.loss, lastLoss: last?.loss }, [
    `model ${model}: ${result.parameters} parameters, step ${result.step}, loss ${first?.loss.toFixed(4)} at first, ${last?.loss.toFixed(4)} at last`,
  ]);
}

export async function embedCommand(
  context: Context,
  { dataset, model }: { dataset: string; model: string },
): Promise<void> {
  const result = await embed(context, dataset, model);
  context.result(result, [
    `${result.locations} embeddings, ${result.size}-D, in ${context.config.store}/${result.prefix}`,
  ]);
}

export async function reportCommand(
  context: Context,
  { dataset, model, out }: { dataset: string; model?: string; out?: string },
): Promise<void> {
  const folder = resolve(out ?? join(context.config.home, "reports", dataset));
  const result = await report(context, dataset, model, folder);
  context.result(result, [`${result.pictures.length} pictures: ${result.index}`]);
}
