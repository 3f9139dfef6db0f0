import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  checkName,
  type Dataset,
  errorMessage,
  FarmError,
  type Progress,
  Purpose,
  randomOf,
  shardCount,
} from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import { type ObjectStore, openDataset } from "@loc2vec/shards";
import type { Drawing, FigureMaker, ModelDrawing } from "./drawing.ts";
import { DATASET_FIGURES, MODEL_FIGURES } from "./figures/table.ts";
import { openCity } from "./open-city.ts";
import { type OpenedCity, openModel, openRival } from "./open-model.ts";
import { type Figure, type FigurePicture, type LeftOut, renderPage, renderReadme } from "./page.ts";

/** A folder that holds it was written here, and may be replaced. */
const MARK = ".loc2vec-atlas";

export interface AtlasOptions {
  store: ObjectStore;
  dataset: string;
  /** Adds all figures of a model and its embeddings. */
  model?: string | undefined;
  /** Further data sets that it has embedded, to draw in one space with the first. */
  cities?: readonly string[];
  /** Further models whose training is compared with its. */
  rivals?: readonly string[];
  profile: Profile;
  /** Made or, if it is an earlier atlas, replaced. */
  folder: string;
  /** `quick` leaves the slow figures with fewer rows and rounds. Default `full`. */
  effort?: "full" | "quick";
  signal?: AbortSignal | undefined;
  log?: (line: string) => void;
  /** Shows how far a slow figure is. */
  progress?: (label: string, total: number, unit: string) => Progress;
}

export interface Atlas {
  /** Path of the page. */
  index: string;
  /** Paths of its pictures, in the order of the page. */
  pictures: string[];
  /** Figures that were drawn, by their ids, in the order of the page. */
  figures: string[];
  /** Figures that were not, and what they lack. */
  leftOut: LeftOut[];
}

/**
 * Draws the figures of Loc2Vec (2018) of a data set, and of a model and what it made of it, into a folder that opens from
 * disk. A figure that lacks something is left out, and the page says what.
 *
 * @throws FarmError `dataset-missing`, `model-missing`, `embeddings-missing`, or `input` when nothing is rendered yet;
 *   `cartography-mismatch` for another profile than the data set's, or a model of other channels; `dataset-mismatch` for
 *   embeddings of another one, or of two data sets by different weights; `checkpoint-missing`, `damaged`, `shards-missing`;
 *   `usage` for a folder that holds something else, or a data set that is named twice; `service` for one that cannot be written
 */
