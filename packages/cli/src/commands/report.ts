import { join, resolve } from "node:path";
import { report as drawReport } from "@loc2vec/farm";
import { defineCommand } from "../command-line.ts";

interface ReportOptions {
  dataset: string;
  model?: string;
  out?: string;
}

export const report = defineCommand({
  usage: "report",
  description: "draw the figures of a data set and its embeddings",
  options: (command) =>
    command
      .requiredOption("--dataset <name>", "name of the data set")
      .option("--model <name>", "name of the model")
      .option("--out <folder>", "default: reports/<dataset> in FARM_HOME"),
  async action(context, { dataset, model, out }: ReportOptions) {
    const folder = resolve(out ?? join(context.config.home, "reports", dataset));
    const drawn = await drawReport(context, dataset, model, folder);
    context.result(drawn, [`${drawn.pictures.length} pictures: ${drawn.index}`]);
  },
});
