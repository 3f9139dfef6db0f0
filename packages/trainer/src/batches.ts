import {
  type Dataset,
  distanceM,
  FarmError,
  METRES_PER_DEGREE,
  type Place,
  Purpose,
  type Random,
  randomOf,
  shardRange,
} from "@loc2vec/core";
import type { Triplet } from "@loc2vec/encoder";
import type { Corpus } from "./corpus.ts";
import { type EmptyTiles, isUsable } from "./empty.ts";
import type { Recipe } from "./recipe.ts";

/** Shards whose locations are mixed with one another. */
export const POOL_SHARDS = 16;
/** As many where neighbours are sought among them: of fewer, few locations have any. */
const POOL_WITH_NEIGHBOURS = 64;
/** How far neighbours lie from one another, in radii of a tile: half a tile's side to two sides. */
const NEIGHBOURS_APART = [1, 4] as const;
/** The most locations that wait for company from afar. */
const HELD = 10_000;
/** A channel of a positive is switched off with this probability. */
const CHANNEL_OFF = 0.2;

/** What a mini-batch is made of: see the recipe's `batch`. */
export type BatchShape = Pick<Recipe["batch"], "locations" | "pairs"> & Partial<Recipe["batch"]>;

/** How many shards' locations are mixed with one another. */
export function poolShards({ neighbours = 0 }: Pick<BatchShape, "neighbours">): number {
  return neighbours > 0 ? POOL_WITH_NEIGHBOURS : POOL_SHARDS;
}

/** Which tiles a mini-batch consists of, and the triplets among them. */
export interface BatchPlan {
  /** From 1. */
  step: number;
  /** Rows of the mini-batch: per location its anchor, then its positives. */
  rows: readonly { shard: number; location: number; sample: number }[];
  triplets: readonly Triplet[];
  /** 1 or 0 per row and channel, [rows, channels], as drawn: see {@link keepDrawn}. Anchors have all channels on. */
  channelsOn: Uint8Array;
}

/** What mini-batches are made of: a data set, or several as one. */
type Stock = Pick<Corpus, "channels" | "samples" | "names" | "rangeOf" | "setOf">;

/**
 * The mini-batches of a training, from `first` on. A pure function of the data sets, their shards that are there, seed and
 * step: a training that resumes goes on with the mini-batches that it would have had.
 *
 * Locations whose anchor is empty, or that have too few other positives, are left out, and so are empty positives: tiles
 * without a drawn pixel teach that all such places are one.
 *
 * Each epoch visits every location once, in random order: the shards are shuffled, and the locations of a few at a time.
 * Locations left over at the end of an epoch begin the next one. Where the shape asks for neighbours, they are sought among the
 * locations that wait. With `early` the first epoch takes the shards in the
 * order in which they are rendered. Of several data sets each is spread evenly over the epoch.
 *
 * @param look what is empty in some shards; asked before they are used, and may wait until they are there
 * @throws FarmError `input` when an epoch has too few locations for a mini-batch
 */
export async function* planBatches(
  from: Pick<Dataset, "locations" | "shardLocations" | "samples" | "channels"> | Stock,
  shards: readonly number[],
  shape: BatchShape,
  seed: number,
  {
    first = 1,
    early = false,
    mix = "batch",
    look = async () => new Map(),
    eligible,
    together,
  }: PlanOptions = {},
): AsyncGenerator<BatchPlan, never> {
  const stock = "rangeOf" in from ? from : stockOf(from);
  checkShape(stock, shape);
  const turns = mix === "turns" && stock.names.length > 1;
  if (turns) checkRoom(stock, shards, shape, eligible);
  const rules = { count: shape.locations, neighbours: neighboursOf(shape), ...ANYWHERE, ...together };
  const size = poolShards(shape);
  let held: Held[] = [];
  let step = 0;
  for (let epoch = 0; ; epoch++) {
    const count = countEpoch(stock, shape, turns, held);
    const shuffled = randomOf(seed, Purpose.shuffleShards, epoch).shuffle([...shards]);
    const order = spreadSets(early && epoch === 0 ? shards : shuffled, stock.setOf);
    for (let at = 0; at < order.length; at += size) {
      const taken = order.slice(at, at + size);
      const emptyByLocation = await look(taken);
      // A training that resumes late passes many by: locks must be renewed meanwhile, and signals be heard.
      await new Promise((resolve) => setImmediate(resolve));
      const usable = (location: number): boolean =>
        isUsable(stock.samples - 1, shape.pairs, emptyByLocation.get(location));
      const pool = taken.flatMap((shard) => {
        const range = stock.rangeOf(shard);
        const set = stock.setOf(shard);
        const all = Array.from({ length: range.end - range.first }, (_, i) => range.first + i);
        const allowed = eligible === undefined ? all : all.filter(eligible);
        return allowed
          .filter(usable)
          .map((location) => ({ shard, set, location, empty: emptyByLocation.get(location) }));
      });
      count.addPool(pool);
      // What never found its place among others is left for the next epoch.
      held = held.slice(-HELD).concat(randomOf(seed, Purpose.shuffleShards, epoch, at + 1).shuffle(pool));
      while (held.length >= shape.locations) {
        const locations = turns
          ? takeTurn(held, rules, randomOf(seed, Purpose.mix, step + 1))
          : takeLocations(held, [...held.keys()], rules);
        if (locations === undefined) break;
        step++;
        count.addBatch(locations);
        if (step >= first) yield planBatch(stock, locations, shape, seed, step);
      }
    }
    count.check();
  }
}

