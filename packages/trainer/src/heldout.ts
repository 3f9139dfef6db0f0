import { distanceM, type Place, Purpose, type Random, randomOf } from "@loc2vec/core";
import {
  computeObjective,
  type Encoder,
  embeddingSize,
  type Objective,
  structureOf,
  type Triplet,
} from "@loc2vec/encoder";
import { squaredDistance } from "@loc2vec/numeric";
import { chooseSamples, poolShards, spreadSets } from "./batches.ts";
import type { Corpus } from "./corpus.ts";
import { type EmptyTiles, isUsable } from "./empty.ts";
import type { HeldoutFigures } from "./figures.ts";
import type { Settings } from "./settings.ts";
import type { Split } from "./split.ts";
import { openTiles } from "./tiles.ts";

/** Held-out locations that a training is judged by, and what it takes of each: 400 tiles, 600 triplets. */
const [LOCATIONS, PAIRS, NEGATIVES] = [100, 3, 2] as const;
/** Fewer locations say too little. */
const LEAST = 10;
/** Shards that they come from, at least, where there are as many: places in a list often lie beside their neighbours. */
const SPREAD = 10;
/** Tiles that are embedded before signals have their turn. */
const BLOCK = 64;

/** Judges weights by the same triplets of held-out locations each time. */
export interface Judge {
  /** @param encoder in inference mode, with the weights in force. Figures are no finite numbers where it no longer embeds. */
  measure(encoder: Pick<Encoder, "embed">): Promise<HeldoutFigures>;
}

/** What a {@link Judge} is drawn from. */
export interface JudgeOptions {
  /** Those that the training draws from. */
  shards: readonly number[];
  settings: Pick<Settings, keyof Objective | "batch" | "minDistanceM" | "early" | "architecture">;
  split: Split;
  placeOf(location: number): Place;
  emptyByLocation: EmptyTiles;
}

/**
 * Draws held-out locations and triplets among them, by the data sets' seeds alone, and reads their tiles. Of several data
 * sets each gives as large a share as it has of all that is held out. An early training is judged by what is in the shards
 * that it begins with: those are there.
 *
 * @returns why there is nothing to judge by, for people, where there is not
 * @throws FarmError `shards-missing`, `damaged`
 */
export async function openJudge(
  corpus: Corpus,
  { shards, settings, split, placeOf, emptyByLocation }: JudgeOptions,
): Promise<Judge | string> {
  const { readers, samples, setOf } = corpus;
  const random = randomOf(...readers.map(({ dataset }) => dataset.seed), Purpose.judge);
  const pairs = Math.min(PAIRS, samples - 1);
  const usable = (i: number): boolean =>
    split.partOf(i) === "heldout" && isUsable(samples - 1, pairs, emptyByLocation.get(i));
  const judgedShards = settings.early
    ? spreadSets(shards, setOf).slice(0, poolShards(settings.batch))
    : shards;
  const chosen = chooseLocations(corpus, judgedShards, usable, random);
  if (chosen.length < LEAST)
    return chosen.length === 0
      ? "nothing is held out"
      : `only ${chosen.length} held-out locations can be used`;
  const images = chosen.map((i) => [0, ...chooseSamples(random, samples - 1, pairs, emptyByLocation.get(i))]);
  const apart = (a: number, b: number): boolean =>
    distanceM(placeOf(chosen[a] as number), placeOf(chosen[b] as number)) >= settings.minDistanceM;
  const triplets = chooseTriplets(chosen.length, pairs, apart, random);
  if (triplets.length === 0) return "all held-out locations lie in one place";
  const rows = chosen.flatMap((location, i) =>
    (images[i] as number[]).map((sample) => ({ location, sample })),
  );
  const tiles = await openTiles(corpus, { whole: false }).read(rows);
  const size = embeddingSize(settings.architecture);
  const structure = structureOf(rows, triplets);
  return {
    async measure(encoder) {
      const vectors = new Float32Array(tiles.length * size);
      for (let first = 0; first < tiles.length; first += BLOCK) {
        vectors.set(encoder.embed(tiles.slice(first, first + BLOCK)), first * size);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { accuracy, loss } = computeObjective(vectors, size, structure, settings);
      const locations = rows.map(({ location }) => location);
      return { accuracy, nearest: shareOfNearest(vectors, size, locations), loss };
    },
  };
}

/** The share of vectors whose nearest other one is of the same location. @param vectors float32 [images, size] */
export function shareOfNearest(vectors: Float32Array, size: number, locations: readonly number[]): number {
  let right = 0;
  for (const [own, location] of locations.entries()) {
    let [least, nearest] = [Number.POSITIVE_INFINITY, own];
    for (let other = 0; other < locations.length; other++) {
      if (other === own) continue;
      const distance = squaredDistance(vectors, own * size, vectors, other * size, size);
      // Ties count against.
      if (distance < least || (distance === least && locations[other] !== location))
        [least, nearest] = [distance, other];
    }
    if (nearest !== own && locations[nearest] === location) right++;
  }
  return right / locations.length;
}

/** Up to {@link LOCATIONS} usable locations, a share of each data set's, and of each of some of its shards at random. */
function chooseLocations(
  { readers, setOf, rangeOf }: Corpus,
  shards: readonly number[],
  usable: (location: number) => boolean,
  random: Random,
): number[] {
  const usableOf = (shard: number): number[] => {
    const { first, end } = rangeOf(shard);
    return Array.from({ length: end - first }, (_, i) => first + i).filter(usable);
  };
  const bySet = readers.map((_, set) => shards.filter((shard) => setOf(shard) === set));
  const counts = bySet.map((own) => own.reduce((sum, shard) => sum + usableOf(shard).length, 0));
  return shareOut(LOCATIONS, counts).flatMap((wanted, set) => {
    const own = bySet[set] as number[];
    const most = Math.ceil(wanted / Math.max(1, Math.min(SPREAD, own.length)));
    const chosen: number[] = [];
    for (const shard of random.shuffle([...own])) {
      if (chosen.length >= wanted) break;
      chosen.push(...random.shuffle(usableOf(shard)).slice(0, most));
    }
    return chosen.slice(0, wanted);
  });
}

/** Parts a total by weights: each above 0 gets one at least, and the rest in proportion. */
export function shareOut(total: number, weights: readonly number[]): number[] {
  const rest = Math.max(0, total - weights.filter((weight) => weight > 0).length);
  const sum = weights.reduce((all, weight) => all + weight, 0);
  let passed = 0;
  return weights.map((weight) => {
    const before = Math.round((rest * passed) / Math.max(1, sum));
    passed += weight;
    return weight > 0 ? 1 + Math.round((rest * passed) / sum) - before : 0;
  });
}

/** Each anchor and positive {@link NEGATIVES} times with an image of another location, as in a mini-batch. */
function chooseTriplets(
  locations: number,
  pairs: number,
  apart: (a: number, b: number) => boolean,
  random: Random,
): Triplet[] {
  const perLocation = 1 + pairs;
  return Array.from({ length: locations }, (_, own) => own).flatMap((own) => {
    const others = Array.from({ length: locations }, (_, i) => i).filter((i) => i !== own && apart(own, i));
    if (others.length === 0) return [];
    return Array.from({ length: pairs * NEGATIVES }, (_, at) => ({
      anchor: own * perLocation,
      positive: own * perLocation + 1 + Math.floor(at / NEGATIVES),
      negative: (others[random.int(others.length)] as number) * perLocation + random.int(perLocation),
    }));
  });
}
