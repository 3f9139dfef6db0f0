import { type Atlas, type AtlasOptions, writeAtlas } from "@loc2vec/atlas";
import type { FarmContext } from "./context.ts";

/** What an atlas is of, and where it goes. */
export type AtlasSettings = Pick<
  AtlasOptions,
  "dataset" | "model" | "cities" | "rivals" | "folder" | "effort"
>;

/** Draws the figures of a data set, and with a model those of its embeddings, into a folder. */
export async function atlas(context: FarmContext, settings: AtlasSettings): Promise<Atlas> {
  return writeAtlas({
    ...settings,
    store: context.store(),
    profile: await context.profile(),
    signal: context.signal,
    log: context.log,
    progress: (label, total, unit) => context.progress({ label: `atlas: ${label}`, total, unit }),
  });
}
