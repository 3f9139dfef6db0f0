import { apartM, type Holdout, nearestOf, type Part, type Place, partOf } from "@loc2vec/core";
import type { Corpus } from "./corpus.ts";

/** All locations of a training's data sets, each in its part of the split by geography. */
export interface Split {
  /** @param location index in the corpus */
  partOf(location: number): Part;
  places(part: Part): Place[];
}

/** Where a data set's locations lie, and the seed that its held-out squares follow from. */
export interface Ground {
  seed: number;
  places: readonly Place[];
}

/**
 * The parts of locations of several data sets that are trained on together. Each is split by its own seed, as if it were
 * alone. With different seeds other squares are held out; where the data sets lie on the same ground, no location of one is
 * trained on that lies in, or within the border of, a square in which another holds locations out.
 *
 * @param holdout of all of them
 * @returns by data set, the part of each of its locations
 */
export function partTogether(grounds: readonly Ground[], holdout: Holdout): Part[][] {
  const own = grounds.map(({ seed, places }) => places.map((place) => partOf(seed, place, holdout)));
  // A location in or beside such a square has locations that are held out within its border and a cell's diagonal.
  const withinM = holdout.borderM + 2 * holdout.cellM;
  const others = grounds.map(({ seed, places }, set) => {
    const nearest = nearestOf(places.filter((_, i) => own[set]?.[i] === "heldout"));
    return {
      seed,
      holdsOutNear: (place: Place): boolean =>
        partOf(seed, place, holdout) !== "train" && nearest(place, { withinM }) !== undefined,
    };
  });
  return grounds.map(({ seed, places }, set) => {
    const foreign = others.filter((other) => other.seed !== seed);
    return (own[set] as Part[]).map((part, i) =>
      part === "train" && foreign.some(({ holdsOutNear }) => holdsOutNear(places[i] as Place))
        ? "border"
        : part,
    );
  });
}

/** {@link partTogether} with the locations numbered through. */
export function splitPlaces(grounds: readonly Ground[], holdout: Holdout): Split {
  const parts = partTogether(grounds, holdout).flat();
  const places = grounds.flatMap((ground) => ground.places);
  return {
    partOf: (location) => parts[location] as Part,
    places: (part) => places.filter((_, location) => parts[location] === part),
  };
}

/** Where a training's locations lie, and which of them are trained on. */
export interface Territory {
  /** Two footprints, metres: tiles of locations farther apart than this show nothing in common. */
  apart: number;
  holdout: Holdout;
  split: Split;
  /** Where those are that may be trained on, by data set. */
  trainable: readonly (readonly Place[])[];
  /** @param location index in the corpus */
  placeOf(location: number): Place;
}

/** Splits the data sets' locations. @param holdout its border is two footprints, the widest, where it is left out */
export async function surveyTerritory(
  { readers }: Corpus,
  { share, cellM, borderM }: Omit<Holdout, "borderM"> & { borderM?: number | undefined },
): Promise<Territory> {
  const apart = Math.max(
    ...readers.map(({ dataset: { radius, augmentation } }) => apartM(radius, augmentation.maxOffset)),
  );
  const holdout: Holdout = { share, cellM, borderM: borderM ?? apart };
  const grounds: Ground[] = [];
  for (const reader of readers) {
    const { seed, locations } = reader.dataset;
    const { lon, lat } = await reader.locations(0, locations);
    grounds.push({ seed, places: Array.from(lon, (x, i) => ({ lon: x, lat: lat[i] as number })) });
  }
  const split = splitPlaces(grounds, holdout);
  const places = grounds.flatMap((ground) => ground.places);
  let passed = 0;
  const trainable = grounds.map((ground) => {
    const first = passed;
    passed += ground.places.length;
    return ground.places.filter((_, i) => split.partOf(first + i) === "train");
  });
  return { apart, holdout, split, trainable, placeOf: (i) => places[i] as Place };
}