function stockOf(dataset: Pick<Dataset, "locations" | "shardLocations" | "samples" | "channels">): Stock {
  const { samples, channels } = dataset;
  return { samples, channels, names: [""], setOf: () => 0, rangeOf: (shard) => shardRange(dataset, shard) };
}

function checkShape({ samples }: Stock, shape: BatchShape): void {
  if (shape.locations < 2) {
    throw new FarmError(
      "usage",
      `a mini-batch of ${shape.locations} locations has no negatives`,
      "2 or more",
    );
  }
  if (samples - 1 < shape.pairs || shape.pairs < 1) {
    throw new FarmError(
      "input",
      `${samples - 1} positives per location do not suffice for ${shape.pairs} pairs`,
      "enqueue more positives, or train with fewer --pairs",
    );
  }
}

/**
 * Counts an epoch's locations and mini-batches, all together, or of each data set where mini-batches are of one each.
 *
 * @param held left over from the epoch before
 * @returns `check` is for the end of the epoch. It throws FarmError `input` when there are too few locations for a mini-batch
 */
function countEpoch(
  { names }: Stock,
  { locations: wanted }: BatchShape,
  turns: boolean,
  held: readonly Held[],
) {
  const counts = Array.from({ length: turns ? names.length : 1 }, () => ({ available: 0, batches: 0 }));
  const countOf = ({ set }: Held) => counts[turns ? set : 0] as (typeof counts)[number];
  const addPool = (pool: readonly Held[]): void => {
    for (const one of pool) countOf(one).available++;
  };
  addPool(held);
  return {
    addPool,
    addBatch: ([one]: readonly Held[]): void => void countOf(one as Held).batches++,
    check(): void {
      for (const [set, { available, batches }] of counts.entries()) {
        const [place, mend] = turns ? [`data set ${names[set]}: `, ", or with --mix batch"] : ["", ""];
        if (available < wanted) throw tooFew(place, available, wanted, mend);
        if (batches === 0) {
          throw new FarmError(
            "input",
            `${place}among ${available} locations there are no ${wanted} that lie far enough from one another`,
            `train with fewer --batch-locations, or a smaller --min-distance${mend}`,
          );
        }
      }
    },
  };
}

function tooFew(place: string, available: number, wanted: number, mend: string): FarmError {
  return new FarmError(
    "input",
    `${place}${available} rendered locations are too few for mini-batches of ${wanted}`,
    `render more locations, or train with fewer --batch-locations${mend}`,
  );
}

/** What can be told before the first epoch has passed: that a data set has too few locations for mini-batches of its own. */
function checkRoom(
  { names, setOf, rangeOf }: Stock,
  shards: readonly number[],
  { locations: wanted }: BatchShape,
  eligible: (location: number) => boolean = () => true,
): void {
  const available = names.map(() => 0);
  for (const shard of shards) {
    const { first, end } = rangeOf(shard);
    for (let i = first; i < end; i++)
      if (eligible(i)) available[setOf(shard)] = (available[setOf(shard)] ?? 0) + 1;
  }
  for (const [set, count] of available.entries())
    if (count < wanted) throw tooFew(`data set ${names[set]}: `, count, wanted, ", or with --mix batch");
}

