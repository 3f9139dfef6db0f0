import { type CheckpointChoice, FarmError } from "@loc2vec/core";
import { describe, type ObjectStore } from "@loc2vec/shards";
import { z } from "zod";
import {
  type Checkpoint,
  listBegun,
  listCheckpoints,
  readCheckpoint,
  removeCheckpoint,
} from "./checkpoint.ts";
import { encodeJson, modelPrefix, PRETRAINED } from "./model.ts";
import { openPretrained } from "./pretrained.ts";

const bestSchema = z.object({
  step: z.int(),
  /** Mean of the mini-batches since the checkpoint before. */
  loss: z.number(),
  /** Where something is held out. */
  heldout: z
    .object({
      accuracy: z.number(),
      /** Checkpoints of old were not judged by it: any that is, is better. */
      nearest: z.number().default(0),
      loss: z.number(),
    })
    .optional(),
});

/** What a checkpoint is chosen by. */
export type Best = z.infer<typeof bestSchema>;

const bestKey = (model: string): string => `${modelPrefix(model)}/best.json`;

/** The best checkpoint so far; undefined before the first. @throws FarmError `damaged` */
export async function readBest(store: ObjectStore, model: string): Promise<Best | undefined> {
  const bytes = await store.get(bestKey(model));
  if (bytes === undefined) return undefined;
  try {
    return bestSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new FarmError(
      "damaged",
      `${bestKey(model)} in ${store.url}: ${describe(error)}`,
      "name another checkpoint (--checkpoint last), or train on: the next one writes it anew",
      { cause: error },
    );
  }
}

/**
 * By held-out tiles whose nearest one is of their location, among equals by their loss; where nothing is held out, by the
 * mini-batches' loss. The triplets that are right would not do: with random negatives soon all of them are.
 */
function isBetter(a: Best, b: Best): boolean {
  if (a.heldout === undefined || b.heldout === undefined)
    return a.heldout === b.heldout ? a.loss < b.loss : a.heldout !== undefined;
  if (a.heldout.nearest !== b.heldout.nearest) return a.heldout.nearest > b.heldout.nearest;
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
    await store.put(bestKey(model), encodeJson(best));
  }
  const kept = [...steps.slice(-2), best.step];
  for (const begun of await listBegun(store, model))
    if (begun < step && !kept.includes(begun)) await removeCheckpoint(store, model, begun);
  return best;
}

/** It has one checkpoint, by whatever name. */
async function pretrainedOf(which: CheckpointChoice): Promise<Checkpoint> {
  const checkpoint = await openPretrained();
  if (typeof which === "string" || which === checkpoint.step) return checkpoint;
  throw new FarmError(
    "input",
    `model ${PRETRAINED} has one checkpoint, that of step ${checkpoint.step}`,
    "leave out --checkpoint",
  );
}

/**
 * One of a model's checkpoints; {@link PRETRAINED} is in every store.
 *
 * @throws FarmError `model-missing`; `input` when none of that step is kept; `damaged`; `checkpoint-missing` when it cannot
 *   be told which is the best
 */
export async function openCheckpoint(
  store: ObjectStore,
  model: string,
  which: CheckpointChoice = "best",
): Promise<Checkpoint> {
  if (model === PRETRAINED) return pretrainedOf(which);
  const steps = await listCheckpoints(store, model);
  const last = steps.at(-1);
  if (last === undefined) {
    throw new FarmError(
      "model-missing",
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
    "checkpoint-missing",
    `${bestKey(model)} in ${store.url}: ${best === undefined ? "missing" : `names step ${best}, whose checkpoint is gone`}; ${kept} kept`,
    "name another checkpoint (--checkpoint last), or train on: the next one writes it anew",
  );
}
