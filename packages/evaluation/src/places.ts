import {
  type Dataset,
  describeIdentity,
  FarmError,
  footprint,
  nearestOf,
  type Part,
  type Place,
  partOf,
  sameDataset,
  shardOf,
} from "@loc2vec/core";
import { type DatasetReader, listShards, type ObjectStore, openDataset } from "@loc2vec/shards";
import { type Checkpoint, type EmptyTiles, findEmptyTiles, isUsable } from "@loc2vec/trainer";

/** The least locations that anything is said of. */
const LEAST = 20;

/** Share of another data set's cells that a linear probe is asked for, where the model held out none of its own. */
const PROBED = 0.25;

/** A data set, and those of its locations that can be judged by. */
export interface Surveyed {
  reader: DatasetReader;
  dataset: Dataset;
  placeOf(location: number): Place;
  /** The usable locations of each part of the split: rendered, with an anchor and enough positives that show something. */
  parts: Readonly<Record<Part, readonly number[]>>;
  /** Where all locations of the part `train` lie, the usable ones and others. */
  trainPlaces: readonly Place[];
  emptyByLocation: EmptyTiles;
}

/** Where models are judged, and what they were trained on. */
export interface Geography {
  /** `squares`: cells of the training data set that were kept from training; `elsewhere`: another data set, whole. */
  kind: "squares" | "elsewhere";
  evaluated: Surveyed;
  /** Where what is compared may learn: baselines are fitted to the part `train` of it. */
  trained: Surveyed;
  /** Locations that models are judged by. */
  heldout: readonly number[];
  /** Metres between the nearest two locations of which one was trained on, and the other is judged by. */
  nearestTrainedM: number;
  /**
   * Whether tiles of the two can show the same ground: the locations are nearer to one another than their tiles reach. It
   * happens in squares with a narrow border; elsewhere it is refused.
   */
  overlaps: boolean;
}

/**
 * Finds places to judge models by that no tile they were trained on shows: held-out squares of the data set that they were
 * trained on, or all of another one.
 *
 * @throws FarmError `input` when nothing was held out, or too little, or the other data set overlaps the one trained on;
 *   `data` when models differ in what they held out; `cartography-mismatch` when a data set is drawn otherwise;
 *   `dataset-mismatch` when one was made anew under its name, or models were trained on different ones;
 *   `dataset-missing` when one is not in the store
 */
export async function findGeography(
  store: ObjectStore,
  name: string,
  models: readonly string[],
  checkpoints: readonly Checkpoint[],
  positives: number,
): Promise<Geography> {
  const [first] = checkpoints;
  if (first === undefined) throw new FarmError("usage", "no model is named", "--model");
  const reader = await openDataset(store, name);
  checkModels(models, checkpoints, reader);
  const { dataset: identity, holdout } = first.settings;
  const own = identity.name === name;
  const trainedReader = own ? reader : await openTrained(store, models[0] as string, first);
  const trained = await survey(store, trainedReader, holdout, positives);
  // Elsewhere all is held out; the split then says from which places a probe learns, and which it is asked for.
  const asked = holdout.share > 0 ? holdout : { ...holdout, share: PROBED };
  const evaluated = own ? trained : await survey(store, reader, asked, positives);
  const heldout = own
    ? evaluated.parts.heldout
    : [...evaluated.parts.train, ...evaluated.parts.border, ...evaluated.parts.heldout].sort((a, b) => a - b);
  const learned = trained.parts.train.length;
  if (heldout.length < LEAST || learned < LEAST) {
    throw new FarmError(
      "input",
      own
        ? `data set ${name}: ${heldout.length} locations were kept from training and ${learned} were not: too few to evaluate on`
        : `${heldout.length} locations of data set ${name} can be used, and ${learned} of data set ${identity.name}: too few to evaluate on`,
      own ? "train with a larger --holdout, or on more locations" : "render more locations",
    );
  }
  const nearestTrainedM = nearestPair(trained, evaluated, heldout);
  const reach = reachOf(trained.dataset) + reachOf(evaluated.dataset);
  const overlaps = nearestTrainedM < reach;
  if (overlaps && !own) {
    throw new FarmError(
      "input",
      `data set ${name} overlaps data set ${identity.name}, that model ${models[0]} was trained on: two of their locations lie ${nearestTrainedM.toFixed(0)} m from one another, and their tiles reach ${reach.toFixed(0)} m`,
      "evaluate on another city, or on the held-out squares of the data set it was trained on",
    );
  }
  return { kind: own ? "squares" : "elsewhere", evaluated, trained, heldout, nearestTrainedM, overlaps };
}