/** Shards in their order, but those of each data set spread evenly over all: each stretch has its share of each. */
export function spreadSets(shards: readonly number[], setOf: (shard: number) => number): number[] {
  const sets = shards.map(setOf);
  const sizes = new Map<number, number>();
  const at = sets.map((set) => {
    const before = sizes.get(set) ?? 0;
    sizes.set(set, before + 1);
    return before + 0.5;
  });
  return shards
    .map((shard, i) => {
      const set = sets[i] as number;
      return { shard, set, at: (at[i] as number) / (sizes.get(set) as number) };
    })
    .sort((a, b) => a.at - b.at || a.set - b.set)
    .map(({ shard }) => shard);
}

export interface PlanOptions {
  /** Step to begin with, from 1. */
  first?: number;
  early?: boolean;
  /** Whether a mini-batch has locations of all data sets, or of one. Default `batch`. */
  mix?: Recipe["mix"] | undefined;
  look?: (shards: readonly number[]) => Promise<EmptyTiles>;
  /** Whether a location may be trained on at all. */
  eligible?: ((location: number) => boolean) | undefined;
  /** Which locations may be in one mini-batch, where each serves the other as negative. Default: any, and none are neighbours. */
  together?: Partial<Together> | undefined;
}

/** How locations of a mini-batch lie to one another. */
export interface Together {
  /** Whether two locations may be in one mini-batch. */
  apart(a: number, b: number): boolean;
  /** Whether two locations are neighbours, which may be so as well. */
  near(a: number, b: number): boolean;
  /** Whether a neighbour of one location may be with another. */
  clear(a: number, b: number): boolean;
}

const ANYWHERE: Together = { apart: () => true, near: () => false, clear: () => true };

/** Which locations come into a mini-batch, and how many. */
interface Rules extends Together {
  count: number;
  /** How many of them are there because they are neighbours of another one. */
  neighbours: number;
}

const neighboursOf = ({ locations, neighbours = 0 }: BatchShape): number =>
  Math.round(neighbours * locations);

/**
 * What lies where: locations of a mini-batch are `minDistanceM` apart, but for neighbours, which are half a tile's side to two
 * sides away.
 *
 * @param radius reach of a tile, metres
 */
export function togetherOn(
  placeOf: (location: number) => Place,
  minDistanceM: number,
  radius: number,
): Together {
  const metres = (a: number, b: number): number => distanceM(placeOf(a), placeOf(b));
  const [least, most] = NEIGHBOURS_APART.map((radii) => radii * radius) as [number, number];
  const north = most / METRES_PER_DEGREE;
  return {
    apart: minDistanceM > 0 ? (a, b) => metres(a, b) >= minDistanceM : ANYWHERE.apart,
    near: (a, b) => {
      // Most lie much farther north or south, which is soon told.
      if (Math.abs(placeOf(a).lat - placeOf(b).lat) > north) return false;
      const between = metres(a, b);
      return between >= least && between <= most;
    },
    clear: (a, b) => metres(a, b) >= least,
  };
}

interface Held {
  shard: number;
  /** Index of its data set. */
  set: number;
  location: number;
  /** Its samples without a drawn pixel. */
  empty: ReadonlySet<number> | undefined;
}

/**
 * Takes the first of some candidates that may be together: no location twice, and no two that are not apart.
 *
 * @param candidates asked for one by one, and for no more once there are enough
 * @param companionOf another candidate that comes along with one that was taken, however near; told of all locations so far
 * @returns `count` of them, or fewer when there are no more
 */
export function chooseApart<T>(
  candidates: Iterable<T>,
  count: number,
  locationOf: (candidate: T) => number,
  apart: (a: number, b: number) => boolean,
  companionOf: (candidate: T, locations: readonly number[]) => T | undefined = () => undefined,
): T[] {
  const chosen: T[] = [];
  const locations: number[] = [];
  const take = (candidate: T): boolean => {
    chosen.push(candidate);
    locations.push(locationOf(candidate));
    return chosen.length === count;
  };
  for (const candidate of candidates) {
    if (!isFarFrom(locations, locationOf(candidate), apart)) continue;
    if (take(candidate)) break;
    const companion = companionOf(candidate, locations);
    if (companion !== undefined && take(companion)) break;
  }
  return chosen;
}

/** Whether a location is none of some others, and far enough from each. */
function isFarFrom(
  others: readonly number[],
  location: number,
  far: (a: number, b: number) => boolean,
): boolean {
  return others.every((other) => other !== location && far(other, location));
}

/**
 * Chooses the locations of a mini-batch: one that is apart from those chosen before it, then a neighbour of it, as long as more
 * neighbours are wanted. Where there are too few neighbours, others take their place.
 *
 * @param among indices of held locations, ascending
 * @returns indices, or fewer than the rules say when no more may be together
 */
