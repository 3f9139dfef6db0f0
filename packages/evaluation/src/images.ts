import { Purpose, type Random, randomOf } from "@loc2vec/core";
import type { EmptyTiles } from "@loc2vec/trainer";
import type { Vectors } from "./metrics.ts";

/** An image of a location: sample 0 is its anchor. */
export interface ImageRow {
  location: number;
  sample: number;
}

/** The images that all contestants are judged by. */
export interface Images {
  /** Indices of the locations, ascending. */
  locations: readonly number[];
  /** Samples of each of them, as many of all: the anchor, then positives. */
  samples: readonly (readonly number[])[];
}

/** What images are chosen from. */
export interface ImageSource {
  /** Tiles of a location, the anchor with them. */
  samples: number;
  emptyByLocation: EmptyTiles;
  seed: number;
}

/** So many of the items at random, in ascending order. */
export function draw(items: readonly number[], count: number, random: Random): number[] {
  return random
    .shuffle([...items])
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** At most `most` of the locations at random, with their anchors and `positives` others of each. */
export function chooseImages(
  locations: readonly number[],
  most: number,
  positives: number,
  source: ImageSource,
): Images {
  const drawn = draw(locations, most, randomOf(source.seed, Purpose.evaluate, 3));
  return {
    locations: drawn,
    samples: drawn.map((location) => chooseSamples(location, positives, source)),
  };
}

/** The anchor of a location, and `positives` others of its tiles that are not empty. */
export function chooseSamples(
  location: number,
  positives: number,
  { samples, emptyByLocation, seed }: ImageSource,
): number[] {
  const empty = emptyByLocation.get(location);
  const filled = Array.from({ length: samples - 1 }, (_, i) => i + 1).filter((sample) => !empty?.has(sample));
  return [0, ...randomOf(seed, Purpose.evaluate, 6, location).shuffle(filled).slice(0, positives)];
}

/** Location by location, the anchor first. */
export function rowsOf({ locations, samples }: Images): ImageRow[] {
  return locations.flatMap((location, i) =>
    (samples[i] as readonly number[]).map((sample) => ({ location, sample })),
  );
}

export function anchorsOf(locations: readonly number[]): ImageRow[] {
  return locations.map((location) => ({ location, sample: 0 }));
}

/**
 * Parts anchors from positives.
 *
 * @param data float32 [locations, images, size]: see {@link rowsOf}
 * @param images how many each location has, the anchor with them
 */
export function splitVectors(data: Float32Array, size: number, images: number): Vectors {
  const locations = data.length / size / images;
  const anchors = new Float32Array(locations * size);
  const positives = new Float32Array(locations * (images - 1) * size);
  for (let i = 0; i < locations; i++) {
    const at = i * images * size;
    anchors.set(data.subarray(at, at + size), i * size);
    positives.set(data.subarray(at + size, at + images * size), i * (images - 1) * size);
  }
  return { size, anchors, positives };
}
