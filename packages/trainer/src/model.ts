import { createHash } from "node:crypto";
import { type CheckpointChoice, checkName, datasetIdentitySchema, FarmError } from "@loc2vec/core";
import {
  architectureSchema,
  checkWeights,
  decodeSafetensors,
  LOSS_NAMES,
  storedArchitecture,
  type Weights,
} from "@loc2vec/encoder";
import { describe, type ObjectStore } from "@loc2vec/shards";
import { z } from "zod";
import { RANGES } from "./ranges.ts";

/** Of a checkpoint's `state.json`. */
const VERSION = 2;

const settingsSchema = z.object({
  /** What it was trained on: an encoder reads tiles of that cartography alone. */
  dataset: datasetIdentitySchema,
  channels: z.array(z.string()),
  architecture: architectureSchema,
  seed: z.int(),
  batch: z.object({ locations: z.int(), pairs: z.int(), negatives: z.int().min(1).default(1) }),
  loss: z.enum(LOSS_NAMES),
  distanceScale: z.number().positive().default(1),
  learningRate: z.number(),
  /** What `auto` became where the training began. */
  precision: z.enum(["float32", "mixed"]),
  dropout: z.object({ input: z.number(), conv: z.number(), dense: z.number() }),
  /** Whether tiles without a drawn pixel are left out. */
  empty: z.enum(["skip", "keep"]).default("keep"),
  /** Ids of the shards that it draws from, `0-99,105`: those rendered when the training began, or with `early` all. */
  shards: z.string().regex(RANGES),
  /** The learning rate rises to its height over the first `warmup` steps, and halves every `halveEvery`; 0 for neither. */
  schedule: z.object({ warmup: z.int(), halveEvery: z.int() }).default({ warmup: 0, halveEvery: 0 }),
  /** Locations nearer to one another than this are never in one mini-batch, metres. */
  minDistanceM: z.number().default(0),
  /** What is kept from training. */
  holdout: z
    .object({ share: z.number(), cellM: z.number(), borderM: z.number() })
    .default({ share: 0, cellM: 1000, borderM: 200 }),
  /** Whether it began while shards were still being rendered. */
  early: z.boolean().default(false),
});

/** All that decides how a training goes, but for its length. */
export type Settings = z.infer<typeof settingsSchema>;

/** Settings as they are written. */
export function storedSettings(settings: Settings): object {
  return { ...settings, architecture: storedArchitecture(settings.architecture) };
}

const stateSchema = z.object({
  version: z.literal(VERSION),
  step: z.int().min(1),
  settings: settingsSchema,
  /** SHA-256 of the files, hex. */
  sha256: z.object({ weights: z.string(), optimizer: z.string() }),
});

/** A line of the history. */
export interface HistoryEntry {
  step: number;
  loss: number;
  /** Mean distance of anchor and positive, and of the nearer of both to the negative. */
  positive: number;
  negative: number;
  /** Share of triplets whose positive is nearer than its negative. */
  accuracy: number;
  /** Euclidean norm of all gradients. */
  gradientNorm?: number;
  /** Of Adam, as scheduled. */
  learningRate?: number;
  /** Wall time of the step. */
  seconds: number;
  /** Of it, what the step waited for its tiles. */
  waited: number;
  /** At checkpoints, how the weights after this step judge places that are kept from training. */
  heldout?: HeldoutFigures;
}

/** Of the same triplets of held-out locations each time, by the weights in inference mode. */
export interface HeldoutFigures {
  /** Share of triplets whose positive is nearer than its negative, and the mean loss: as of a mini-batch. */
  accuracy: number;
  loss: number;
}

export interface Checkpoint {
  step: number;
  settings: Settings;
  weights: Weights;
  /** Of their file, hex. */
  weightsSha256: string;
}

export function modelPrefix(name: string): string {
  return `models/${checkName("model", name)}`;
}

function checkpointPrefix(model: string, step: number): string {
  return `${modelPrefix(model)}/checkpoints/step-${String(step).padStart(6, "0")}`;
}

