import {
  type Dataset,
  type DatasetIdentity,
  datasetIdentitySchema,
  describeIdentity,
  FarmError,
  type Holdout,
  sameDataset,
} from "@loc2vec/core";
import {
  type Architecture,
  architectureSchema,
  chosenOf,
  countParameters,
  describeArchitecture,
  LOSSES,
  networkOf,
  type Precision,
  storedArchitecture,
} from "@loc2vec/encoder";
import type { ObjectStore } from "@loc2vec/shards";
import { z } from "zod";
import { keptShape } from "./knobs.ts";
import { RANGES } from "./ranges.ts";
import {
  decisive,
  parseRecipe,
  RECIPE_NAMES,
  type Recipe,
  type RecipeName,
  readScale,
  schedule,
} from "./recipe.ts";

/** What becomes the architecture. */
const OF_ARCHITECTURE = [
  "network",
  "halvings",
  "turns",
] as const satisfies readonly (keyof typeof decisive)[];
type OfArchitecture = (typeof OF_ARCHITECTURE)[number];
const isOfArchitecture = (name: string): name is OfArchitecture =>
  (OF_ARCHITECTURE as readonly string[]).includes(name);

/** The decisive settings that a checkpoint keeps under their own names. */
type Plain = Omit<typeof decisive, OfArchitecture | keyof typeof schedule>;
const plain = Object.fromEntries(
  Object.entries(decisive).filter(([name]) => !isOfArchitecture(name) && !(name in schedule)),
) as Plain;

/** Nothing is left out any more: what a recipe leaves open was found out where the training began. */
type Settled<T> = { [K in keyof T]-?: Exclude<T[K], undefined> };

/** All that decides how a training goes, but for its length: a recipe's decisive settings, and what it was trained on. */
export type Settings = Settled<Omit<Pick<Recipe, keyof Plain>, "batch" | "holdout" | "mix" | "precision">> & {
  /** Of several, all of them, by name. An encoder reads tiles of their cartography alone. */
  dataset: DatasetIdentity | DatasetIdentity[];
  channels: string[];
  architecture: Architecture;
  batch: Settled<Recipe["batch"]>;
  /** Nothing is said of it where there is one data set. */
  mix?: Recipe["mix"];
  /** `anneal` is a step: what `steps` were where the training began. */
  schedule: Settled<Pick<Recipe, Exclude<keyof typeof schedule, "anneal">>> & { anneal: number };
  /** What `auto` became where the training began. */
  precision: Exclude<Precision, "auto">;
  /**
   * Ids of the shards that it draws from, `0-99,105`: those rendered when the training began, or with `early` all. Of several
   * data sets a list of these.
   */
  shards: string | string[];
  holdout: Holdout;
};

/** The settings in a checkpoint's `state.json`. */
export const settingsSchema = z.preprocess(
  readScale,
  z.object({
    dataset: z.union([datasetIdentitySchema, z.array(datasetIdentitySchema).min(2)]),
    channels: z.array(z.string()),
    architecture: architectureSchema,
    ...keptShape(plain),
    schedule: z.object(keptShape(schedule)).prefault({}),
    shards: z.union([z.string().regex(RANGES), z.array(z.string().regex(RANGES)).min(2)]),
  }),
) as unknown as z.ZodType<Settings>;

/** The data sets that a model is trained on, by name. */
export function datasetsOf({ dataset }: Pick<Settings, "dataset">): DatasetIdentity[] {
  return [dataset].flat();
}

/**
 * Whether a model can embed tiles of a data set: with the channels, the size and the drawing that it was trained on.
 *
 * @throws FarmError `cartography-mismatch`
 */
export function checkCartography(
  model: string,
  settings: Pick<Settings, "dataset">,
  dataset: Pick<Dataset, "name" | "source">,
): void {
  // Data sets of one training are of one cartography.
  if (datasetsOf(settings)[0]?.source.styleHash === dataset.source.styleHash) return;
  throw new FarmError(
    "cartography-mismatch",
    `model ${model} was trained on tiles of another cartography than data set ${dataset.name} has`,
    "embed a data set that was rendered with the same profile",
  );
}

/** Settings as they are written. */
export function storedSettings(settings: Settings): object {
  return { ...settings, architecture: storedArchitecture(settings.architecture) };
}

/** Which places and tiles a training draws from: what a recipe leaves open of it was found out where it began. */
export type Drawn = Pick<Settings, "shards" | "early" | "minDistanceM" | "holdout">;

