import { errorMessage, FarmError } from "@loc2vec/core";
import {
  choicesOf,
  composeRecipe,
  KNOBS,
  type Knob,
  type RecipeInput,
  readKnob,
  standardText,
  usageOf,
} from "@loc2vec/trainer";
import { type Command, InvalidArgumentError, Option } from "commander";

/** The options of a training by commander's names: those alone that were given. */
export type TrainingOptions = Readonly<Record<string, unknown>>;

/** The settings that `farm enqueue` has options for, for the training that it queues. */
const ENQUEUED = KNOBS.filter(({ enqueue }) => enqueue !== false);

/** Adds the options of a training. */
export function withTraining(command: Command): Command {
  for (const knob of KNOBS) command.addOption(optionOf(knob));
  return command;
}

/** Adds the options of a training that follows a data set in the queue. */
export function withQueuedTraining(command: Command): Command {
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

/** The settings that were given, as the trainer and the payload of a job have them. */
export function trainingOf(options: TrainingOptions): RecipeInput {
  return composeRecipe(
    KNOBS.map((knob) => [knob.path, givenFor(knob, options)] as const).filter(
      ([, value]) => value !== undefined,
    ),
  );
}

/** @throws FarmError `usage` naming the first option of a training that was given where nothing is trained */
export function refuseTraining(options: TrainingOptions): void {
  const setKnob = ENQUEUED.find((knob) => givenFor(knob, options) !== undefined);
  if (setKnob === undefined) return;
  throw new FarmError("usage", `${setKnob.flag} is of a model that is trained`, "add --train MODEL");
}
