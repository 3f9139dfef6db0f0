import { type Dataset, FarmError, type Random, randomOf, Stream, shardRange } from "@loc2vec/core";
import type { Triplet } from "@loc2vec/encoder";

/** Shards whose locations are mixed with one another. */
const POOL_SHARDS = 16;
/** A channel of a positive is switched off with this probability, but never all of them. */
const CHANNEL_OFF = 0.2;

export interface BatchShape {
  /** Locations of a mini-batch: 20 in the original. */
  locations: number;
  /** (anchor, positive) pairs per location: 5 in the original. */
  pairs: number;
}

/** Which tiles a mini-batch consists of, and the triplets among them. */
export interface BatchPlan {
  /** From 1. */
  step: number;
  /** Rows of the mini-batch: per location its anchor, then its positives. */
  rows: readonly { shard: number; location: number; sample: number }[];
  triplets: readonly Triplet[];
  /** 1 or 0 per row and channel, [rows, channels]. Anchors have all channels on. */
  channelsOn: Uint8Array;
}

/**
 * The mini-batches of a training, from `first` on. A pure function of the data set, its shards that are there, seed and
 * step: a training that resumes goes on with the mini-batches that it would have had.
 *
 * Locations whose anchor is empty, or that have too few other positives, are left out, and so are empty positives: tiles
 * without a drawn pixel teach that all such places are one.
 *
 * Each epoch visits every location once, in random order: the shards are shuffled, and the locations of a few at a time.
 * Locations left over at the end of an epoch begin the next one.
 */
export function* planBatches(
  dataset: Pick<Dataset, "locations" | "shardLocations" | "samples" | "channels">,
  shards: readonly number[],
  shape: BatchShape,
  seed: number,
  first = 1,
  empty: EmptyTiles = new Map(),
): Generator<BatchPlan, never> {
  const usable = (location: number): boolean =>
    isUsable(dataset.samples - 1, shape.pairs, empty.get(location));
  const locationsOf = (shard: number): number[] => {
    const range = shardRange(dataset, shard);
    return Array.from({ length: range.end - range.first }, (_, i) => range.first + i).filter(usable);
  };
  const available = shards.reduce((sum, shard) => sum + locationsOf(shard).length, 0);
  if (available < shape.locations || shape.locations < 2) {
    throw new FarmError(
      "input",
      `${available} rendered locations are too few for mini-batches of ${shape.locations}`,
      "render more locations, or train with --batch-locations of at least 2",
    );
  }
  if (dataset.samples - 1 < shape.pairs || shape.pairs < 1) {
    throw new FarmError(
      "input",
      `${dataset.samples - 1} positives per location do not suffice for ${shape.pairs} pairs`,
      "enqueue more positives, or train with fewer --pairs",
    );
  }
  let held: { shard: number; location: number }[] = [];
  let step = 0;
  for (let epoch = 0; ; epoch++) {
    const order = randomOf(seed, Stream.shuffleShards, epoch).shuffle([...shards]);
    for (let at = 0; at < order.length; at += POOL_SHARDS) {
      const pool = order
        .slice(at, at + POOL_SHARDS)
        .flatMap((shard) => locationsOf(shard).map((location) => ({ shard, location })));
      held = held.concat(randomOf(seed, Stream.shuffleShards, epoch, at + 1).shuffle(pool));
      while (held.length >= shape.locations) {
        const chosen = distinct(held, shape.locations);
        if (chosen === undefined) break;
        step++;
        if (step >= first) yield planBatch(dataset, chosen, shape.pairs, seed, step, empty);
      }
    }
  }
}

/** Takes the first `count` of the locations, no location twice (which the seam of two epochs could bring). */
function distinct(
  held: { shard: number; location: number }[],
  count: number,
): { shard: number; location: number }[] | undefined {
  const seen = new Set<number>();
  const chosen: number[] = [];
  for (let i = 0; i < held.length && chosen.length < count; i++) {
    const { location } = held[i] as { location: number };
    if (seen.has(location)) continue;
    seen.add(location);
    chosen.push(i);
  }
  if (chosen.length < count) return undefined;
  const taken = chosen.map((i) => held[i] as { shard: number; location: number });
  for (const i of chosen.reverse()) held.splice(i, 1);
  return taken;
}

function planBatch(
  dataset: Pick<Dataset, "samples" | "channels">,
  locations: readonly { shard: number; location: number }[],
  pairs: number,
  seed: number,
  step: number,
  empty: EmptyTiles,
): BatchPlan {
  const random = randomOf(seed, Stream.batch, step);
  const drops = randomOf(seed, Stream.channelDrop, step);
  const channels = dataset.channels.length;
  const perLocation = 1 + pairs;
  const rows = locations.flatMap(({ shard, location }) =>
    [0, ...chooseSamples(random, dataset.samples - 1, pairs, empty.get(location))].map((sample) => ({
      shard,
      location,
      sample,
    })),
  );
  const triplets: Triplet[] = [];
  for (let own = 0; own < locations.length; own++) {
    for (let pair = 1; pair <= pairs; pair++) {
      const other = (own + 1 + random.int(locations.length - 1)) % locations.length;
      triplets.push({
        anchor: own * perLocation,
        positive: own * perLocation + pair,
        negative: other * perLocation + random.int(perLocation),
      });
    }
  }
  const channelsOn = new Uint8Array(rows.length * channels).fill(1);
  for (const [row, { sample }] of rows.entries()) {
    if (sample === 0) continue;
    const kept = drops.int(channels);
    for (let channel = 0; channel < channels; channel++) {
      if (drops.uniform() < CHANNEL_OFF && channel !== kept) channelsOn[row * channels + channel] = 0;
    }
  }
  return { step, rows, triplets, channelsOn };
}

/** `count` different numbers of 1 … total, none of them in `without`. */
function chooseSamples(
  random: Random,
  total: number,
  count: number,
  without: ReadonlySet<number> | undefined,
): number[] {
  const all = Array.from({ length: total }, (_, i) => i + 1);
  return random.shuffle(without ? all.filter((sample) => !without.has(sample)) : all).slice(0, count);
}

/** Of each location that has any, its samples without a drawn pixel. */
export type EmptyTiles = ReadonlyMap<number, ReadonlySet<number>>;

/** Whether a location can be trained on. @param empty its empty samples */
export function isUsable(positives: number, pairs: number, empty: ReadonlySet<number> | undefined): boolean {
  return empty === undefined || (!empty.has(0) && positives - empty.size >= pairs);
}
