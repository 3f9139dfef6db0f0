import { FarmError, Purpose, randomOf } from "@loc2vec/core";
import {
  type Architecture,
  createInspector,
  type Inspector,
  inputSide,
  type Layer,
  layersOf,
  type Weights,
} from "@loc2vec/encoder";
import type { Tensorflow } from "@loc2vec/tensorflow";
import { type Ascent, BRIGHTEST, climb, DEFAULT_ASCENT } from "./ascent.ts";

/** Images that climb at a time: their feature maps fit into memory for any network of ours. */
const AT_A_TIME = 16;

export interface MaximizeOptions extends Partial<Ascent> {
  /** A layer with a kernel by name: `conv1` …, `dense` or `embedding`. */
  layer: string;
  /** By index, from 0. Default: all of the layer. */
  filters?: readonly number[];
  /** Of the noise that images begin with. Default: 0. */
  seed?: number;
  /**
   * Side of the images, pixels: one that all layers can halve and, before a vector, that of the architecture's own.
   * Default: that of what the first layer takes of a tile.
   */
  side?: number;
  /** From how much noise a filter is tried before it counts as dead. Default: 3. */
  attempts?: number;
}

/** What the filters of a layer respond to. */
export interface Maximized {
  layer: string;
  /** As asked for. */
  filters: readonly number[];
  channels: number;
  /** Of the images, pixels. */
  side: number;
  /** Float32 [filter, channel, y, x], 0 to 255 as tiles are. */
  images: Float32Array;
  /** Each filter's activation at the noise that its image began with, and at the image. */
  first: Float32Array;
  last: Float32Array;
  /** Filters, by index, whose activation never rose above 0, or that nothing moved, from any noise. */
  dead: number[];
}

/**
 * For each filter of a layer an image that it responds to strongly: activation maximization, as in figures 13 and 14 of
 * Loc2Vec. The activation is the mean over the filter's map, after normalization (by running statistics) and LeakyReLU and
 * before any pooling; of a dense layer it is the number itself. An image follows from seed and filter, whichever others are
 * asked for.
 *
 * @throws FarmError `usage` for a layer or filter that is not there, and for images that the network cannot take; `data` for
 *   weights of another network
 */
export async function maximizeActivations(
  tensorflow: Tensorflow,
  architecture: Architecture,
  weights: Weights,
  {
    layer,
    filters: asked,
    seed = 0,
    side = inputSide(architecture),
    attempts = 3,
    ...ascent
  }: MaximizeOptions,
): Promise<Maximized> {
  const filters = checkFilters(filtersOf(architecture, layer, side), layer, asked);
  const { channels } = architecture;
  const size = channels * side * side;
  const images = new Float32Array(filters.length * size);
  const first = new Float32Array(filters.length);
  const last = new Float32Array(filters.length);
  /** Places in `filters` that have not responded yet. */
  let silent = filters.map((_, at) => at);
  const inspector: Inspector = createInspector(tensorflow, architecture, weights);
  try {
    for (let attempt = 0; attempt < attempts && silent.length > 0; attempt++) {
      const still: number[] = [];
      for (let from = 0; from < silent.length; from += AT_A_TIME) {
        const ats = silent.slice(from, from + AT_A_TIME);
        const own = ats.map((at) => filters[at] as number);
        const start = new Float32Array(ats.length * size);
        for (const [i, filter] of own.entries()) start.set(noise(size, seed, filter, attempt), i * size);
        const rise = { ...DEFAULT_ASCENT, ...ascent };
        const climbed = await climb(tensorflow, inspector, layer, start, side, own, rise);
        for (const [i, at] of ats.entries()) {
          const image = climbed.images.subarray(i * size, (i + 1) * size);
          images.set(planar(image, channels), at * size);
          first[at] = climbed.first[i] as number;
          last[at] = climbed.last[i] as number;
          if (climbed.alive[i] !== true) still.push(at);
        }
      }
      silent = still;
    }
  } finally {
    inspector.dispose();
  }
  const dead = silent.map((at) => filters[at] as number);
  return { layer, filters, channels, side, images, first, last, dead };
}

/** Grey, and uniform about it: from half as bright to half as bright again. */
function noise(length: number, seed: number, filter: number, attempt: number): Float32Array {
  const random = randomOf(seed, Purpose.insight, 0, filter, attempt);
  return new Float32Array(length).map(() => BRIGHTEST * (0.25 + 0.5 * random.uniform()));
}

/** From [y, x, channel] to [channel, y, x]. */
function planar(image: Float32Array, channels: number): Float32Array {
  const cells = image.length / channels;
  return image.map((_, i) => image[(i % cells) * channels + Math.floor(i / cells)] as number);
}

/** How many filters a layer has. @throws FarmError `usage` where it has none, or images of that side do not get there */
function filtersOf(architecture: Architecture, name: string, side: number): number {
  const own = layersOf(architecture);
  const kernels = own.filter(({ kernel }) => kernel !== undefined);
  const layer = kernels.find((each) => each.name === name);
  if (layer === undefined) {
    throw new FarmError(
      "usage",
      `the network has no layer with filters that is called ${JSON.stringify(name)}`,
      `one of: ${kernels.map((each) => each.name).join(", ")}`,
    );
  }
  const pixels = side * 2 ** (architecture.halvings ?? 0);
  const given = layersOf({ ...architecture, pixels });
  const upTo = own.indexOf(layer) + 1;
  const unlike = own.slice(0, upTo).find((each, at) => each.kernel?.join() !== given[at]?.kernel?.join());
  if (unlike !== undefined) {
    throw new FarmError(
      "usage",
      `${unlike.name} takes images of ${inputSide(architecture)} pixels alone, not of ${side}`,
      "leave the side out, or name a convolution",
    );
  }
  return (layer as Layer).output.at(-1) as number;
}

function checkFilters(count: number, layer: string, asked: readonly number[] | undefined): readonly number[] {
  const filters = asked ?? Array.from({ length: count }, (_, filter) => filter);
  for (const filter of filters) {
    if (Number.isInteger(filter) && filter >= 0 && filter < count) continue;
    throw new FarmError("usage", `${layer} has no filter ${filter}`, `0 to ${count - 1}`);
  }
  return filters;
}