/** Metres that tiles of a location reach from it. */
const reachOf = ({ radius, augmentation }: Dataset): number =>
  footprint(radius, augmentation.maxOffset).reachM;

/** @throws FarmError when a model cannot be judged on this data set, or not beside the first */
function checkModels(
  models: readonly string[],
  checkpoints: readonly Checkpoint[],
  reader: DatasetReader,
): void {
  const now = reader.identity;
  const [first] = checkpoints as [Checkpoint];
  for (const [at, { settings }] of checkpoints.entries()) {
    const [model, { dataset: was, holdout }] = [models[at] as string, settings];
    if (was.source.styleHash !== now.source.styleHash) {
      throw new FarmError(
        "cartography-mismatch",
        `model ${model} was trained on tiles of another cartography (${was.source.styleHash}) than data set ${now.name} has (${now.source.styleHash})`,
        "evaluate on a data set that was rendered with the same profile",
      );
    }
    if (was.name === now.name && !sameDataset(was, now)) {
      throw new FarmError(
        "dataset-mismatch",
        `model ${model} was trained on ${describeIdentity(was)}; what has that name now is ${describeIdentity(now)}`,
        "train on the new one under another name",
      );
    }
    if (!sameDataset(was, first.settings.dataset)) {
      throw new FarmError(
        "dataset-mismatch",
        `model ${models[0]} was trained on ${describeIdentity(first.settings.dataset)}, model ${model} on ${describeIdentity(was)}`,
        "evaluate them one by one",
      );
    }
    if (was.name === now.name && holdout.share === 0) {
      throw new FarmError(
        "input",
        `model ${model} was trained on the whole map: there is nothing it has not seen`,
        "train with --holdout 0.1, or evaluate on another city",
      );
    }
    if (JSON.stringify(holdout) !== JSON.stringify(first.settings.holdout)) {
      throw new FarmError(
        "data",
        `models ${models[0]} and ${model} held out other places`,
        "train both with the same --holdout, --cell and --border",
      );
    }
  }
}

/** The data set that a model was trained on: without it nobody knows where that was. */
async function openTrained(
  store: ObjectStore,
  model: string,
  { settings: { dataset: was } }: Checkpoint,
): Promise<DatasetReader> {
  const reader = await openDataset(store, was.name).catch((error: unknown) => {
    if (!(error instanceof FarmError && error.code === "dataset-missing")) throw error;
    throw new FarmError(
      "dataset-missing",
      `model ${model} was trained on data set ${was.name}, which is not in ${store.url}: whether it lies elsewhere cannot be told`,
      "evaluate where that data set is",
      { cause: error },
    );
  });
  const now = reader.identity;
  if (sameDataset(was, now)) return reader;
  throw new FarmError(
    "dataset-mismatch",
    `model ${model} was trained on ${describeIdentity(was)}; what has that name now is ${describeIdentity(now)}`,
    "evaluate where the old one is, or train on the new one under another name",
  );
}

/** Parts the locations of a data set, as a holdout does, and keeps the usable ones. */
async function survey(
  store: ObjectStore,
  reader: DatasetReader,
  holdout: Checkpoint["settings"]["holdout"],
  positives: number,
): Promise<Surveyed> {
  const { dataset } = reader;
  const shardIds = [...(await listShards(store, dataset))].sort((a, b) => a - b);
  const emptyByLocation = await findEmptyTiles(reader, shardIds);
  const { lon, lat } = await reader.locations(0, dataset.locations);
  const placeOf = (i: number): Place => ({ lon: lon[i] as number, lat: lat[i] as number });
  const rendered = new Set(shardIds);
  const parts: Record<Part, number[]> = { train: [], border: [], heldout: [] };
  const trainPlaces: Place[] = [];
  for (let i = 0; i < dataset.locations; i++) {
    const part = partOf(dataset.seed, placeOf(i), holdout);
    if (part === "train") trainPlaces.push(placeOf(i));
    if (!rendered.has(shardOf(dataset, i))) continue;
    if (!isUsable(dataset.samples - 1, positives, emptyByLocation.get(i))) continue;
    parts[part].push(i);
  }
  return { reader, dataset, placeOf, parts, trainPlaces, emptyByLocation };
}

/** Metres between the nearest two locations of which one is trained on, and the other is judged by. */
function nearestPair(trained: Surveyed, evaluated: Surveyed, heldout: readonly number[]): number {
  const nearest = nearestOf(trained.trainPlaces);
  return heldout.reduce(
    (least, i) => Math.min(least, nearest(evaluated.placeOf(i))?.metres ?? Number.POSITIVE_INFINITY),
    Number.POSITIVE_INFINITY,
  );
}
