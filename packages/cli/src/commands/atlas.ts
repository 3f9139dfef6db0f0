import { join, resolve } from "node:path";
import { atlas as drawAtlas } from "@loc2vec/farm";
import { defineCommand } from "../command-line.ts";

interface AtlasOptions {
  dataset: string;
  model?: string;
  cities?: string[];
  rivals?: string[];
  quick?: boolean;
  out?: string;
}

export const atlas = defineCommand({
  usage: "atlas",
  description:
    "draw every figure of Loc2Vec as a page: of a data set's tiles, and of a model that has embedded it",
  options: (command) =>
    command
      .requiredOption("--dataset <name>", "name of the data set")
      .option("--model <name>", "one that has embedded it; without, figures of the tiles alone")
      .option(
        "--cities <names...>",
        "further data sets that the model has embedded, drawn in one space with the first",
      )
      .option("--rivals <names...>", "further models, whose training is compared with that of the model")
      .option("--quick", "fewer rows and rounds in the slow figures")
      .option("--out <folder>", "default: atlases/<dataset>, or atlases/<dataset>-<model>, in FARM_HOME"),
  async action(context, { dataset, model, cities, rivals, quick = false, out }: AtlasOptions) {
    const name = model === undefined ? dataset : `${dataset}-${model}`;
    const drawn = await drawAtlas(context, {
      ...{ dataset, model, cities: cities ?? [], rivals: rivals ?? [] },
      effort: quick ? "quick" : "full",
      folder: resolve(out ?? join(context.config.home, "atlases", name)),
    });
    const { figures, leftOut, index } = drawn;
    const left = leftOut.map(({ title, why }) => `left out: ${title}: ${why}`);
    context.result(drawn, [...left, `${figures.length} figures: ${index}`]);
  },
});
