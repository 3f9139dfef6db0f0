import { DEFAULT_HOLDOUT, FarmError } from "@loc2vec/core";
import {
  ADAM,
  compactNetwork,
  countParameters,
  DROPOUT,
  LOC2VEC,
  LOSS_NAMES,
  LOSSES,
  MOST_HALVINGS,
  NETWORKS,
  networkSchema,
  TURNS,
} from "@loc2vec/encoder";
import { z } from "zod";
import { explain, group, type Knob, knob, knobsOf, rangeOf, standardText, usageOf } from "./knobs.ts";
import { PRETRAINED } from "./model.ts";

/**
 * The schema of a training, said once: the options of `farm train` and `farm enqueue --train`, a job's payload, what
 * {@link train} takes, what a checkpoint keeps and compares, and the table in the README are derived from it. A new
 * setting is an entry here, and its use.
 */

const rate = z.number().min(0).lt(1);
const count = z.int().min(1);

/** A network's name with what it weighs: `small (81,552 parameters)`. */
const networkTexts = Object.entries(NETWORKS).map(
  ([name, layers]) => `${name} (${countParameters({ ...LOC2VEC, layers }).toLocaleString("en")} parameters)`,
);

/** How fast it learns as the steps go by. */
export const schedule = {
  warmup: knob(z.int().min(0).default(0), {
    flag: "--warmup",
    unit: "steps",
    help: "steps over which the learning rate rises to its height",
    before: 0,
  }),
  halveEvery: knob(z.int().min(0).default(0), {
    flag: "--halve-every",
    unit: "steps",
    help: "steps after which the learning rate halves, again and again; 0: never",
    before: 0,
  }),
  anneal: knob(z.union([z.int().min(0), z.literal("steps")]).default(0), {
    flag: "--anneal",
    unit: "steps",
    help: "step by which the learning rate has fallen along a half cosine to 2% of its height, where it stays; 0: never; the word: those that are asked for when the training begins",
    before: 0,
  }),
};

