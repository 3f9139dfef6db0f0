import { createHash } from "node:crypto";
import { checkName, describeMap, errorMessage, FarmError, tileSourceSchema } from "@loc2vec/core";
import { checkWeights, decodeSafetensors, type Weights } from "@loc2vec/encoder";
import type { DatasetReader, ObjectStore } from "@loc2vec/shards";
import { z } from "zod";

const settingsSchema = z.object({
  /** What it was trained on. */
  dataset: z.object({
    name: z.string(),
    seed: z.int(),
    /** Of its locations, hex. */
    locationsSha256: z.string(),
    /** What its tiles are drawn from: an encoder reads tiles of that cartography alone. */
    source: tileSourceSchema,
  }),
  channels: z.array(z.string()),
  architecture: z.object({
    channels: z.int(),
    pixels: z.int(),
    pooled: z.array(z.int()),
    pointwise: z.array(z.int()),
    dense: z.int(),
    embedding: z.int(),
  }),
  seed: z.int(),
  batch: z.object({ locations: z.int(), pairs: z.int(), negatives: z.int().min(1).default(1) }),
  loss: z.enum(["softpn", "ratio"]),
  distanceScale: z.number().positive().default(1),
  learningRate: z.number(),
  precision: z.enum(["auto", "float32", "mixed"]).default("float32"),
  dropout: z.object({ input: z.number(), conv: z.number(), dense: z.number() }),
  /** Whether tiles without a drawn pixel are left out. */
  empty: z.enum(["skip", "keep"]).default("keep"),
  /** Shards that it draws from: those rendered when the training began, or with `early` all. */
  shards: z.int(),
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

const stateSchema = z.object({
  version: z.literal(1),
  step: z.int().min(1),
  settings: settingsSchema,
  /** SHA-256 of the files, hex. */
  sha256: z.object({ weights: z.string(), optimizer: z.string() }).optional(),
});

/** What tells the data set that a model was trained on from any other, also from one made anew under its name. */
export type DatasetIdentity = Settings["dataset"];

export function identityOf({
  dataset: { name, seed, source },
  locationsSha256,
}: Pick<DatasetReader, "dataset" | "locationsSha256">): DatasetIdentity {
  return { name, seed, locationsSha256, source };
}

/** The identity for people, without what differs in no case that they would have to tell apart by it. */
export function describeIdentity({ name, seed, locationsSha256, source }: DatasetIdentity): string {
  return `data set ${name} (seed ${seed}, locations ${locationsSha256.slice(0, 12)}…, map ${describeMap(source.map)}, cartography ${source.styleHash.slice(0, 12)}…)`;
}

/** Whether two are one: of the same seed and locations, drawn from the same map in the same way. */
export function sameDataset(a: DatasetIdentity, b: DatasetIdentity): boolean {
  return describeFully(a) === describeFully(b);
}

const describeFully = ({
  name,
  seed,
  locationsSha256,
  source: { map, styleHash },
}: DatasetIdentity): string =>
  JSON.stringify([name, seed, locationsSha256, map.sha256, map.importHash, styleHash]);

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
}

export interface Checkpoint {
  step: number;
  settings: Settings;
  weights: Weights;
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
  const weights = await readWeights(store, model, step, "weights", sha256?.weights);
  checkWeights(settings.architecture, weights, `checkpoint ${step} of model ${model} in ${store.url}`);
  return { step, settings, weights };
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
  let newest: unknown;
  for (const step of (await listCheckpoints(store, model)).reverse()) {
    try {
      const { sha256 } = await readState(store, model, step);
      const optimizer = await readWeights(store, model, step, "optimizer", sha256?.optimizer);
      return { ...(await readCheckpoint(store, model, step)), optimizer };
    } catch (error) {
      if (!(error instanceof FarmError && error.kind === "data")) throw error;
      newest ??= error;
      onDamaged(step, error.message);
    }
  }
  if (newest !== undefined) throw newest;
  return undefined;
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
    throw new FarmError("data", `${key} in ${store.url}: ${errorMessage(error).split("\n")[0]}`, DAMAGED);
  }
}

async function readWeights(
  store: ObjectStore,
  model: string,
  step: number,
  name: "weights" | "optimizer",
  sha256: string | undefined,
): Promise<Weights> {
  const key = `${checkpointPrefix(model, step)}/${name}.safetensors`;
  const bytes = await need(store, key);
  const weights = decodeSafetensors(bytes, `${key} in ${store.url}`);
  if (sha256 !== undefined && hashOf(bytes) !== sha256)
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
  await store.put(`${prefix}/state.json`, json({ version: 1, step, settings, sha256 }));
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export async function removeCheckpoint(store: ObjectStore, model: string, step: number): Promise<void> {
  // What makes it whole goes first.
  for (const name of ["state.json", "optimizer.safetensors", "weights.safetensors"])
    await store.remove(`${checkpointPrefix(model, step)}/${name}`);
}

/** The checkpoint of the lowest mean loss so far; undefined before the first. */
export async function readBest(
  store: ObjectStore,
  model: string,
): Promise<{ step: number; loss: number } | undefined> {
  const bytes = await store.get(`${modelPrefix(model)}/best.json`);
  return bytes && bestSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
}

const bestSchema = z.object({ step: z.int(), loss: z.number() });

/**
 * Remembers a checkpoint as the best if its mean loss is the lowest, and removes those that are neither the best nor among
 * the last two: the one before the last serves where that one is damaged. Done again, it changes nothing.
 */
export async function keepBest(store: ObjectStore, model: string, step: number, loss: number): Promise<void> {
  let best = await readBest(store, model);
  if (best === undefined || loss < best.loss || best.step > step) {
    best = { step, loss };
    await store.put(`${modelPrefix(model)}/best.json`, json(best));
  }
  const kept = [...(await listCheckpoints(store, model)).slice(-2), best.step];
  const begun = new Set<number>();
  for await (const key of store.list(`${modelPrefix(model)}/checkpoints/`)) {
    const found = /\/step-(\d+)\//.exec(key);
    if (found) begun.add(Number(found[1]));
  }
  // Also what a training that was killed has left half written, or half removed.
  for (const each of begun)
    if (each < step && !kept.includes(each)) await removeCheckpoint(store, model, each);
}

/** The last checkpoint of a model. @throws FarmError `input` when there is no such model */
export async function lastCheckpoint(store: ObjectStore, model: string): Promise<Checkpoint> {
  const step = (await listCheckpoints(store, model)).at(-1);
  if (step === undefined) {
    throw new FarmError(
      "input",
      `there is no model ${model} in ${store.url}`,
      "make it with pnpm farm:train",
    );
  }
  return readCheckpoint(store, model, step);
}

export function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}

const DAMAGED = "remove the checkpoint's folder: the one before is used";

async function need(store: ObjectStore, key: string): Promise<Uint8Array> {
  const bytes = await store.get(key);
  if (bytes === undefined) throw new FarmError("data", `${key} in ${store.url}: missing`, DAMAGED);
  return bytes;
}