export async function writeAtlas(options: AtlasOptions): Promise<Atlas> {
  checkNames(options);
  const folder = resolve(options.folder);
  if (existsSync(folder) && !existsSync(join(folder, MARK)) && (await readdir(folder)).length > 0) {
    throw new FarmError(
      "usage",
      `${folder} holds something that is not an atlas`,
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
    const { figures, leftOut } = await writePage(options, work);
    await writeFile(join(work, MARK), "");
    await chmod(work, 0o755);
    await rm(folder, { recursive: true, force: true });
    await rename(work, folder);
    return {
      index: join(folder, "index.html"),
      pictures: figures.flatMap(({ pictures }) => pictures.map(({ file }) => join(folder, file))),
      figures: figures.map(({ id }) => id),
      leftOut,
    };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** @throws FarmError `usage` where a name is none, is named twice, or has no use without a model */
function checkNames({ dataset, model, cities = [], rivals = [] }: AtlasOptions): void {
  for (const name of [dataset, ...cities]) checkName("data set", name);
  for (const name of [...(model === undefined ? [] : [model]), ...rivals]) checkName("model", name);
  if (model === undefined && cities.length + rivals.length > 0)
    throw new FarmError(
      "usage",
      `${cities.length > 0 ? "--cities" : "--rivals"} without --model`,
      "add --model: without one, there are only figures of the tiles of one data set",
    );
  const twice = cities.find((city, i) => city === dataset || cities.indexOf(city) < i);
  if (twice !== undefined)
    throw new FarmError(
      "usage",
      `--cities names data set ${twice}, which is ${twice === dataset ? "that of --dataset" : "named before"}`,
      "name other data sets, each once",
    );
  const rival = rivals.find((name, i) => name === model || rivals.indexOf(name) < i);
  if (rival !== undefined)
    throw new FarmError(
      "usage",
      `--rivals names model ${rival}, which is ${rival === model ? "that of --model" : "named before"}`,
      "name other models, each once",
    );
}

interface Page {
  figures: Figure[];
  leftOut: LeftOut[];
}

/** Draws everything into a folder. */
async function writePage(options: AtlasOptions, folder: string): Promise<Page> {
  const { store, dataset: name, model: modelName, cities = [], rivals = [], profile } = options;
  const opened: OpenedCity[] = [];
  let rendered = 0;
  for (const each of [name, ...cities]) {
    const reader = await openDataset(store, each);
    const { city, shards } = await openCity(store, reader, profile);
    if (opened.length === 0) rendered = shards.length;
    opened.push({ city, reader });
  }
  const { city } = opened[0] as OpenedCity;
  const facts = factsOf(city.dataset, rendered);
  const drawing: Drawing = { ...city, ...toolsOf(options, city.dataset.seed, folder) };
  const page: Page = { figures: [], leftOut: [] };
  if (modelName === undefined) await drawAll(DATASET_FIGURES, drawing, page, options);
  else {
    // Opened before anything is drawn: what is wrong with it is told at once.
    const { model, cities: all } = await openModel(store, modelName, opened);
    const compared = await Promise.all(rivals.map((rival) => openRival(store, rival)));
    facts.push(["model", model.name], ["step", String(model.step)]);
    if (cities.length > 0) facts.push(["further data sets", cities.join(", ")]);
    const [own, ...others] = all;
    const rest = { model, cities: others, rivals: compared };
    const embedded: ModelDrawing = { ...drawing, ...(own as (typeof all)[number]), ...rest };
    await drawAll(DATASET_FIGURES, drawing, page, options);
    await drawAll(MODEL_FIGURES, embedded, page, options);
  }
  const title = `Loc2Vec: ${city.dataset.name}`;
  const { attribution } = city.dataset;
  await writeFile(join(folder, "index.html"), renderPage({ title, facts, ...page, attribution }));
  const command = commandOf(options);
  await writeFile(join(folder, "README.md"), renderReadme({ title, ...page, attribution, command }));
  return page;
}

/** What draws an atlas again, as one types it. */
function commandOf({ dataset, model, cities = [], rivals = [], effort }: AtlasOptions): string {
  const words = [
    `pnpm farm:atlas --dataset ${dataset}`,
    ...(model === undefined ? [] : [`--model ${model}`]),
    ...(cities.length === 0 ? [] : [`--cities ${cities.join(" ")}`]),
    ...(rivals.length === 0 ? [] : [`--rivals ${rivals.join(" ")}`]),
    ...(effort === "quick" ? ["--quick"] : []),
    "--out FOLDER",
  ];
  return words.join(" ");
}

type Tools = Pick<Drawing, "profile" | "effort" | "signal" | "progress" | "random" | "save" | "saveImage">;

function toolsOf(options: AtlasOptions, seed: number, folder: string): Tools {
  const { profile, effort = "full", signal = new AbortController().signal } = options;
  const silent: Progress = { update: () => {}, finish: () => {} };
  const { progress = () => silent } = options;
  const write = async (picture: FigurePicture, content: string | Uint8Array): Promise<FigurePicture> => {
    await writeFile(join(folder, picture.file), content);
    return picture;
  };
  return {
    ...{ profile, effort, signal, progress },
    random: (name) => randomOf(seed, Purpose.evaluate, ...new TextEncoder().encode(name)),
    save: (file, { description: alt, width, height, text }) => write({ file, alt, width, height }, text),
    saveImage: (file, bytes, image) => write({ file, ...image }, bytes),
  };
}

async function drawAll<D extends Drawing>(
  makers: readonly FigureMaker<D>[],
  drawing: D,
  { figures, leftOut }: Page,
  { log = () => {} }: AtlasOptions,
): Promise<void> {
  for (const { id, title, number, draw } of makers) {
    drawing.signal.throwIfAborted();
    const begin = performance.now();
    const drawn = await draw(drawing);
    const heading = { title, ...(number === undefined ? {} : { number }) };
    if ("lacks" in drawn) leftOut.push({ ...heading, why: drawn.lacks });
    else figures.push({ id, ...heading, ...drawn });
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    log(`atlas: ${title}: ${"lacks" in drawn ? `left out: ${drawn.lacks}` : `${seconds} s`}`);
  }
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
