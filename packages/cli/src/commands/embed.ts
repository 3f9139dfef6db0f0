import type { CheckpointChoice } from "@loc2vec/core";
import { embed as embedDataset } from "@loc2vec/farm";
import { defineCommand } from "../command-line.ts";
import { checkpointOption } from "../options.ts";

interface EmbedOptions {
  dataset: string;
  model: string;
  checkpoint: CheckpointChoice;
}

export const embed = defineCommand({
  usage: "embed",
  description: "embed the anchors of a data set",
  options: (command) =>
    command
      .requiredOption("--dataset <name>", "name of the data set")
      .requiredOption("--model <name>", "name of the model")
      .addOption(checkpointOption()),
  async action(context, { dataset, model, checkpoint }: EmbedOptions) {
    const result = await embedDataset(context, dataset, model, { checkpoint });
    context.result(result, [
      `${result.locations} embeddings, ${result.size}-D, by step ${result.step}, in ${context.config.store}/${result.prefix}`,
    ]);
  },
});
