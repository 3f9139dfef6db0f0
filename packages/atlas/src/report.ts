import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type Dataset, errorMessage, FarmError, shardCount } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import { type ObjectStore, openDataset } from "@loc2vec/shards";
import type { Drawing, FigureMaker } from "./drawing.ts";
import { readEmbeddings } from "./embeddings.ts";
import { loss as LOSS } from "./figures/loss.ts";
import { DATASET_FIGURES, MODEL_FIGURES } from "./figures/table.ts";
import { readLosses } from "./losses.ts";
import { openDrawing } from "./open-drawing.ts";
import { type Figure, renderPage } from "./page.ts";

/** A folder that holds it was written here, and may be replaced. */
const MARK = ".loc2vec-report";

export interface ReportOptions {
  store: ObjectStore;
  dataset: string;
  /** Adds the loss curve, the city map and the neighbours. */
  model?: string;
  profile: Profile;
  /** Made or, if it is an earlier report, replaced. */
  folder: string;
  log?: (line: string) => void;
}

export interface Report {
  /** Path of the page. */
  index: string;
  /** Paths of its pictures, in the order of the page. */
  pictures: string[];
}

/**
 * Draws figures 4, 5, 6 and 9 of a data set (Loc2Vec, 2018), and of a model its loss, figure 18 and nearest neighbours.
 *
 * @throws FarmError `dataset-missing`, `model-missing`, `embeddings-missing`, or `input` when nothing is rendered yet;
 *   `cartography-mismatch` for another profile than the data set's; `dataset-mismatch` for embeddings of another one;
 *   `damaged`, `shards-missing`; `usage` for a folder that holds something else; `service` for one that cannot be written
 */
export async function writeReport(options: ReportOptions): Promise<Report> {
  const folder = resolve(options.folder);
  if (existsSync(folder) && !existsSync(join(folder, MARK)) && (await readdir(folder)).length > 0) {
    throw new FarmError(
      "usage",
      `${folder} holds something that is not a report`,
      "name another folder with --out",
    );
  }
  let work: string;
  try {
    await mkdir(dirname(folder), { recursive: true });
    work = await mkdtemp(`${folder}.new-`);
  } catch (error) {
    throw new FarmError("service", `${folder}: ${errorMessage(error)}`, "name another folder with --out", {
      cause: error,
    });
  }
  try {
    const files = await writePage(options, work);
    await writeFile(join(work, MARK), "");
    await chmod(work, 0o755);
    await rm(folder, { recursive: true, force: true });
    await rename(work, folder);
    return { index: join(folder, "index.html"), pictures: files.map((file) => join(folder, file)) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Draws everything into a folder. @returns the pictures' names */
async function writePage(
  { store, dataset: name, model, profile, log = () => {} }: ReportOptions,
  folder: string,
): Promise<string[]> {
  const reader = await openDataset(store, name);
  const { dataset } = reader;
  const { drawing, shards } = await openDrawing(store, reader, profile, folder);
  const facts = factsOf(dataset, shards.length);
  const figures = await drawAll(DATASET_FIGURES, drawing, log);
  if (model !== undefined) {
    const losses = await readLosses(store, model);
    const embeddings = await readEmbeddings(store, reader, model, losses.length > 0);
    facts.push(["model", model]);
    if (losses.length > 0) facts.push(["steps", String(losses.length)]);
    const makers = MODEL_FIGURES.filter((maker) => maker !== LOSS || losses.length > 0);
    figures.push(...(await drawAll(makers, { ...drawing, losses, embeddings }, log)));
  }
  const title = `Loc2Vec: ${dataset.name}`;
  const page = renderPage({ title, facts, figures, attribution: dataset.attribution });
  await writeFile(join(folder, "index.html"), page);
  return figures.flatMap(({ pictures }) => pictures.map(({ file }) => file));
}

async function drawAll<D extends Drawing>(
  makers: readonly FigureMaker<D>[],
  drawing: D,
  log: (line: string) => void,
): Promise<Figure[]> {
  log(`report: ${makers.map(({ subject }) => subject).join(", ")}`);
  const figures: Figure[] = [];
  for (const maker of makers) figures.push(await maker.draw(drawing));
  return figures;
}

function factsOf(dataset: Dataset, rendered: number): [string, string][] {
  return [
    ["data set", dataset.name],
    ["locations", String(dataset.locations)],
    ["tiles", String(dataset.locations * dataset.samples)],
    ["rendered shards", `${rendered} of ${shardCount(dataset)}`],
    ["seed", String(dataset.seed)],
    ["renderer", dataset.source.renderer],
    ["style", dataset.source.styleHash.slice(0, 12)],
  ];
}