/** The steps of a model's whole checkpoints, ascending. */
export async function listCheckpoints(store: ObjectStore, model: string): Promise<number[]> {
  const steps: number[] = [];
  for await (const key of store.list(`${modelPrefix(model)}/checkpoints/`)) {
    const found = /\/step-(\d+)\/state\.json$/.exec(key);
    if (found) steps.push(Number(found[1]));
  }
  return steps.sort((a, b) => a - b);
}

/** Reads settings and weights. @throws FarmError `data` naming the object that is missing or damaged */
export async function readCheckpoint(store: ObjectStore, model: string, step: number): Promise<Checkpoint> {
  const { settings, sha256 } = await readState(store, model, step);
  const weights = await readWeights(store, model, step, "weights", sha256.weights);
  checkWeights(settings.architecture, weights, `checkpoint ${step} of model ${model} in ${store.url}`);
  return { step, settings, weights, weightsSha256: sha256.weights };
}

/** A checkpoint with all that a training needs to go on. */
export interface Resumable extends Checkpoint {
  /** Adam's moments by name. */
  optimizer: Weights;
}

/**
 * The newest checkpoint that is whole; those that are damaged are told and passed over. Undefined for a new model.
 *
 * @throws FarmError `data` when there are checkpoints, and all are damaged
 */
export async function readResumable(
  store: ObjectStore,
  model: string,
  onDamaged: (step: number, reason: string) => void,
): Promise<Resumable | undefined> {
  let newest: FarmError | undefined;
  for (const step of (await listCheckpoints(store, model)).reverse()) {
    try {
      const { sha256 } = await readState(store, model, step);
      const optimizer = await readWeights(store, model, step, "optimizer", sha256.optimizer);
      return { ...(await readCheckpoint(store, model, step)), optimizer };
    } catch (error) {
      if (!(error instanceof FarmError && error.kind === "data")) throw error;
      newest ??= error;
      onDamaged(step, error.message);
    }
  }
  if (newest === undefined) return undefined;
  throw new FarmError(
    "data",
    `${newest.message}; no other checkpoint of model ${model} is whole`,
    "train under another name",
    { cause: newest },
  );
}

async function readState(
  store: ObjectStore,
  model: string,
  step: number,
): Promise<z.infer<typeof stateSchema>> {
  const key = `${checkpointPrefix(model, step)}/state.json`;
  const text = new TextDecoder().decode(await need(store, key));
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new FarmError("data", `${key} in ${store.url}: ${describe(error)}`, DAMAGED);
  }
}

