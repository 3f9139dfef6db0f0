import { checkName, errorMessage, FarmError } from "@loc2vec/core";
import { checkWeights, decodeSafetensors, type Weights } from "@loc2vec/encoder";
import type { ObjectStore } from "@loc2vec/shards";
import { z } from "zod";
import { encodeEvents } from "./tensorboard.ts";

const settingsSchema = z.object({
  dataset: z.string(),
  /** Cartography of the data set: an encoder reads tiles of that alone. */
  styleHash: z.string(),
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
  batch: z.object({ locations: z.int(), pairs: z.int() }),
  loss: z.enum(["softpn", "ratio"]),
  learningRate: z.number(),
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

const stateSchema = z.object({ version: z.literal(1), step: z.int().min(1), settings: settingsSchema });

/** A line of `history.ndjson`. */
export interface HistoryEntry {
  step: number;
  loss: number;
  /** Mean distance of anchor and positive, and of the nearer of both to the negative. */
  positive: number;
  negative: number;
  /** Share of triplets whose positive is nearer than its negative. */
  accuracy: number;
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
  const prefix = checkpointPrefix(model, step);
  const text = new TextDecoder().decode(await need(store, `${prefix}/state.json`));
  let state: z.infer<typeof stateSchema>;
  try {
    state = stateSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new FarmError(
      "data",
      `${prefix}/state.json in ${store.url}: ${errorMessage(error).split("\n")[0]}`,
      DAMAGED,
    );
  }
  const key = `${prefix}/weights.safetensors`;
  const weights = decodeSafetensors(await need(store, key), `${key} in ${store.url}`);
  checkWeights(state.settings.architecture, weights, `${key} in ${store.url}`);
  return { step: state.step, settings: state.settings, weights };
}

export async function readOptimizer(store: ObjectStore, model: string, step: number): Promise<Weights> {
  const key = `${checkpointPrefix(model, step)}/optimizer.safetensors`;
  return decodeSafetensors(await need(store, key), `${key} in ${store.url}`);
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
  await store.put(`${prefix}/weights.safetensors`, weights);
  await store.put(`${prefix}/optimizer.safetensors`, optimizer);
  await store.put(`${prefix}/state.json`, json({ version: 1, step, settings }));
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
 * the last two: the one before the last serves where that one is damaged.
 */
export async function keepBest(store: ObjectStore, model: string, step: number, loss: number): Promise<void> {
  let best = await readBest(store, model);
  if (best === undefined || loss < best.loss || best.step > step) {
    best = { step, loss };
    await store.put(`${modelPrefix(model)}/best.json`, json(best));
  }
  const old = (await listCheckpoints(store, model)).slice(0, -2).filter((each) => each !== best.step);
  for (const each of old) {
    const prefix = checkpointPrefix(model, each);
    // What makes it whole goes first.
    for (const name of ["state.json", "optimizer.safetensors", "weights.safetensors"])
      await store.remove(`${prefix}/${name}`);
  }
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

export async function readHistory(store: ObjectStore, model: string): Promise<HistoryEntry[]> {
  const bytes = await store.get(`${modelPrefix(model)}/history.ndjson`);
  if (bytes === undefined) return [];
  return new TextDecoder()
    .decode(bytes)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as HistoryEntry);
}

/** Writes the history, and again as an event file of TensorBoard. */
export async function writeHistory(
  store: ObjectStore,
  model: string,
  history: readonly HistoryEntry[],
): Promise<void> {
  const lines = history.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  await store.put(`${modelPrefix(model)}/history.ndjson`, new TextEncoder().encode(lines));
  await store.put(`${modelPrefix(model)}/events/events.out.tfevents.0.loc2vec`, encodeEvents(history));
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
