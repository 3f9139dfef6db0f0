import { errorMessage, FarmError } from "@loc2vec/core";
import {
  aboutRecipe,
  choicesOf,
  composeRecipe,
  KNOBS,
  type Knob,
  RECIPE_NAMES,
  RECIPES,
  type RecipeInput,
  type RecipeName,
  readKnob,
  standardText,
  usageOf,
} from "@loc2vec/trainer";
import { type Command, InvalidArgumentError, Option } from "commander";

/** The options of a training by commander's names: those alone that were given. */
export type TrainingOptions = Readonly<Record<string, unknown>>;

/** The settings that `farm enqueue` has options for, for the training that it queues. */
const ENQUEUED = KNOBS.filter(({ enqueue }) => enqueue !== false);

/** `--recipe`. @param about before its help @param standard the recipe where none is named */
export function recipeOption(about = "", standard: RecipeName = "paper"): Option {
  const recipes = RECIPE_NAMES.map((name) => `${name}: ${aboutRecipe(RECIPES[name])}`).join("; ");
  const help = `${about}settings by name; those that are given beside it win. ${recipes}`;
  return new Option("--recipe <name>", `${help} (default: ${standard})`).choices(RECIPE_NAMES);
}

/** Adds the options of a training. */
export function withTraining(command: Command): Command {
  command.addOption(recipeOption());
  for (const knob of KNOBS) command.addOption(optionOf(knob));
  return command;
}

/** Adds the options of a training that follows a data set in the queue. */
export function withQueuedTraining(command: Command): Command {
  command.addOption(recipeOption("training: "));
  for (const knob of ENQUEUED) command.addOption(optionOf(knob, "training: "));
  return command;
}

/** The recipe's own defaults apply, so the option has none; its help says them. */
function optionOf(knob: Knob, about = ""): Option {
  const choices = choicesOf(knob);
  const notes = [
    ...(choices.length > 0 ? [`choices: ${choices.join(", ")}`] : []),
    ...(standardText(knob) === "" ? [] : [`default: ${standardText(knob)}`]),
  ];
  const help = `${about}${knob.help}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`;
  const option = new Option(usageOf(knob), help);
  if (option.isBoolean()) return option;
  return option.argParser((text) => {
    try {
      return readKnob(knob, text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof FarmError ? error.message : errorMessage(error));
    }
  });
}

const givenFor = (knob: Knob, options: TrainingOptions): unknown =>
  options[new Option(knob.flag).attributeName()];

/** The recipe and the settings that were given, as the trainer takes them. */
export function trainingOf(options: TrainingOptions): RecipeInput {
  const given = KNOBS.map((knob) => [knob.path, givenFor(knob, options)] as const);
  const all = [[["recipe"], options.recipe] as const, ...given];
  return composeRecipe(all.filter(([, value]) => value !== undefined));
}

/** @throws FarmError `usage` naming the first option of a training that was given where nothing is trained */
export function refuseTraining(options: TrainingOptions): void {
  const setKnob = ENQUEUED.find((knob) => givenFor(knob, options) !== undefined);
  const flag = options.recipe === undefined ? setKnob?.flag : "--recipe";
  if (flag === undefined) return;
  throw new FarmError("usage", `${flag} is of a model that is trained`, "add --train MODEL");
}
