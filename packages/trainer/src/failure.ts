import { FarmError } from "@loc2vec/core";
import { encodeSafetensors, type Weights } from "@loc2vec/encoder";
import type { ObjectStore } from "@loc2vec/shards";
import type { Corpus } from "./corpus.ts";
import type { MiniBatch } from "./feed.ts";
import { encodeJson, modelPrefix } from "./model.ts";

/**
 * Keeps what led to a failure: rows, of several data sets each with the name of its own, and triplets, tiles (uint8, one after the other) and weights.
 *
 * @returns the error to end with, which says where they are
 */
export async function keepFailure(
  store: ObjectStore,
  model: string,
  corpus: Corpus,
  { plan: { step, rows, triplets, channelsOn }, tiles }: MiniBatch,
  weights: Weights,
  reason: string,
): Promise<FarmError> {
  const named = corpus.names.length > 1 ? rows.map(corpus.ownOf) : rows;
  const prefix = `${modelPrefix(model)}/failures/step-${step}`;
  await store.put(
    `${prefix}/batch.json`,
    encodeJson({ step, reason, rows: named, triplets, channelsOn: [...channelsOn] }),
  );
  await store.put(`${prefix}/tiles`, new Uint8Array(Buffer.concat(tiles)));
  await store.put(`${prefix}/weights.safetensors`, encodeSafetensors(weights));
  return new FarmError(
    "exploded",
    `model ${model}, step ${step}: ${reason}; its mini-batch and weights are kept in ${prefix}`,
    "train anew with a lower --learning-rate, or with --warmup",
  );
}
