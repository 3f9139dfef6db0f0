import {
  type Dataset,
  type DatasetIdentity,
  describeIdentity,
  FarmError,
  footprint,
  type Holdout,
  nearestOf,
  type Part,
  type Place,
  sameDataset,
  shardOf,
} from "@loc2vec/core";
import { type DatasetReader, listShards, type ObjectStore, openDataset } from "@loc2vec/shards";
import {
  type Checkpoint,
  datasetsOf,
  describeNames,
  type EmptyTiles,
  findEmptyTiles,
  isUsable,
  partTogether,
  sameDatasets,
} from "@loc2vec/trainer";

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
  /** `squares`: cells of a training data set that were kept from training; `elsewhere`: another data set. */
  kind: "squares" | "elsewhere";
  evaluated: Surveyed;
  /** Where what is compared may learn: baselines are fitted to the part `train` of them. */
  trained: readonly Surveyed[];
  /** Locations that models are judged by. */
  heldout: readonly number[];
  /** How many of another data set are left out: their tiles can show ground that was trained on. */
  seen: number;
  /** Metres between the nearest two locations of which one was trained on, and the other is judged by. */
  nearestTrainedM: number;
  /**
   * Whether tiles of the two can show the same ground: the locations are nearer to one another than their tiles reach. It
   * happens in squares with a narrow border; elsewhere such locations are left out.
   */
  overlaps: boolean;
}

