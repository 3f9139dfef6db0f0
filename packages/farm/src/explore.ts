import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { CheckpointChoice } from "@loc2vec/core";
import { explore, exportPage, type Method, openEmbedded } from "@loc2vec/explorer";
import type { FarmContext } from "./context.ts";

export interface ExplorerFileSettings {
  checkpoint?: CheckpointChoice | undefined;
  /** Points at most: of more locations a sample is taken. */
  points: number;
  /** Arrangements to put in beside PCA. */
  arrangements: readonly Method[];
  /** The page's path. */
  file: string;
}

/** Writes the explorer of a data set and a model as one page that needs no server. */
export async function writeExplorer(
  context: FarmContext,
  { dataset, model }: { dataset: string; model: string },
  { checkpoint, points, arrangements, file }: ExplorerFileSettings,
): Promise<{ file: string; points: number; bytes: number }> {
  const { signal } = context;
  const embedded = await openEmbedded(context.store(), dataset, model, checkpoint);
  const exploration = explore(embedded, await context.profile(), { most: points });
  const total = exploration.sheets + arrangements.length;
  const progress = context.progress({ label: "explore", total, unit: "parts" });
  try {
    signal.addEventListener("abort", exploration.close, { once: true });
    const onProgress = (done: number): void => progress.update(done);
    const page = Buffer.from(await exportPage(exploration, { methods: arrangements, onProgress, signal }));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, page);
    return { file, points: exploration.points, bytes: page.length };
  } finally {
    signal.removeEventListener("abort", exploration.close);
    progress.finish();
  }
}
