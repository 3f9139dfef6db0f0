import {
  type Dataset,
  METRES_PER_DEGREE,
  type NearestPlace,
  nearestOf,
  type Place,
  tileTransform,
} from "@loc2vec/core";
import type { Images } from "./images.ts";
import { recall } from "./metrics.ts";
import type { Evaluation } from "./result.ts";

/** The nearest other place of each; a place that is alone is its own, infinitely far away. */
export function nearestOthers(places: readonly Place[]): NearestPlace[] {
  const nearest = nearestOf(places);
  return places.map(
    (place, i) => nearest(place, { but: i }) ?? { index: i, metres: Number.POSITIVE_INFINITY },
  );
}

/**
 * Retrieval by where tiles were taken: metres in a plane, as far as a map of one city or small country is one.
 *
 * @param places of the images' locations
 */
export function recallOnTheGround(
  { seed, augmentation }: Pick<Dataset, "seed" | "augmentation">,
  places: readonly Place[],
  { locations, samples }: Images,
): Evaluation["ground"] {
  const origin = places[0] as Place;
  const scale = METRES_PER_DEGREE * Math.cos((origin.lat * Math.PI) / 180);
  const plane = places.map(({ lon, lat }) => [
    scale * (lon - origin.lon),
    METRES_PER_DEGREE * (lat - origin.lat),
  ]) as [number, number][];
  const positives = plane.flatMap(([x, y], i) =>
    (samples[i] as readonly number[]).slice(1).flatMap((sample) => {
      const { dx, dy } = tileTransform(seed, locations[i] as number, sample, augmentation);
      return [x + dx, y + dy];
    }),
  );
  const vectors = {
    size: 2,
    anchors: Float32Array.from(plane.flat()),
    positives: Float32Array.from(positives),
  };
  const [at1, at10] = recall(vectors, [1, 10]) as [number, number];
  return { recall_at_1: at1, recall_at_10: at10 };
}
