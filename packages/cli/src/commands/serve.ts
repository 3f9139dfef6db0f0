import type { CheckpointChoice } from "@loc2vec/core";
import { serve as startServing, withServices } from "@loc2vec/farm";
import type { Command } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { checkpointOption, whole } from "../options.ts";

export interface ServeOptions {
  dataset: string;
  model: string;
  checkpoint: CheckpointChoice;
  host: string;
  port: number;
  rate: number;
  proxy?: string[];
  venuePrior?: string;
}

/** What is served, and to whom. */
export const serveOptions = (command: Command): Command =>
  command
    .requiredOption("--dataset <name>", "name of the data set")
    .requiredOption("--model <name>", "name of the model")
    .addOption(checkpointOption())
    .option("--host <address>", "to listen on; any but loopback needs FARM_SERVE_TOKENS", "127.0.0.1")
    .option("--port <n>", "to listen on", whole(0, 65535), 9500)
    .option("--rate <n>", "requests a minute from one address", whole(1), 6000)
    .option("--proxy <address...>", "whose X-Forwarded-For is believed")
    .option(
      "--venue-prior <file>",
      "that farm venues --save wrote, for /v1/venues; else it goes by distance alone",
    );

export const serve = defineCommand({
  usage: "serve",
  description: "vectors of any spot, neighbours and map tiles over HTTP, with the explorer, until Ctrl-C",
  options: serveOptions,
  action: (context, options: ServeOptions) =>
    serveUntilEnd(context, options, (url) => `${url}; Ctrl-C ends it`),
});

/** Serves until the signal is given, and lets requests that are under way end. @param say what is printed of the URL */
export async function serveUntilEnd(
  context: CommandContext,
  options: ServeOptions,
  say: (url: string) => string,
): Promise<void> {
  const { signal } = context;
  const { dataset, model, rate, proxy, ...settings } = options;
  await withServices(context, ["database"], async ({ databaseUrl }) => {
    const server = await startServing(
      context,
      databaseUrl,
      { dataset, model },
      { ...settings, requestsPerMinute: rate, proxies: proxy },
    );
    context.result({ url: server.url }, [say(server.url)]);
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await server.close();
  });
}
