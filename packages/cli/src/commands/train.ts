import { trainModel } from "@loc2vec/farm";
import { oneOrAll } from "@loc2vec/trainer";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { whole } from "../options.ts";
import { type TrainingOptions, trainingOf, withTraining } from "../training-options.ts";
import { liveView } from "../training-view.ts";

interface TrainCommandOptions extends TrainingOptions {
  dataset: string[];
  model: string;
  steps: number;
}

export const train = defineCommand({
  usage: "train",
  description: "train an encoder on a data set, or on several",
  options: (command) =>
    withTraining(command)
      .requiredOption("--dataset <names...>", "one or more; --mix says how several come together")
      .requiredOption("--model <name>", "name of the model; goes on where it stands")
      .requiredOption("--steps <n>", "to train up to", whole(1)),
  action: trainCommand,
});

async function trainCommand(context: CommandContext, options: TrainCommandOptions): Promise<void> {
  const { dataset, model, steps } = options;
  const settings = { steps, ...trainingOf(options) };
  const view = liveView({ context, dataset, model, steps });
  const { history, ...result } = await trainModel(context, dataset, model, settings, { view });
  const [first, last] = [history[0], history.at(-1)];
  const { best } = result;
  context.result(
    {
      model,
      dataset: oneOrAll([...dataset].sort()),
      ...result,
      firstLoss: first?.loss,
      lastLoss: last?.loss,
    },
    [
      `model ${model}: ${result.recipe ? `recipe ${result.recipe}, ` : ""}${result.parameters} parameters, step ${result.step}, loss ${first?.loss.toFixed(4)} at first, ${last?.loss.toFixed(4)} at last`,
      ...(best
        ? [
            `best: step ${best.step}, ${best.heldout ? `${(100 * best.heldout.nearest).toFixed(1)}% of held-out tiles nearest to one of their location` : `mean loss ${best.loss.toFixed(4)}`}`,
          ]
        : []),
    ],
  );
}
