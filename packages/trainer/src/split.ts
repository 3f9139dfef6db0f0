import { apartM, type Holdout, type Part, type Place, partOf } from "@loc2vec/core";
import type { DatasetReader } from "@loc2vec/shards";

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

/** Where a data set's locations lie, and which of them are trained on. */
export interface Territory {
  /** Two footprints, metres: tiles of locations farther apart than this show nothing in common. */
  apart: number;
  holdout: Holdout;
  split: Split;
  /** Where those are that may be trained on. */
  trainable: Place[];
  /** @param location index in the data set */
  placeOf(location: number): Place;
}

/** Splits a data set's locations. @param holdout its border is two footprints where it is left out */
export async function surveyTerritory(
  reader: DatasetReader,
  { share, cellM, borderM }: Omit<Holdout, "borderM"> & { borderM?: number | undefined },
): Promise<Territory> {
  const { dataset } = reader;
  const { lon, lat } = await reader.locations(0, dataset.locations);
  const placeOf = (i: number): Place => ({ lon: lon[i] as number, lat: lat[i] as number });
  const apart = apartM(dataset.radius, dataset.augmentation.maxOffset);
  const holdout: Holdout = { share, cellM, borderM: borderM ?? apart };
  const places = Array.from(lon, (_, i) => placeOf(i));
  const split = splitPlaces(dataset.seed, places, holdout);
  return { apart, holdout, split, trainable: split.places("train"), placeOf };
}
