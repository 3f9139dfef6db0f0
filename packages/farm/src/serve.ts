import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type CheckpointChoice, errorMessage, FarmError } from "@loc2vec/core";
import { type Server, startServer } from "@loc2vec/server";
import { type Prior, parsePrior } from "@loc2vec/venues";
import type { FarmContext } from "./context.ts";

export interface ServeSettings {
  host?: string;
  /** 0: any free one. */
  port: number;
  checkpoint?: CheckpointChoice | undefined;
  requestsPerMinute?: number | undefined;
  proxies?: readonly string[] | undefined;
  /** File of a prior of venues. */
  venuePrior?: string | undefined;
}

/** Serves a data set's embeddings by a model over HTTP, until it is closed. */
export async function serve(
  context: FarmContext,
  databaseUrl: string,
  { dataset, model }: { dataset: string; model: string },
  { requestsPerMinute, proxies, venuePrior, ...settings }: ServeSettings,
): Promise<Server> {
  const { config, log } = context;
  const prior = venuePrior === undefined ? undefined : await readPrior(venuePrior);
  return startServer({
    ...settings,
    venuePrior: prior,
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(proxies === undefined ? {} : { proxies }),
    ...{ store: context.store(), databaseUrl, profile: await context.profile() },
    ...{ renderer: config.renderer, dataset, model, log },
    indexFolder: join(config.home, "neighbours", model, dataset),
    ...{ tokens: config.serveTokens, tokenFile: join(config.home, "serve/token") },
  });
}

/** A prior of venues. @throws FarmError `input` for a file that cannot be read, or is none */
export async function readPrior(path: string): Promise<Prior> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new FarmError(
      "input",
      `${path}: ${errorMessage(error)}`,
      "name a prior that pnpm farm:venues --save wrote",
    );
  });
  return parsePrior(text, path);
}
