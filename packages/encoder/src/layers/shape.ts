import { FarmError } from "@loc2vec/core";

/** What a layer takes or gives for one tile: a feature map, [height, width, channels], or a vector, [length]. */
export type Shape = FeatureMap | readonly [length: number];
export type FeatureMap = readonly [height: number, width: number, channels: number];

/** A layer's place in its network, for messages. */
export interface Place {
  /** E.g. `layer 3 (conv)`; the first is 1. */
  name: string;
  /** Side of the tiles. */
  pixels: number;
}

export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, length) => product * length, 1);

export const isMap = (shape: Shape): shape is FeatureMap => shape.length === 3;

/** @throws FarmError `usage` for a vector */
export function needMap(input: Shape, place: Place): FeatureMap {
  if (isMap(input)) return input;
  throw new FarmError(
    "usage",
    `${place.name}: takes a feature map, and the layers before it give a vector of ${input[0]}`,
    "put it before the flatten layer",
  );
}

/** @throws FarmError `usage` for a feature map */
export function needVector(input: Shape, place: Place): number {
  if (!isMap(input)) return input[0];
  throw new FarmError(
    "usage",
    `${place.name}: takes a vector, and the layers before it give a feature map of ${input.join(" × ")}`,
    "put a flatten layer before it",
  );
}

/** Half as high and wide. @throws FarmError `usage` for a vector, or a feature map whose sides are odd */
export function halved(input: Shape, place: Place): FeatureMap {
  const [height, width, channels] = needMap(input, place);
  if (height % 2 === 0 && width % 2 === 0) return [height / 2, width / 2, channels];
  const times = Math.log2(place.pixels / width) + 1;
  throw new FarmError(
    "usage",
    `${place.name}: tiles of ${place.pixels} pixels cannot be halved ${times} times`,
    `tiles of a multiple of ${2 ** times} pixels, or fewer layers that halve`,
  );
}
