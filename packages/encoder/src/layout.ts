import { FarmError } from "@loc2vec/core";
import { identifierOf, kindOf, type LayerSpec } from "./layers/index.ts";
import type { Layer } from "./layers/kind.ts";
import type { Shape } from "./layers/shape.ts";
import { followedBy } from "./parts/followed.ts";

/** A network for tiles of one size. */
export interface Architecture {
  /** Channels of a tile. */
  channels: number;
  /** Side of a tile. */
  pixels: number;
  /** In the order of computation. */
  layers: readonly LayerSpec[];
  /** How often tiles are halved before the first layer, each time by the rounded mean of 2 × 2 bytes; default 0. */
  halvings?: number;
  /** How many turns of a tile an embedding is the mean of, outside training; default 1. */
  turns?: Turns;
}

/** A tile as it is; its quarter turns; or those and their mirror images, which are all symmetries of a square. */
export const TURNS = [1, 4, 8] as const;
export type Turns = (typeof TURNS)[number];

/** Tiles can be halved so often. */
export const MOST_HALVINGS = 3;

/**
 * Side of what the first layer takes, pixels.
 *
 * @throws FarmError `usage` where tiles of that size cannot be halved so often
 */
export function inputSide({ pixels, halvings = 0 }: Pick<Architecture, "pixels" | "halvings">): number {
  if (pixels % 2 ** halvings === 0) return pixels / 2 ** halvings;
  throw new FarmError(
    "usage",
    `tiles of ${pixels} pixels cannot be halved ${halvings} times`,
    "fewer halvings, or tiles of another size",
  );
}

/**
 * The layers with their shapes and names, in the order of computation.
 *
 * @throws FarmError `usage` naming the layer that cannot stand where it does, by its place in the list from 1
 */
export function layersOf({ channels, layers, ...tile }: Architecture): Layer<LayerSpec>[] {
  const side = inputSide(tile);
  const laid = layOut([side, side, channels], layers);
  checkEmbedding(layers);
  return laid;
}

/** {@link layersOf}, of any layers for any input. */
export function layOut(tile: Shape, layers: readonly LayerSpec[]): Layer<LayerSpec>[] {
  const counts = new Map<string, number>();
  /** What layers gave from the first kernel on, by name. */
  const given = new Map<string, Shape>();
  let input = tile;
  let kernels = 0;
  return layers.map((spec, at): Layer<LayerSpec> => {
    const kind = kindOf(spec);
    const count = (counts.get(spec.kind) ?? 0) + 1;
    counts.set(spec.kind, count);
    const place = { name: placeName(spec, at), pixels: tile[0] };
    const also = ("also" in spec && spec.also) || [];
    const output = kind.outputOf(
      spec,
      input,
      place,
      also.map((name) => shapeOf(name, given, place.name)),
    );
    const kernel = kind.kernelOf(spec, input);
    const name = at === layers.length - 1 ? "embedding" : nameOf(spec.kind, count);
    const ordinal = kernel === undefined ? 0 : ++kernels;
    const layer = { spec, name, input, output, also, kernel, ordinal };
    input = output;
    if (kernels > 0) given.set(name, output);
    return layer;
  });
}

function shapeOf(name: string, given: ReadonlyMap<string, Shape>, place: string): Shape {
  const shape = given.get(name);
  if (shape !== undefined) return shape;
  const names = [...given.keys()];
  throw new FarmError(
    "usage",
    `${place}: "also" names ${JSON.stringify(name)}, which is no layer from the first convolution to the one before it`,
    names.length === 0 ? "put a convolution before it" : `one or more of: ${names.join(", ")}`,
  );
}

const placeName = ({ kind }: LayerSpec, at: number): string => `layer ${at + 1} (${kind})`;

/** Layers are numbered by kind, `conv1` …, but the first dense one is `dense`: so they are called in weights of old. */
const nameOf = (kind: string, count: number): string =>
  kind === "dense" && count === 1 ? kind : `${identifierOf(kind)}${count}`;

/** The embedding is linear, so that distances are not bent: that of the last layer, dense with a bias alone. */
function checkEmbedding(layers: readonly LayerSpec[]): void {
  const last = layers.at(-1);
  if (last === undefined) throw new FarmError("usage", "a network without a layer", "1 or more of them");
  const followed = followedBy(last);
  if (last.kind === "dense" && followed?.normalization === "none" && followed.activation === "none") return;
  throw new FarmError(
    "usage",
    `${placeName(last, layers.length - 1)}: the last layer is the embedding, and must be dense without normalization and activation`,
    'end the list with {"kind": "dense", "units": 16}',
  );
}
