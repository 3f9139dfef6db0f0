import type { DatasetReader } from "@loc2vec/shards";
import { type BatchPlan, keepDrawn } from "./batches.ts";
import type { Corpus } from "./corpus.ts";
import { openTiles } from "./tiles.ts";

/** Mini-batches that are read while others are trained: a step blocks the event loop, so one is not enough to keep ahead. */
const PREFETCH = 5;

/** A mini-batch with its tiles. */
export interface MiniBatch {
  plan: BatchPlan;
  /** Planar uint8 [channel, y, x], in the order of the plan's rows. */
  tiles: Uint8Array[];
}

/** Reads mini-batches ahead of the steps that they are for. */
export interface Feed {
  /** @throws FarmError what the plans throw; `shards-missing`, `damaged` */
  next(): Promise<MiniBatch>;
}

/**
 * Opens the feed and begins to read.
 *
 * @param seed of the training, for what is switched off on its tiles
 * @param count of the mini-batches that will be asked for
 */
export function openFeed(
  from: DatasetReader | Corpus,
  plans: AsyncGenerator<BatchPlan, never>,
  seed: number,
  count: number,
): Feed {
  const tiles = openTiles(from);
  const ahead: Promise<MiniBatch>[] = [];
  let unasked = count;
  const read = async (): Promise<MiniBatch> => {
    const plan = (await plans.next()).value;
    const images = await tiles.read(plan.rows);
    return { plan: { ...plan, channelsOn: keepDrawn(plan, images, seed) }, tiles: images };
  };
  const ask = (): void => {
    for (; ahead.length < PREFETCH && unasked > 0; unasked--) {
      const batch = read();
      batch.catch(() => {}); // awaited at its turn
      ahead.push(batch);
    }
  };
  ask();
  return {
    async next() {
      const batch = await (ahead.shift() as Promise<MiniBatch>);
      ask();
      return batch;
    },
  };
}
