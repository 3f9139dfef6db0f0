import { join } from "node:path";
import type { CheckpointChoice } from "@loc2vec/core";
import { type Server, startServer } from "@loc2vec/server";
import type { FarmContext } from "./context.ts";

export interface ServeSettings {
  host?: string;
  /** 0: any free one. */
  port: number;
  checkpoint?: CheckpointChoice | undefined;
  requestsPerMinute?: number | undefined;
  proxies?: readonly string[] | undefined;
}

/** Serves a data set's embeddings by a model over HTTP, until it is closed. */
export async function serve(
  context: FarmContext,
  databaseUrl: string,
  { dataset, model }: { dataset: string; model: string },
  { requestsPerMinute, proxies, ...settings }: ServeSettings,
): Promise<Server> {
  const { config, log } = context;
  return startServer({
    ...settings,
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(proxies === undefined ? {} : { proxies }),
    ...{ store: context.store(), databaseUrl, profile: await context.profile() },
    ...{ renderer: config.renderer, dataset, model, log },
    indexFolder: join(config.home, "neighbours", model, dataset),
    ...{ tokens: config.serveTokens, tokenFile: join(config.home, "serve/token") },
  });
}