/** A recipe whose words are settled. */
export type SettledRecipe = Omit<Recipe, "precision" | "anneal"> &
  Pick<Settings, "precision"> &
  Pick<Settings["schedule"], "anneal">;

/**
 * The settings of a training on a data set, or several: those of a training that begins, or that goes on as it is told to.
 *
 * @param identity of several a list
 */
export function settle(
  recipe: SettledRecipe,
  identity: Settings["dataset"],
  { channels, pixels }: Pick<Dataset, "channels" | "pixels">,
  drawn: Drawn,
): Settings {
  const architecture: Architecture = {
    // In the order in which checkpoints are read: settings are compared as JSON.
    ...{ channels: channels.length, pixels, ...chosenOf(recipe) },
    layers: networkOf(recipe.network),
  };
  const settings: Record<string, unknown> = { dataset: identity, channels, architecture };
  for (const name of Object.keys(decisive) as (keyof typeof decisive)[]) {
    if (name in schedule)
      settings.schedule = { ...(settings.schedule as object | undefined), [name]: recipe[name] };
    else if (!isOfArchitecture(name) && !(name in drawn)) settings[name] = recipe[name];
  }
  if (!Array.isArray(identity)) delete settings.mix;
  settings.temperature ??= LOSSES[recipe.loss].temperature;
  if (recipe.halfSizeSteps > 0) checkAnySize(architecture);
  return { ...settings, ...drawn } as Settings;
}

/** @throws FarmError `usage` unless tiles of half the size pass the network, too */
function checkAnySize(architecture: Architecture): void {
  const half = { ...architecture, halvings: (architecture.halvings ?? 0) + 1 };
  if (countParameters(half) === countParameters(architecture)) return;
  throw new FarmError(
    "usage",
    `${describeArchitecture(architecture)} cannot begin with smaller tiles: its weights are for tiles of one size`,
    "--half-size-steps 0, or a network that pools globally: --network global",
  );
}

/** The named recipe whose settings these are, but for what they were trained on and drawn by; undefined where none is. */
export function recipeNameOf(settings: Settings): RecipeName | undefined {
  const { seed, empty, precision, schedule: kept, shards, early, minDistanceM, holdout } = settings;
  const { dataset, channels, architecture } = settings;
  return RECIPE_NAMES.find((name) => {
    const recipe = parseRecipe(`recipe ${name}`, { recipe: name, seed, empty });
    const settled = {
      ...recipe,
      precision: recipe.precision === "auto" ? precision : recipe.precision,
      // Which steps were asked for is not in the recipe, only whether it is annealed until then.
      anneal: recipe.anneal === "steps" ? Math.max(1, kept.anneal) : recipe.anneal,
    };
    const on = { channels, pixels: architecture.pixels };
    const named = settle(settled, dataset, on, { shards, early, minDistanceM, holdout });
    return Object.entries(named).every(
      ([field, value]) => JSON.stringify(value) === JSON.stringify(settings[field as keyof Settings]),
    );
  });
}

/** @throws FarmError `settings-mismatch`, `dataset-mismatch` naming the first setting in which a training would go on otherwise than it began */
export function checkSame(store: ObjectStore, model: string, was: Settings, is: Settings): void {
  for (const field of Object.keys(is) as (keyof Settings)[]) {
    const [before, now] = [JSON.stringify(was[field]), JSON.stringify(is[field])];
    if (before === now) continue;
    if (field === "dataset" && sameDatasets(datasetsOf(was), datasetsOf(is))) continue;
    const [had, has] =
      field === "architecture"
        ? [was, is].map(({ architecture }) => describeArchitecture(architecture))
        : field === "dataset"
          ? [was, is].map((settings) => datasetsOf(settings).map(describeIdentity).join(" and "))
          : [`${field} ${before}`, now];
    throw new FarmError(
      field === "dataset" ? "dataset-mismatch" : "settings-mismatch",
      `model ${model} in ${store.url} was trained with ${had}, not ${has}`,
      "train under another name, or with the same settings",
    );
  }
}

/** Whether two trainings are on the same data sets. */
export function sameDatasets(a: readonly DatasetIdentity[], b: readonly DatasetIdentity[]): boolean {
  return a.length === b.length && a.every((one, i) => sameDataset(one, b[i] as DatasetIdentity));
}