/** What decides how a training goes, but for its length: a checkpoint keeps it, and who goes on must not change it. */
export const decisive = {
  network: knob(networkSchema.transform(compactNetwork).prefault("paper"), {
    flag: "--network",
    value: "network",
    names: Object.keys(NETWORKS),
    help: `layers: ${networkTexts.join(", ")}, {"pooled": […], "pointwise": […], "dense": n, "embedding": n}, or a list: [{"kind": "conv", …}, …]`,
  }),
  halvings: knob(z.int().min(0).max(MOST_HALVINGS).default(0), {
    flag: "--halvings",
    help: "how often tiles are halved for the network: 1 turns 128 pixels into 64, and a step takes a fifth of the time",
  }),
  turns: knob(z.literal(TURNS).default(1), {
    flag: "--turns",
    help: "turns of a tile that its embedding is the mean of, outside training: 4, its quarter turns; 8, those of its mirror image, too. Embedding takes so many times as long",
  }),
  from: knob(z.string().min(1).default("none"), {
    flag: "--from",
    value: "model",
    help: `a model whose best weights it begins with, e.g. ${PRETRAINED}, which comes with the farm; none: with drawn ones`,
    before: "none",
  }),
  seed: knob(z.int().min(0).default(0), {
    flag: "--seed",
    help: "what weights, mini-batches and dropout are drawn by",
    enqueue: false,
  }),
  batch: group({
    locations: knob(z.int().min(2).max(1000).default(20), {
      flag: "--batch-locations",
      help: "locations per mini-batch",
    }),
    pairs: knob(count.max(1000).default(5), {
      flag: "--pairs",
      help: "(anchor, positive) pairs per location",
    }),
    negatives: knob(count.max(1000).default(1), {
      flag: "--negatives",
      help: "negatives of each pair, among the other locations of the mini-batch",
      before: 1,
    }),
    neighbours: knob(z.number().min(0).max(0.5).default(0), {
      flag: "--neighbours",
      value: "share",
      help: "share of a mini-batch's locations that are there because they lie near another one, half a tile's side to two sides away; as many as are found among 64 shards",
      before: 0,
    }),
  }),
  mix: knob(z.enum(["batch", "turns"]).default("batch"), {
    flag: "--mix",
    value: "how",
    help: "with several data sets: each mini-batch has locations of all of them, or of one by turns, the more often the more locations it has",
    before: "batch",
    // A queued training is of the data set that is rendered for it.
    enqueue: false,
  }),
  loss: knob(z.enum(LOSS_NAMES).default("softpn"), {
    flag: "--loss",
    value: "loss",
    help: LOSS_NAMES.map((name) => `${name}: ${LOSSES[name].about}`).join("; "),
  }),
  temperature: knob(z.number().positive().optional(), {
    flag: "--temperature",
    help: "what the loss divides distances or cosines by: the lower, the more the nearest negatives alone count",
    otherwise: `the loss's own: ${LOSS_NAMES.map((name) => `${name} ${LOSSES[name].temperature}`).join(", ")}`,
    before: 1,
  }),
  decorrelate: knob(z.number().min(0).default(0), {
    flag: "--decorrelate",
    value: "weight",
    help: "of a term that is added to the loss, so that each number of the embeddings varies, and no two say the same",
    before: 0,
  }),
  learningRate: knob(z.number().positive().default(ADAM.learningRate), {
    flag: "--learning-rate",
    value: "rate",
    help: "Adam's, at its height",
  }),
  ...schedule,
  average: knob(rate.default(0), {
    flag: "--average",
    value: "share",
    help: "what a moving average of the weights keeps of its past in a step: then that average is judged, written and used; 0: none",
    before: 0,
  }),
  halfSizeSteps: knob(z.int().min(0).default(0), {
    flag: "--half-size-steps",
    unit: "steps",
    help: "steps at first in which tiles are halved once more; for networks that tiles of any size pass",
    before: 0,
  }),
  precision: knob(z.enum(["auto", "float32", "mixed"]).default("auto"), {
    flag: "--precision",
    value: "precision",
    help: "auto: mixed (bfloat16 convolutions) where the device has bfloat16, else float32",
  }),
  dropout: knob(z.strictObject({ input: rate, conv: rate, dense: rate }).default(DROPOUT), {
    flag: "--dropout",
    value: "rates",
    help: "shares of the input's channels, of feature maps and of the dense layer that fall out",
  }),
  empty: knob(z.enum(["skip", "keep"]).default("skip"), {
    flag: "--empty",
    value: "policy",
    help: "tiles without a drawn pixel: never trained on, or as any other",
    before: "keep",
  }),
  early: knob(z.boolean().optional(), {
    flag: "--early",
    help: "begins while shards are being rendered: waits for those that are not there yet",
    before: false,
    enqueue: false,
  }),
  minDistanceM: knob(z.number().min(0).optional(), {
    flag: "--min-distance",
    unit: "metres",
    help: "least distance between locations of a mini-batch: nearer ones are false negatives of one another",
    otherwise: `two footprints, ${DEFAULT_HOLDOUT.borderM}, or less on a small map`,
    before: 0,
  }),
  holdout: group({
    share: knob(rate.default(DEFAULT_HOLDOUT.share), {
      flag: "--holdout",
      value: "share",
      help: "share of the map's cells that is kept from training, to evaluate on",
      before: 0,
    }),
    cellM: knob(z.number().positive().default(DEFAULT_HOLDOUT.cellM), {
      flag: "--cell",
      unit: "metres",
      help: "side of those cells",
      before: 1000,
    }),
    borderM: knob(z.number().min(0).optional(), {
      flag: "--border",
      unit: "metres",
      help: "width around those cells that is neither trained nor evaluated on",
      otherwise: `two footprints, ${DEFAULT_HOLDOUT.borderM}`,
      before: 200,
    }),
  }),
};

/** What a session is told: when it ends, and how often it keeps what it reached. */
const session = {
  patience: knob(count.optional(), {
    flag: "--patience",
    unit: "steps",
    help: "ends when the mean loss of 50 steps has not fallen for so many steps",
  }),
  maxSeconds: knob(z.number().positive().optional(), {
    flag: "--max-seconds",
    unit: "seconds",
    help: "ends after so long, to go on when called again; a job goes on when others had their turn",
  }),
  checkpointEvery: knob(count.default(100), {
    flag: "--checkpoint-every",
    unit: "steps",
    help: "steps between checkpoints",
  }),
};

const recipeSchema = z.strictObject({ ...decisive, ...session });

/** Settings of a training, some of them. */
type Chosen = z.input<typeof recipeSchema>;

/**
 * Recipes by name: what differs from the defaults. `paper` is Loc2Vec's. Whoever changes one changes what models are that are
 * trained by its name from then on; models keep their settings one by one, so those there are go on as they were.
 */
export const RECIPES = {
  paper: {},
  best: {
    ...{ network: "global", halvings: 1, turns: 4 },
    ...{ loss: "softpn-all", learningRate: 0.003, warmup: 30, anneal: "steps" },
  },
} as const satisfies Record<string, Chosen>;

export type RecipeName = keyof typeof RECIPES;

/** In the order of {@link RECIPES}; the first is the default. */
export const RECIPE_NAMES = Object.keys(RECIPES) as [RecipeName, ...RecipeName[]];

