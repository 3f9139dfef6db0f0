import { join, resolve } from "node:path";
import { checkProfile, composeRgb, type Picture } from "@loc2vec/atlas";
import { FarmError } from "@loc2vec/core";
import {
  type EmbeddingTable,
  type ExportFormat,
  FILE_FORMATS,
  isFileFormat,
  MOST_PROJECTED,
  openTable,
  writeProjector,
  writeVectorTable,
  writeWholeFile,
} from "@loc2vec/exports";
import { openDataset } from "@loc2vec/shards";
import { openTiles } from "@loc2vec/trainer";
import type { FarmContext } from "./context.ts";

export interface ExportSettings {
  format: ExportFormat;
  /** So many locations, spread evenly. Default: all, and no more than {@link MOST_PROJECTED} for the Projector. */
  sample?: number | undefined;
  /** A file, or the Projector's folder. Default: `exports/<model>-<dataset>` in FARM_HOME, with what fits the format. */
  out?: string | undefined;
  /** pgvector's, as `writeVectorTable` takes it. */
  table?: string | undefined;
}

export interface Exported {
  format: ExportFormat;
  dataset: string;
  model: string;
  /** Of the checkpoint that made the vectors. */
  step: number;
  /** Locations that were exported, and those of the data set. */
  rows: number;
  locations: number;
  /** Where they are: a file, a folder, or a table. */
  place: string;
  /** Whether a table of the same vectors was there already. */
  kept?: boolean;
  attribution: string;
}

/**
 * Exports what a model made of a data set.
 *
 * @param databaseUrl for pgvector
 * @throws FarmError `embeddings-missing`; `interrupted`, with nothing left of it; what the format's writing throws
 */
export async function exportVectors(
  context: FarmContext,
  { dataset, model }: { dataset: string; model: string },
  settings: ExportSettings,
  databaseUrl?: string,
): Promise<Exported> {
  const { format } = settings;
  const { signal } = context;
  const store = context.store();
  const { dataset: described } = await openDataset(store, dataset);
  const most = format === "projector" ? Math.min(described.locations, MOST_PROJECTED) : undefined;
  const rows = settings.sample ?? most ?? described.locations;
  const progress = context.progress({ label: "export", total: rows, unit: "locations" });
  const table = await openTable(store, dataset, model, {
    ...{ sample: rows, signal },
    onProgress: (done) => progress.update(done),
  });
  try {
    const written = await write(context, table, settings, databaseUrl);
    progress.update(rows);
    progress.finish();
    const { step, attribution } = table.origin;
    return { format, dataset, model, step, rows, locations: described.locations, ...written, attribution };
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new FarmError(
      "interrupted",
      `export of ${dataset} was interrupted`,
      "run it again: nothing is left of it",
    );
  }
}

async function write(
  context: FarmContext,
  table: EmbeddingTable,
  { format, out, table: name }: ExportSettings,
  databaseUrl: string | undefined,
): Promise<{ place: string; kept?: boolean }> {
  const { signal, config } = context;
  const { dataset, model } = table.origin;
  const pathOf = (ending: string): string =>
    resolve(out ?? join(config.home, "exports", `${model}-${dataset}${ending}`));
  if (isFileFormat(format)) {
    const { extension, encode } = FILE_FORMATS[format];
    const place = pathOf(`.${extension}`);
    await writeWholeFile(place, encode(table), signal);
    return { place };
  }
  if (format === "projector") {
    const place = pathOf("-projector");
    await writeProjector(place, table, await openPictures(context, dataset));
    return { place };
  }
  if (databaseUrl === undefined) throw new FarmError("internal", "an export to pgvector without a database");
  const onIndexing = (): void => context.log("export: all rows are there; their indexes are being built");
  const { table: place, kept } = await writeVectorTable(databaseUrl, table, { name, signal, onIndexing });
  return { place, kept };
}

/** Pictures of locations' anchors in human colours. */
async function openPictures(
  context: FarmContext,
  name: string,
): Promise<(locations: readonly number[]) => Promise<Picture[]>> {
  const reader = await openDataset(context.store(), name);
  const profile = await context.profile();
  checkProfile(reader.dataset, profile);
  const tiles = openTiles(reader, { whole: false });
  return async (locations) => {
    context.signal.throwIfAborted();
    const anchors = await tiles.read(locations.map((location) => ({ location, sample: 0 })));
    return anchors.map((tile) => composeRgb(tile, profile));
  };
}
