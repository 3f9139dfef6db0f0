import { writeReport } from "@loc2vec/atlas";
import type { FarmContext } from "./context.ts";

/** Draws the figures of a data set, and with a model those of its embeddings, into a folder. */
export async function report(
  context: FarmContext,
  dataset: string,
  model: string | undefined,
  folder: string,
): Promise<{ index: string; pictures: string[] }> {
  return writeReport({
    store: context.store(),
    dataset,
    ...(model === undefined ? {} : { model }),
    profile: await context.profile(),
    folder,
    log: context.log,
  });
}
