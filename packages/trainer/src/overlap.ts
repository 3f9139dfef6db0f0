import { distanceM, type Holdout, nearestOf, type Place, Purpose, randomOf } from "@loc2vec/core";
import { chooseApart } from "./batches.ts";
import type { Split } from "./split.ts";

/** So many mini-batches' locations a map must hold, apart from one another, for a distance to be kept to. */
const ROOM = 2;
/** How often the distance is halved before there is none. */
const HALVINGS = 3;

/**
 * The distance to keep within mini-batches: two footprints, from where on no two tiles show the same ground; on a map too
 * small for that a half, a quarter or an eighth of them, or nothing. A map is too small when, taking its locations in their
 * order, fewer than twice the mini-batch's are that far from all that were taken before.
 *
 * @param places that are trained on
 * @param locations of a mini-batch
 * @param apart two footprints, metres
 */
export function chooseMinDistance(places: readonly Place[], locations: number, apart: number): number {
  for (let halved = 0; halved <= HALVINGS; halved++) {
    const distance = apart / 2 ** halved;
    const chosen = chooseApart(places.keys(), ROOM * locations, (i) => i, farther(places, distance));
    if (chosen.length === ROOM * locations) return distance;
  }
  return 0;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/**
 * Warns of a split whose held-out tiles can show ground that was trained on, or whose border is wider than its cells.
 *
 * @param apart two footprints, metres
 */
export function warnOfHoldout(split: Split, { share, cellM, borderM }: Holdout, apart: number): string[] {
  if (share === 0 || (borderM >= apart && cellM >= borderM)) return [];
  const [train, border, heldout] = (["train", "border", "heldout"] as const).map((part) =>
    split.places(part),
  ) as [Place[], Place[], Place[]];
  const nearest = nearestOf(train);
  const near = heldout.filter((place) => nearest(place, { withinM: apart }) !== undefined).length;
  const why =
    borderM < apart
      ? `a border of ${borderM} m is narrower than two footprints (${apart} m)`
      : `cells of ${cellM} m are smaller than the border (${borderM} m)`;
  const all = Math.max(1, train.length + border.length + heldout.length);
  return [
    `${why}: ${percent(near / Math.max(1, heldout.length))} of the held-out locations can show ground that is trained on; ${percent(border.length / all)} of all locations lie in the border, and serve neither`,
  ];
}

/** Random mini-batches that overlap is measured on. */
const MEASURED = 200;

/**
 * Warns of mini-batches in which tiles of different locations can show the same ground, with the share of pairs measured on
 * mini-batches drawn at random.
 *
 * @param places that are trained on
 * @param locations of a mini-batch
 * @param minDistanceM that is kept within a mini-batch
 * @param apart two footprints, metres
 */
export function warnOfBatches(
  places: readonly Place[],
  locations: number,
  minDistanceM: number,
  apart: number,
): string[] {
  if (minDistanceM >= apart) return [];
  const share = shareOfNearPairs(places, locations, minDistanceM, apart);
  if (share === 0) return [];
  return [
    `locations of a mini-batch are kept ${Math.round(minDistanceM)} m apart, less than two footprints (${apart} m): ${percent(share)} of its pairs of locations can show the same ground`,
  ];
}

/**
 * The share of pairs of locations that are nearer to one another than `apart`, in mini-batches drawn at random that keep
 * `minDistanceM`.
 *
 * @param places that are trained on
 * @param locations of a mini-batch
 */
export function shareOfNearPairs(
  places: readonly Place[],
  locations: number,
  minDistanceM: number,
  apart: number,
): number {
  const random = randomOf(0, Purpose.overlap);
  /** As mini-batches are made: at random, each location that is far enough from those before it. */
  function* draw(): Generator<number> {
    for (let tries = 0; tries < 50 * locations && places.length > 0; tries++) yield random.int(places.length);
  }
  let [pairs, near] = [0, 0];
  for (let batch = 0; batch < MEASURED; batch++) {
    const chosen = chooseApart(draw(), locations, (i) => i, farther(places, minDistanceM));
    for (const [at, i] of chosen.entries()) {
      for (const other of chosen.slice(0, at)) {
        pairs++;
        if (!farther(places, apart)(i, other)) near++;
      }
    }
  }
  return pairs === 0 ? 0 : near / pairs;
}

/** Whether two places, by their indices, are as far from one another, metres, or farther. */
function farther(places: readonly Place[], metres: number): (a: number, b: number) => boolean {
  return (a, b) => distanceM(places[a] as Place, places[b] as Place) >= metres;
}