/** A training's settings, as they may be given: what is left out is as the named recipe says, or else the default. */
export type RecipeInput = Chosen & { recipe?: RecipeName | undefined };

/** A training's settings, complete but for what is found out where it begins. */
export type Recipe = z.output<typeof recipeSchema>;

/** Every setting of a training, in the order of --help and the README. */
export const KNOBS: readonly Knob[] = knobsOf(recipeSchema.shape);

/** What a recipe is, for people: what of it differs from the defaults, as options of the command line. */
export function aboutRecipe(recipe: Chosen): string {
  const options = KNOBS.flatMap((one) => {
    const value = one.path.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)?.[key], recipe);
    if (value === undefined) return [];
    const isJson = one.names !== undefined && typeof value === "object";
    return `${one.flag} ${isJson ? `'${JSON.stringify(value)}'` : standardText({ standard: value })}`;
  });
  return options.join(" ") || "the defaults";
}

/** Settings of before there was a temperature, in checkpoints and in jobs that wait: they hold its inverse, `distanceScale`. */
export function readScale<T>(settings: T): T {
  if (!(settings instanceof Object && "distanceScale" in settings)) return settings;
  const { distanceScale, ...rest } = settings;
  return { ...rest, temperature: 1 / Number(distanceScale) } as T;
}

/** The fields of a recipe in an object that holds others, too. */
export function pickRecipe(options: RecipeInput): RecipeInput {
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => name === "recipe" || name in recipeSchema.shape),
  );
}

/** Groups of settings by name: what is given of one leaves the rest of it to the recipe. */
const GROUPS = new Set(KNOBS.filter(({ path }) => path.length > 1).map(({ path }) => path[0]));

/** Settings above others: each replaces the one below, but for those that are undefined. */
function merge(below: object, above: object): object {
  const merged: Record<string, unknown> = { ...below };
  for (const [name, value] of Object.entries(above)) {
    const inner = merged[name];
    if (value === undefined) continue;
    const isGroup = GROUPS.has(name) && inner instanceof Object && value instanceof Object;
    merged[name] = isGroup ? merge(inner, value) : value;
  }
  return merged;
}

/**
 * Checks settings and fills in what their recipe says, and the defaults.
 *
 * @param place for the message, e.g. `model city`
 * @throws FarmError `usage` naming the field that is unknown or out of its range
 */
export function parseRecipe(place: string, { recipe = "paper", ...chosen }: RecipeInput): Recipe {
  if (!Object.hasOwn(RECIPES, recipe)) {
    const names = RECIPE_NAMES.join(" or ");
    throw new FarmError("usage", `${place}: recipe: must be ${names}`, "farm train --help lists the recipes");
  }
  return completeRecipe(place, chosen, RECIPES[recipe]);
}

/** {@link parseRecipe} of any recipe. */
export function completeRecipe(place: string, chosen: Chosen, recipe: Chosen): Recipe {
  const parsed = recipeSchema.safeParse(merge(recipe, readScale(chosen)));
  if (parsed.success) return parsed.data;
  const { path, message } = explain(parsed.error.issues[0] as z.core.$ZodIssue);
  const field = path.join(".");
  const one = KNOBS.find((each) => each.path.join(".") === field);
  throw new FarmError(
    "usage",
    `${place}: ${field}: ${one === undefined ? message : `must be ${rangeOf(one)}`}`,
    "farm train --help lists the settings of a training",
  );
}

/** A recipe of settings that are given one by one: `[["batch", "pairs"], 3]`. */
export function composeRecipe(
  values: Iterable<readonly [path: readonly string[], value: unknown]>,
): RecipeInput {
  const recipe: Record<string, unknown> = {};
  for (const [path, value] of values) {
    let inner = recipe;
    for (const name of path.slice(0, -1)) {
      inner[name] ??= {};
      inner = inner[name] as Record<string, unknown>;
    }
    inner[path.at(-1) as string] = value;
  }
  return recipe;
}

/** The recipes, and the table of a training's settings, in the README, in Markdown. */
export function recipeTable(): string {
  const named = RECIPE_NAMES.map(
    (name) => `- \`--recipe ${name}\`: ${aboutRecipe(RECIPES[name]).replace(/^--.*/, "`$&`")}`,
  );
  const rows = KNOBS.map((one) => [
    `\`${usageOf(one)}\``,
    `\`${one.path.join(".")}\``,
    standardText(one) || "–",
    (one.path[0] as string) in decisive ? "yes" : "",
    `${one.help} (${rangeOf(one)})`,
  ]);
  const table = [["option", "setting", "default", "kept", "what"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...table.map((row) => (row[column] as string).length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join(" | ")} |`;
  const [head = [], ...body] = table;
  return [...named, "", line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join(
    "\n",
  );
}