async function readWeights(
  store: ObjectStore,
  model: string,
  step: number,
  name: "weights" | "optimizer",
  sha256: string,
): Promise<Weights> {
  const key = `${checkpointPrefix(model, step)}/${name}.safetensors`;
  const bytes = await need(store, key);
  const weights = decodeSafetensors(bytes, `${key} in ${store.url}`);
  if (hashOf(bytes) !== sha256)
    throw new FarmError("data", `${key} in ${store.url}: not the bytes that were written`, DAMAGED);
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
  // Of a damaged one that it replaces, nothing shall be taken for a part of this one.
  await store.remove(`${prefix}/state.json`);
  await store.put(`${prefix}/weights.safetensors`, weights);
  await store.put(`${prefix}/optimizer.safetensors`, optimizer);
  const sha256 = { weights: hashOf(weights), optimizer: hashOf(optimizer) };
  await store.put(
    `${prefix}/state.json`,
    json({ version: VERSION, step, settings: storedSettings(settings), sha256 }),
  );
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export async function removeCheckpoint(store: ObjectStore, model: string, step: number): Promise<void> {
  // What makes it whole goes first.
  for (const name of ["state.json", "optimizer.safetensors", "weights.safetensors"])
    await store.remove(`${checkpointPrefix(model, step)}/${name}`);
}

const bestSchema = z.object({
  step: z.int(),
  /** Mean of the mini-batches since the checkpoint before. */
  loss: z.number(),
  /** Where something is held out. */
  heldout: z.object({ accuracy: z.number(), loss: z.number() }).optional(),
});

/** What a checkpoint is chosen by. */
export type Best = z.infer<typeof bestSchema>;

const bestKey = (model: string): string => `${modelPrefix(model)}/best.json`;

/** The best checkpoint so far; undefined before the first. @throws FarmError `data` for a damaged `best.json` */
export async function readBest(store: ObjectStore, model: string): Promise<Best | undefined> {
  const bytes = await store.get(bestKey(model));
  if (bytes === undefined) return undefined;
  try {
    return bestSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new FarmError(
      "data",
      `${bestKey(model)} in ${store.url}: ${describe(error)}`,
      "name another checkpoint (--checkpoint last), or train on: the next one writes it anew",
      { cause: error },
    );
  }
}

/** By held-out triplets that are right, among equals by their loss; where nothing is held out, by the mini-batches' loss. */
function isBetter(a: Best, b: Best): boolean {
  if (a.heldout === undefined || b.heldout === undefined)
    return a.heldout === b.heldout ? a.loss < b.loss : a.heldout !== undefined;
  if (a.heldout.accuracy !== b.heldout.accuracy) return a.heldout.accuracy > b.heldout.accuracy;
  return a.heldout.loss < b.heldout.loss;
}

/**
 * Remembers the checkpoint of the newest step as the best if it is, and removes those that are neither the best nor among
 * the last two: the one before the last serves where that one is damaged. Done again, it changes nothing.
 *
 * @param onDamaged told of a damaged `best.json`, which is written anew
 * @returns the best
 */
export async function keepBest(
  store: ObjectStore,
  model: string,
  newest: Best,
  onDamaged: (reason: string) => void,
): Promise<Best> {
  const { step } = newest;
  const steps = await listCheckpoints(store, model);
  let best = await readBest(store, model).catch((error: unknown) => {
    if (!(error instanceof FarmError && error.kind === "data")) throw error;
    onDamaged(error.message);
    return undefined;
  });
  // It may have gone, damaged; or be of a training that went on from an older one.
  if (best === undefined || best.step > step || !steps.includes(best.step) || isBetter(newest, best)) {
    best = newest;
    await store.put(bestKey(model), json(best));
  }
  const kept = [...steps.slice(-2), best.step];
  const begun = new Set<number>();
  for await (const key of store.list(`${modelPrefix(model)}/checkpoints/`)) {
    const found = /\/step-(\d+)\//.exec(key);
    if (found) begun.add(Number(found[1]));
  }
  // Also what a training that was killed has left half written, or half removed.
  for (const each of begun)
    if (each < step && !kept.includes(each)) await removeCheckpoint(store, model, each);
  return best;
}

/**
 * One of a model's checkpoints.
 *
 * @throws FarmError `input` when there is no such model, or none of that step is kept; `data` when it is damaged, or it
 *   cannot be told which is the best
 */
export async function openCheckpoint(
  store: ObjectStore,
  model: string,
  which: CheckpointChoice = "best",
): Promise<Checkpoint> {
  const steps = await listCheckpoints(store, model);
  const last = steps.at(-1);
  if (last === undefined) {
    throw new FarmError(
      "input",
      `there is no model ${model} in ${store.url}`,
      "make it with pnpm farm:train",
    );
  }
  const kept = `those of steps ${steps.join(", ")} are`;
  if (which === "last") return readCheckpoint(store, model, last);
  if (which !== "best") {
    if (steps.includes(which)) return readCheckpoint(store, model, which);
    throw new FarmError(
      "input",
      `model ${model} in ${store.url}: no checkpoint of step ${which} is kept, ${kept}`,
      "name one of these, best or last",
    );
  }
  // A training that was killed may not have said yet that its first one is the best.
  const best = (await readBest(store, model))?.step ?? (steps.length === 1 ? last : undefined);
  if (best !== undefined && steps.includes(best)) return readCheckpoint(store, model, best);
  throw new FarmError(
    "data",
    `${bestKey(model)} in ${store.url}: ${best === undefined ? "missing" : `names step ${best}, whose checkpoint is gone`}; ${kept} kept`,
    "name another checkpoint (--checkpoint last), or train on: the next one writes it anew",
  );
}

export function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}

const DAMAGED =
  "a training passes it over and goes on from the one before; or name another with --checkpoint";

async function need(store: ObjectStore, key: string): Promise<Uint8Array> {
  const bytes = await store.get(key);
  if (bytes === undefined) throw new FarmError("data", `${key} in ${store.url}: missing`, DAMAGED);
  return bytes;
}
