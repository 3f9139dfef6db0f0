import { FarmError } from "@loc2vec/core";
import type { DatasetReader, ObjectStore } from "@loc2vec/shards";
import { openNeighbours } from "@loc2vec/space";
import { type Checkpoint, openCheckpoint, PRETRAINED, readHistory } from "@loc2vec/trainer";
import type { City, EmbeddedCity, Model, Rival } from "./drawing.ts";
import { type Embeddings, readEmbeddings } from "./embeddings.ts";

/** A data set that is open, and what it was opened by. */
export interface OpenedCity {
  city: City;
  reader: DatasetReader;
}

/**
 * Opens a model as it was when it embedded some data sets, and what it made of them.
 *
 * @param opened the first is the one that the atlas is of
 * @throws FarmError `model-missing`, `embeddings-missing`; `cartography-mismatch` where it reads other channels than a data
 *   set has; `checkpoint-missing` where the weights that embedded are not kept; `dataset-mismatch`, `damaged`
 */
export async function openModel(
  store: ObjectStore,
  name: string,
  opened: readonly OpenedCity[],
): Promise<{ model: Model; cities: EmbeddedCity[] }> {
  const best = await openCheckpoint(store, name);
  for (const { city } of opened) checkChannels(name, best, city);
  const all = await Promise.all(opened.map(({ reader }) => readEmbeddings(store, reader, name)));
  const [first] = all as [Embeddings];
  const own = (opened[0] as OpenedCity).city.dataset.name;
  for (const [i, { step, weightsSha256 }] of all.entries()) {
    const other = (opened[i] as OpenedCity).city.dataset.name;
    if (weightsSha256 === first.weightsSha256) continue;
    throw new FarmError(
      "dataset-mismatch",
      `model ${name} has embedded ${own} by its step ${first.step} and ${other} by its step ${step}: their vectors are not in one space`,
      `pnpm farm:embed --model ${name} --dataset ${own}, and --dataset ${other}, with the same --checkpoint`,
    );
  }
  const { step, settings, weights } = await checkpointOf(store, name, best, first, own);
  const cities = await Promise.all(
    opened.map(async ({ city }, i) => {
      const embeddings = all[i] as Embeddings;
      const { data, size } = embeddings;
      return { ...city, embeddings, neighbours: await openNeighbours(data, size, { places: city.places }) };
    }),
  );
  const history = name === PRETRAINED ? [] : await readHistory(store, name);
  const { architecture, loss } = settings;
  return { model: { name, step, architecture, weights, loss, history }, cities };
}

/** The course of another model's training. @throws FarmError `model-missing`; `usage` for the one without any */
export async function openRival(store: ObjectStore, name: string): Promise<Rival> {
  if (name === PRETRAINED)
    throw new FarmError(
      "usage",
      `model ${PRETRAINED} comes with the farm without the course of its training`,
      "name a model that was trained in this store",
    );
  const { settings } = await openCheckpoint(store, name, "last");
  return { name, loss: settings.loss, history: await readHistory(store, name) };
}

function checkChannels(name: string, { settings }: Checkpoint, { dataset }: City): void {
  const { channels } = settings;
  if (channels.join() === dataset.channels.join()) return;
  throw new FarmError(
    "cartography-mismatch",
    `model ${name} reads ${channels.length} channels (${channels.join(", ")}), data set ${dataset.name} has ${dataset.channels.length} (${dataset.channels.join(", ")})`,
    "name a model that was trained on such tiles",
  );
}

/** The checkpoint that made some embeddings. */
async function checkpointOf(
  store: ObjectStore,
  name: string,
  best: Checkpoint,
  { step, weightsSha256 }: Embeddings,
  dataset: string,
): Promise<Checkpoint> {
  if (best.weightsSha256 === weightsSha256) return best;
  const same = await openCheckpoint(store, name, step).catch((error: unknown) => {
    if (error instanceof FarmError && error.code === "input") return undefined;
    throw error;
  });
  if (same?.weightsSha256 === weightsSha256) return same;
  throw new FarmError(
    "checkpoint-missing",
    `model ${name} has embedded data set ${dataset} by weights of its step ${step}, which are no longer kept`,
    `pnpm farm:embed --model ${name} --dataset ${dataset}`,
  );
}
