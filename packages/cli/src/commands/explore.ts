import { resolve } from "node:path";
import { FarmError } from "@loc2vec/core";
import { METHODS, type Method, MOST_EXPORTED } from "@loc2vec/explorer";
import { writeExplorer } from "@loc2vec/farm";
import { InvalidArgumentError } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { whole } from "../options.ts";
import { type ServeOptions, serveOptions, serveUntilEnd } from "./serve.ts";

interface ExploreOptions extends ServeOptions {
  export?: string;
  points: number;
  arrangements?: Method[];
}

export const explore = defineCommand({
  usage: "explore",
  description: "look at embeddings in a browser, on the map and in space; or write that as one page",
  options: (command) =>
    serveOptions(command)
      .option("--export <file>", "write one page that needs no server, instead of serving it")
      .option(
        "--points <n>",
        "with --export: points at most; of more locations a sample",
        whole(1, MOST_EXPORTED),
        MOST_EXPORTED,
      )
      .option(
        "--arrangements <names>",
        "with --export: tsne, umap or both, beside PCA, with a comma between",
        arrangements,
      ),
  action: exploreCommand,
});

/** `tsne,umap` */
function arrangements(text: string): Method[] {
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !(METHODS as readonly string[]).includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is not one of ${METHODS.join(", ")}`);
  return [...new Set(names)] as Method[];
}

async function exploreCommand(context: CommandContext, options: ExploreOptions): Promise<void> {
  const { export: file, points, arrangements: chosen, ...settings } = options;
  if (file === undefined) {
    if (chosen !== undefined)
      throw new FarmError(
        "usage",
        "--arrangements without --export",
        "the served explorer computes them when asked",
      );
    return serveUntilEnd(context, settings, (url) => `explorer: ${url}; Ctrl-C ends it`);
  }
  const { dataset, model, checkpoint } = settings;
  const written = await writeExplorer(
    context,
    { dataset, model },
    { checkpoint, points, arrangements: chosen ?? [], file: resolve(file) },
  );
  const megabytes = (written.bytes / 1e6).toFixed(1);
  context.result(written, [`${written.points} points, ${megabytes} MB: ${written.file}`]);
}