/**
 * Finds places to judge models by that no tile they were trained on shows: held-out squares of a data set that they were
 * trained on, or all of another one but what lies on ground that was trained on.
 *
 * @throws FarmError `input` when nothing was held out, or too little, or too little of the other data set lies on other ground;
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
  const { holdout } = first.settings;
  const readers = await Promise.all(
    datasetsOf(first.settings).map((was) =>
      was.name === name ? reader : openTrained(store, models[0] as string, was),
    ),
  );
  const trained = await surveyTogether(store, readers, holdout, positives);
  const own = trained.find(({ dataset }) => dataset.name === name);
  const { evaluated, seen } = own
    ? { evaluated: own, seen: 0 }
    : await surveyElsewhere(store, reader, trained, holdout, positives);
  const { parts } = evaluated;
  const heldout = own
    ? parts.heldout
    : Object.values(parts)
        .flat()
        .sort((a, b) => a - b);
  checkCounts(trained, evaluated, { own: own !== undefined, heldout: heldout.length, seen });
  const nearest = nearnessTo(trained, evaluated);
  const near = heldout.map(nearest);
  return {
    kind: own ? "squares" : "elsewhere",
    ...{ evaluated, trained, heldout, seen },
    nearestTrainedM: near.reduce((least, { metres }) => Math.min(least, metres), Number.POSITIVE_INFINITY),
    overlaps: near.some(({ overlaps }) => overlaps),
  };
}

/** @throws FarmError `input` when there is too little to judge by, or to fit baselines to */
function checkCounts(
  trained: readonly Surveyed[],
  { dataset: { name } }: Surveyed,
  { own, heldout, seen }: { own: boolean; heldout: number; seen: number },
): void {
  const learned = trained.reduce((sum, { parts }) => sum + parts.train.length, 0);
  if (heldout >= LEAST && learned >= LEAST) return;
  const names = describeNames(trained.map(({ dataset }) => dataset.name));
  if (seen > 0 && learned >= LEAST) {
    throw new FarmError(
      "input",
      `data set ${name} overlaps ${names}, trained on: tiles of ${seen} of its locations can show the same ground, and ${heldout} others are too few to evaluate on`,
      "evaluate on another city, or on held-out squares of what was trained on",
    );
  }
  throw new FarmError(
    "input",
    own
      ? `data set ${name}: ${heldout} locations were kept from training and ${learned} ${trained.length > 1 ? `of ${names} ` : ""}were not: too few to evaluate on`
      : `${heldout} locations of data set ${name} can be used, and ${learned} of ${names}: too few to evaluate on`,
    own ? "train with a larger --holdout, or on more locations" : "render more locations",
  );
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
    const [model, { holdout }] = [models[at] as string, settings];
    const trained = datasetsOf(settings);
    const styleHash = trained[0]?.source.styleHash;
    if (styleHash !== now.source.styleHash) {
      throw new FarmError(
        "cartography-mismatch",
        `model ${model} was trained on tiles of another cartography (${styleHash}) than data set ${now.name} has (${now.source.styleHash})`,
        "evaluate on a data set that was rendered with the same profile",
      );
    }
    const was = trained.find((one) => one.name === now.name);
    if (was !== undefined && !sameDataset(was, now)) {
      throw new FarmError(
        "dataset-mismatch",
        `model ${model} was trained on ${describeIdentity(was)}; what has that name now is ${describeIdentity(now)}`,
        "train on the new one under another name",
      );
    }
    if (!sameDatasets(trained, datasetsOf(first.settings))) {
      const [one, other] = [first.settings, settings].map((each) =>
        datasetsOf(each).map(describeIdentity).join(" and "),
      );
      throw new FarmError(
        "dataset-mismatch",
        `model ${models[0]} was trained on ${one}, model ${model} on ${other}`,
        "evaluate them one by one",
      );
    }
    if (was !== undefined && holdout.share === 0) {
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

/** A data set that a model was trained on: without it nobody knows where that was. */
async function openTrained(store: ObjectStore, model: string, was: DatasetIdentity): Promise<DatasetReader> {
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

/** Parts the locations of data sets, as a training on all of them does, and keeps the usable ones. */
async function surveyTogether(
  store: ObjectStore,
  readers: readonly DatasetReader[],
  holdout: Holdout,
  positives: number,
): Promise<Surveyed[]> {
  const places = await Promise.all(readers.map(placesOf));
  const grounds = readers.map(({ dataset: { seed } }, at) => ({ seed, places: places[at] as Place[] }));
  const parts = partTogether(grounds, holdout);
  return Promise.all(
    readers.map((reader, at) => survey(store, reader, places[at] as Place[], parts[at] as Part[], positives)),
  );
}

async function placesOf({ dataset, locations }: DatasetReader): Promise<Place[]> {
  const { lon, lat } = await locations(0, dataset.locations);
  return Array.from(lon, (x, i) => ({ lon: x, lat: lat[i] as number }));
}

/** @param parts of each location, whether it is usable or not */
async function survey(
  store: ObjectStore,
  reader: DatasetReader,
  places: readonly Place[],
  partOf: readonly Part[],
  positives: number,
): Promise<Surveyed> {
  const { dataset } = reader;
  const shardIds = [...(await listShards(store, dataset))].sort((a, b) => a - b);
  const emptyByLocation = await findEmptyTiles(reader, shardIds);
  const rendered = new Set(shardIds);
  const parts: Record<Part, number[]> = { train: [], border: [], heldout: [] };
  for (const [i, part] of partOf.entries()) {
    if (!rendered.has(shardOf(dataset, i))) continue;
    if (isUsable(dataset.samples - 1, positives, emptyByLocation.get(i))) parts[part].push(i);
  }
  const placeOf = (i: number): Place => places[i] as Place;
  const trainPlaces = places.filter((_, i) => partOf[i] === "train");
  return { reader, dataset, placeOf, parts, trainPlaces, emptyByLocation };
}

/**
 * A data set that was not trained on, without the locations whose tiles can show ground that was: all is held out. The split
 * says from which places a probe learns, and which it is asked for.
 *
 * @returns `seen`: how many usable locations are left out
 */
async function surveyElsewhere(
  store: ObjectStore,
  reader: DatasetReader,
  trained: readonly Surveyed[],
  holdout: Holdout,
  positives: number,
): Promise<{ evaluated: Surveyed; seen: number }> {
  const asked = holdout.share > 0 ? holdout : { ...holdout, share: PROBED };
  const [all] = (await surveyTogether(store, [reader], asked, positives)) as [Surveyed];
  const nearest = nearnessTo(trained, all);
  const unseen = (locations: readonly number[]) => locations.filter((i) => !nearest(i).overlaps);
  const { train, border, heldout } = all.parts;
  const parts = { train: unseen(train), border: unseen(border), heldout: unseen(heldout) };
  const count = (each: Surveyed["parts"]): number => Object.values(each).flat().length;
  return { evaluated: { ...all, parts }, seen: count(all.parts) - count(parts) };
}

/** How far a location lies from the nearest that is trained on, metres, and whether tiles of the two can show the same ground. */
function nearnessTo(
  trained: readonly Surveyed[],
  { dataset, placeOf }: Surveyed,
): (location: number) => { metres: number; overlaps: boolean } {
  const near = trained.map((each) => ({
    nearest: nearestOf(each.trainPlaces),
    reach: reachOf(each.dataset) + reachOf(dataset),
  }));
  return (location) => {
    const found = near.map(({ nearest, reach }) => {
      const metres = nearest(placeOf(location))?.metres ?? Number.POSITIVE_INFINITY;
      return { metres, overlaps: metres < reach };
    });
    return {
      metres: Math.min(...found.map(({ metres }) => metres)),
      overlaps: found.some(({ overlaps }) => overlaps),
    };
  };
}
