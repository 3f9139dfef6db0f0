import { createHash } from "node:crypto";
import { FarmError } from "@loc2vec/core";
import { checkWeights, decodeSafetensors, type Weights } from "@loc2vec/encoder";
import { describe, type ObjectStore } from "@loc2vec/shards";
import { z } from "zod";
import { encodeJson, modelPrefix } from "./model.ts";
import { type Settings, settingsSchema, storedSettings } from "./settings.ts";

/** Version of a checkpoint's `state.json`. */
const VERSION = 2;

const DAMAGED =
  "a training passes it over and goes on from the one before; or name another with --checkpoint";

const stateSchema = z.object({
  version: z.literal(VERSION),
  step: z.int().min(1),
  settings: settingsSchema,
  /** SHA-256 of the files, hex. */
  sha256: z.object({ weights: z.string(), optimizer: z.string() }),
});

export interface Checkpoint {
  step: number;
  settings: Settings;
  weights: Weights;
  /** SHA-256 of the weights' file, hex. */
  weightsSha256: string;
}

function checkpointPrefix(model: string, step: number): string {
  return `${modelPrefix(model)}/checkpoints/step-${String(step).padStart(6, "0")}`;
}

/** The steps of a model's whole checkpoints, ascending. */
export async function listCheckpoints(store: ObjectStore, model: string): Promise<number[]> {
  const steps: number[] = [];
  for await (const key of store.list(`${modelPrefix(model)}/checkpoints/`)) {
    const [, step] = /\/step-(\d+)\/state\.json$/.exec(key) ?? [];
    if (step !== undefined) steps.push(Number(step));
  }
  return steps.sort((a, b) => a - b);
}

/** The steps of all that lies among a model's checkpoints, also of what is half written, or half removed. */
export async function listBegun(store: ObjectStore, model: string): Promise<Set<number>> {
  const steps = new Set<number>();
  for await (const key of store.list(`${modelPrefix(model)}/checkpoints/`)) {
    const [, step] = /\/step-(\d+)\//.exec(key) ?? [];
    if (step !== undefined) steps.add(Number(step));
  }
  return steps;
}

/** Where the files of a checkpoint lie. */
export interface CheckpointFiles {
  /** The checkpoint, for messages. */
  what: string;
  /** @returns undefined where there is none */
  read(name: string): Promise<Uint8Array | undefined>;
  /** A file, for messages. */
  nameOf(name: string): string;
}

/** Those of a model in a store. */
function filesIn(store: ObjectStore, model: string, step: number): CheckpointFiles {
  const keyOf = (name: string): string => `${checkpointPrefix(model, step)}/${name}`;
  return {
    what: `checkpoint ${step} of model ${model} in ${store.url}`,
    read: (name) => store.get(keyOf(name)),
    nameOf: (name) => `${keyOf(name)} in ${store.url}`,
  };
}

/** Reads settings and weights. @throws FarmError `damaged` naming the object that is missing or damaged */
export function readCheckpoint(store: ObjectStore, model: string, step: number): Promise<Checkpoint> {
  return readFiles(filesIn(store, model, step));
}

/** Reads settings and weights. @throws FarmError `damaged` naming the file that is missing or damaged */
export async function readFiles(files: CheckpointFiles): Promise<Checkpoint> {
  const { step, settings, sha256 } = await readState(files);
  const weights = await readWeights(files, "weights", sha256.weights);
  checkWeights(settings.architecture, weights, files.what);
  return { step, settings, weights, weightsSha256: sha256.weights };
}

/** A checkpoint with all that a training needs to go on. */
export interface Resumable extends Checkpoint {
  /** Adam's moments by name, and the weights that the training goes on with where those above are an average. */
  optimizer: Weights;
}

/**
 * The newest checkpoint that is whole; those that are damaged are told and passed over. Undefined for a new model.
 *
 * @throws FarmError `damaged` when there are checkpoints, and all are damaged
 */
export async function readResumable(
  store: ObjectStore,
  model: string,
  onDamaged: (step: number, reason: string) => void,
): Promise<Resumable | undefined> {
  let newest: FarmError | undefined;
  for (const step of (await listCheckpoints(store, model)).reverse()) {
    try {
      const files = filesIn(store, model, step);
      const { sha256 } = await readState(files);
      const optimizer = await readWeights(files, "optimizer", sha256.optimizer);
      return { ...(await readFiles(files)), optimizer };
    } catch (error) {
      if (!(error instanceof FarmError && error.kind === "data")) throw error;
      newest ??= error;
      onDamaged(step, error.message);
    }
  }
  if (newest === undefined) return undefined;
  throw new FarmError(
    "damaged",
    `${newest.message}; no other checkpoint of model ${model} is whole`,
    "train under another name",
    { cause: newest },
  );
}

async function readState(files: CheckpointFiles): Promise<z.infer<typeof stateSchema>> {
  const text = new TextDecoder().decode(await need(files, "state.json"));
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new FarmError("damaged", `${files.nameOf("state.json")}: ${describe(error)}`, DAMAGED);
  }
}

async function readWeights(
  files: CheckpointFiles,
  which: "weights" | "optimizer",
  sha256: string,
): Promise<Weights> {
  const name = `${which}.safetensors`;
  const bytes = await need(files, name);
  const weights = decodeSafetensors(bytes, files.nameOf(name));
  if (hashOf(bytes) !== sha256)
    throw new FarmError("damaged", `${files.nameOf(name)}: not the bytes that were written`, DAMAGED);
  return weights;
}

/** Writes a checkpoint; its `state.json` comes last and makes it whole. */
export async function writeCheckpoint(
  store: ObjectStore,
  model: string,
  {
    step,
    settings,
    weights,
    optimizer,
  }: { step: number; settings: Settings; weights: Uint8Array; optimizer: Uint8Array },
): Promise<void> {
  const prefix = checkpointPrefix(model, step);
  // Nothing of a damaged one that it replaces shall be taken for a part of this one.
  await store.remove(`${prefix}/state.json`);
  await store.put(`${prefix}/weights.safetensors`, weights);
  await store.put(`${prefix}/optimizer.safetensors`, optimizer);
  const sha256 = { weights: hashOf(weights), optimizer: hashOf(optimizer) };
  await store.put(
    `${prefix}/state.json`,
    encodeJson({ version: VERSION, step, settings: storedSettings(settings), sha256 }),
  );
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Removes a checkpoint, first what makes it whole. */
export async function removeCheckpoint(store: ObjectStore, model: string, step: number): Promise<void> {
  for (const name of ["state.json", "optimizer.safetensors", "weights.safetensors"])
    await store.remove(`${checkpointPrefix(model, step)}/${name}`);
}

async function need({ read, nameOf }: CheckpointFiles, name: string): Promise<Uint8Array> {
  const bytes = await read(name);
  if (bytes === undefined) throw new FarmError("damaged", `${nameOf(name)}: missing`, DAMAGED);
  return bytes;
}
