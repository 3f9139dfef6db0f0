import { type DatasetReader, sharedMemory } from "@loc2vec/shards";
import { type BatchPlan, keepDrawn } from "./batches.ts";
import type { Corpus } from "./corpus.ts";
import { openTiles, type TileOptions } from "./tiles.ts";

/** Mini-batches that are read while others are trained: a step blocks the event loop, so one is not enough to keep ahead. */
const PREFETCH = 5;
/** Mini-batches in memory: those, the one that is trained, and the one before, which a session ends with. */
const HELD = PREFETCH + 2;

/** A mini-batch with its tiles. */
export interface MiniBatch {
  plan: BatchPlan;
  /** Planar uint8 [channel, y, x], in the order of the plan's rows. They stay until the next mini-batch but one is asked for. */
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
 * @param options how tiles are read
 */
export function openFeed(
  from: DatasetReader | Corpus,
  plans: AsyncGenerator<BatchPlan, never>,
  seed: number,
  count: number,
  options?: TileOptions,
): Feed {
  const tiles = openTiles(from, options);
  const ahead: Promise<MiniBatch>[] = [];
  let unasked = count;
  // The same memory serves again and again: the system would clear fresh memory page by page.
  const memories: Uint8Array[] = [];
  let turn = 0;
  const memoryOf = ({ length }: BatchPlan["rows"]): Uint8Array => {
    const bytes = length * tiles.tileBytes;
    const at = turn++ % HELD;
    const held = memories[at];
    const memory = held && held.length >= bytes ? held : sharedMemory(bytes);
    memories[at] = memory;
    return memory;
  };
  const read = async (): Promise<MiniBatch> => {
    const plan = (await plans.next()).value;
    const images = await tiles.read(plan.rows, memoryOf(plan.rows));
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
