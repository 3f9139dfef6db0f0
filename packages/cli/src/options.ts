import {
  CHECKPOINT_SCHEMA,
  type CheckpointChoice,
  type Levels,
  LOCATION_KINDS,
  type LocationKind,
  QUEUE_NAMES,
  type QueueName,
} from "@loc2vec/core";
import { InvalidArgumentError, Option } from "commander";

/** A parser of whole numbers for commander. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`must be a whole number, ${min} to ${max}`);
    }
    return value;
  };
}

export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("must be a number above 0");
  return value;
}

export function notNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && Number.isFinite(value)))
    throw new InvalidArgumentError("must be a number, 0 or more");
  return value;
}

/** `2:1`, visits to transport. */
export function ratio(text: string): { visit: number; transport: number } {
  const parts = /^(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$/.exec(text);
  if (parts === null) throw new InvalidArgumentError("must be visits:transport, e.g. 2:1");
  return { visit: Number(parts[1]), transport: Number(parts[2]) };
}

export function kind(text: string): LocationKind {
  if (!LOCATION_KINDS.includes(text as LocationKind)) {
    throw new InvalidArgumentError(`must be one of ${LOCATION_KINDS.join(", ")}`);
  }
  return text as LocationKind;
}

/** `raster,finalize` */
export function queueNames(text: string): QueueName[] {
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !QUEUE_NAMES.includes(name as QueueName));
  if (unknown !== undefined)
    throw new InvalidArgumentError(`${unknown} is not one of ${QUEUE_NAMES.join(", ")}`);
  return names as QueueName[];
}

export function levels(value: string): Levels {
  if (value !== "16" && value !== "256") throw new InvalidArgumentError("16 or 256");
  return value === "16" ? 16 : 256;
}

/** `best`, `last`, or a step */
export function checkpoint(text: string): CheckpointChoice {
  const parsed = CHECKPOINT_SCHEMA.safeParse(/^\d+$/.test(text) ? Number(text) : text);
  if (!parsed.success) throw new InvalidArgumentError("must be best, last or a step");
  return parsed.data;
}

/** `--checkpoint`. @param purpose what it is chosen for, before the rest of its help */
export const checkpointOption = (purpose = ""): Option =>
  new Option("--checkpoint <which>", `${purpose}best, last, or a step of those kept`)
    .argParser(checkpoint)
    .default("best");

/** `--seed`. @param what is drawn by it */
export const seedOption = (what: string): Option =>
  new Option("--seed <n>", what).argParser(whole(0)).default(0);
