import { join, resolve } from "node:path";
import type { CheckpointChoice } from "@loc2vec/core";
import type { Context } from "../context.ts";
import { embed, report, trainModel } from "../stages.ts";
import { type TrainingOptions, trainingOf } from "../training-options.ts";

export interface TrainCommandOptions extends TrainingOptions {
  dataset: string;
  model: string;
  steps: number;
}

export async function trainCommand(context: Context, options: TrainCommandOptions): Promise<void> {
  const { dataset, model, steps } = options;
  const settings = { steps, ...trainingOf(options) };
  const { history, ...result } = await trainModel(context, dataset, model, settings, { live: true });
  const [first, last] = [history[0], history.at(-1)];
  const { best } = result;
  context.result({ model, ...result, firstLoss: first?.loss, lastLoss: last?.loss }, [
    `model ${model}: ${result.parameters} parameters, step ${result.step}, loss ${first?.loss.toFixed(4)} at first, ${last?.loss.toFixed(4)} at last`,
    ...(best
      ? [
          `best: step ${best.step}, ${best.heldout ? `${(100 * best.heldout.accuracy).toFixed(1)}% of held-out triplets right` : `mean loss ${best.loss.toFixed(4)}`}`,
        ]
      : []),
  ]);
}

export async function embedCommand(
  context: Context,
  { dataset, model, checkpoint }: { dataset: string; model: string; checkpoint: CheckpointChoice },
): Promise<void> {
  const result = await embed(context, dataset, model, { checkpoint });
  context.result(result, [
    `${result.locations} embeddings, ${result.size}-D, by step ${result.step}, in ${context.config.store}/${result.prefix}`,
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
