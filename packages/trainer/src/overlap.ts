import {
  distanceM,
  type Holdout,
  nearestOf,
  type Part,
  type Place,
  partOf,
  randomOf,
  Stream,
} from "@loc2vec/core";

/** All locations of a data set, each in its part of the split by geography. */
export interface Split {
  /** @param location index in the data set */
  partOf(location: number): Part;
  places(part: Part): Place[];
}

/** @param seed the data set's */
export function splitPlaces(seed: number, places: readonly Place[], holdout: Holdout): Split {
  const parts = places.map((place) => partOf(seed, place, holdout));
  return {
    partOf: (location) => parts[location] as Part,
    places: (part) => places.filter((_, location) => parts[location] === part),
  };
}

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
    const taken: Place[] = [];
    for (const place of places) {
      if (taken.every((other) => distanceM(place, other) >= distance)) taken.push(place);
      if (taken.length === ROOM * locations) return distance;
    }
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

/** Of the pairs of locations in mini-batches that keep one distance, the share that is nearer than another. */
export function shareOfNearPairs(
  places: readonly Place[],
  locations: number,
  minDistanceM: number,
  apart: number,
): number {
  const random = randomOf(0, Stream.overlap);
  let [pairs, near] = [0, 0];
  for (let batch = 0; batch < MEASURED; batch++) {
    const taken: Place[] = [];
    // As mini-batches are made: at random, each location that is far enough from those before it.
    for (let tries = 0; tries < 50 * locations && taken.length < locations && places.length > 0; tries++) {
      const place = places[random.int(places.length)] as Place;
      if (taken.every((other) => place !== other && distanceM(place, other) >= minDistanceM))
        taken.push(place);
    }
    for (const [i, place] of taken.entries()) {
      for (const other of taken.slice(0, i)) {
        pairs++;
        if (distanceM(place, other) < apart) near++;
      }
    }
  }
  return pairs === 0 ? 0 : near / pairs;
}