function chooseLocations(held: readonly Held[], among: readonly number[], rules: Rules): number[] {
  const locationOf = (i: number): number => (held[i] as Held).location;
  let wanted = rules.neighbours;
  return chooseApart(among, rules.count, locationOf, rules.apart, (i, locations) => {
    if (wanted === 0) return undefined;
    const neighbour = among.find(
      (j) => rules.near(locationOf(i), locationOf(j)) && isFarFrom(locations, locationOf(j), rules.clear),
    );
    if (neighbour !== undefined) wanted--;
    return neighbour;
  });
}

/**
 * Takes the locations of a mini-batch out of those that are held; undefined while too few may be together.
 *
 * @param among indices of those that may be taken, ascending
 */
function takeLocations(held: Held[], among: readonly number[], rules: Rules): Held[] | undefined {
  const chosen = chooseLocations(held, among, rules);
  if (chosen.length < rules.count) return undefined;
  const taken = chosen.map((i) => held[i] as Held);
  for (const i of chosen.sort((a, b) => b - a)) held.splice(i, 1);
  return taken;
}

/**
 * {@link takeLocations} of one data set: that of a held location drawn at random. So each has its turn in proportion to its
 * locations that wait, and in an epoch as many turns as its locations fill. One that cannot fill a mini-batch is passed over.
 *
 * @param random the mini-batch's own
 */
function takeTurn(held: Held[], rules: Rules, random: Random): Held[] | undefined {
  let candidates = [...held.keys()];
  while (candidates.length >= rules.count) {
    const { set } = held[candidates[random.int(candidates.length)] as number] as Held;
    const isOwn = (i: number): boolean => held[i]?.set === set;
    const taken = takeLocations(held, candidates.filter(isOwn), rules);
    if (taken !== undefined) return taken;
    candidates = candidates.filter((i) => !isOwn(i));
  }
  return undefined;
}

function planBatch(
  { samples, channels: { length: channels } }: Pick<Dataset, "samples" | "channels">,
  locations: readonly Held[],
  { pairs, negatives = 1 }: BatchShape,
  seed: number,
  step: number,
): BatchPlan {
  const random = randomOf(seed, Purpose.batch, step);
  const drops = randomOf(seed, Purpose.channelDrop, step);
  const perLocation = 1 + pairs;
  const rows = locations.flatMap(({ shard, location, empty }) =>
    [0, ...chooseSamples(random, samples - 1, pairs, empty)].map((sample) => ({
      shard,
      location,
      sample,
    })),
  );
  const triplets: Triplet[] = [];
  for (let own = 0; own < locations.length; own++) {
    for (let at = 0; at < pairs * negatives; at++) {
      const pair = 1 + Math.floor(at / negatives);
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
    for (let channel = 0; channel < channels; channel++) {
      if (drops.uniform() < CHANNEL_OFF) channelsOn[row * channels + channel] = 0;
    }
  }
  return { step, rows, triplets, channelsOn };
}

/**
 * Sees to it that no tile becomes blank by what is switched off: where none of the channels drawn on it is left on, one of
 * them, at random, stays.
 *
 * @param tiles planar uint8 [channel, y, x], in the order of the plan's rows
 * @returns the plan's `channelsOn`, mended
 */
export function keepDrawn(
  { step, rows, channelsOn }: Pick<BatchPlan, "step" | "rows" | "channelsOn">,
  tiles: readonly Uint8Array[],
  seed: number,
): Uint8Array {
  const channels = channelsOn.length / rows.length;
  const mended = channelsOn.slice();
  for (const [row, tile] of tiles.entries()) {
    const area = tile.length / channels;
    const isDrawn = (channel: number): boolean =>
      tile.subarray(channel * area, (channel + 1) * area).some((intensity) => intensity > 0);
    const on = mended.subarray(row * channels, (row + 1) * channels);
    if (on.some((value, channel) => value === 1 && isDrawn(channel))) continue;
    const drawn = [...on.keys()].filter(isDrawn);
    if (drawn.length === 0) continue;
    on[drawn[randomOf(seed, Purpose.channelDrop, step, row).int(drawn.length)] as number] = 1;
  }
  return mended;
}

/** `count` different numbers of 1 … total, none of them in `without`. */
export function chooseSamples(
  random: Random,
  total: number,
  count: number,
  without: ReadonlySet<number> | undefined,
): number[] {
  const all = Array.from({ length: total }, (_, i) => i + 1);
  return random.shuffle(without ? all.filter((sample) => !without.has(sample)) : all).slice(0, count);
}
