import {
  type Dataset,
  datasetIdentitySchema,
  describeIdentity,
  FarmError,
  type Holdout,
  sameDataset,
} from "@loc2vec/core";
import {
  type Architecture,
  architectureSchema,
  describeNetwork,
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

/** The decisive settings that a checkpoint keeps under their own names: not the network, which becomes the architecture. */
type Plain = Omit<typeof decisive, "network" | keyof typeof schedule>;
const plain = Object.fromEntries(
  Object.entries(decisive).filter(([name]) => name !== "network" && !(name in schedule)),
) as Plain;

/** Nothing is left out any more: what a recipe leaves open was found out where the training began. */
type Settled<T> = { [K in keyof T]-?: Exclude<T[K], undefined> };

/** All that decides how a training goes, but for its length: a recipe's decisive settings, and what it was trained on. */
export type Settings = Settled<Omit<Pick<Recipe, keyof Plain>, "batch" | "holdout" | "precision">> & {
  /** An encoder reads tiles of that cartography alone. */
  dataset: z.infer<typeof datasetIdentitySchema>;
  channels: string[];
  architecture: Architecture;
  batch: Settled<Recipe["batch"]>;
  /** `anneal` is a step: what `steps` were where the training began. */
  schedule: Settled<Pick<Recipe, Exclude<keyof typeof schedule, "anneal">>> & { anneal: number };
  /** What `auto` became where the training began. */
  precision: Exclude<Precision, "auto">;
  /** Ids of the shards that it draws from, `0-99,105`: those rendered when the training began, or with `early` all. */
  shards: string;
  holdout: Holdout;
};

/** The settings in a checkpoint's `state.json`. */
export const settingsSchema = z.preprocess(
  readScale,
  z.object({
    dataset: datasetIdentitySchema,
    channels: z.array(z.string()),
    architecture: architectureSchema,
    ...keptShape(plain),
    schedule: z.object(keptShape(schedule)).prefault({}),
    shards: z.string().regex(RANGES),
  }),
) as unknown as z.ZodType<Settings>;

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

/** The settings of a training on a data set: those of a training that begins, or that goes on as it is told to. */
export function settle(
  recipe: SettledRecipe,
  identity: Settings["dataset"],
  { channels, pixels }: Pick<Dataset, "channels" | "pixels">,
  drawn: Drawn,
): Settings {
  const architecture = { channels: channels.length, pixels, layers: networkOf(recipe.network) };
  const settings: Record<string, unknown> = { dataset: identity, channels, architecture };
  for (const name of Object.keys(decisive) as (keyof typeof decisive)[]) {
    if (name in schedule)
      settings.schedule = { ...(settings.schedule as object | undefined), [name]: recipe[name] };
    else if (name !== "network" && !(name in drawn)) settings[name] = recipe[name];
  }
  settings.temperature ??= LOSSES[recipe.loss].temperature;
  return { ...settings, ...drawn } as Settings;
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
    if (field === "dataset" && sameDataset(was.dataset, is.dataset)) continue;
    const [had, has] =
      field === "architecture"
        ? [was, is].map(({ architecture }) => `the network ${describeNetwork(architecture.layers)}`)
        : field === "dataset"
          ? [was, is].map(({ dataset }) => describeIdentity(dataset))
          : [`${field} ${before}`, now];
    throw new FarmError(
      field === "dataset" ? "dataset-mismatch" : "settings-mismatch",
      `model ${model} in ${store.url} was trained with ${had}, not ${has}`,
      "train under another name, or with the same settings",
    );
  }
}
