import { type Dataset, Purpose, randomOf } from "@loc2vec/core";
import {
  createEmbedder,
  createEncoder,
  type Embedder,
  embeddingSize,
  initialWeights,
  type Weights,
} from "@loc2vec/encoder";
import type { Tensorflow } from "@loc2vec/tensorflow";
import { type Checkpoint, openTiles } from "@loc2vec/trainer";
import { type Features, gradientFeatures, pixelFeatures, principalComponents } from "./components.ts";
import { chooseSamples, draw } from "./images.ts";
import type { Surveyed } from "./places.ts";
import { reduced } from "./reduced.ts";
import type { Representation, TileShape } from "./representation.ts";
import type { ContestantKind } from "./result.ts";
import { type BagOfWords, bagOfWords, LONG_BAG } from "./words.ts";

/** Images that baselines are fitted to. */
const FIT = 800;
/** Mini-batches that an untrained encoder takes its batch normalization's statistics from, and their images. */
const CALIBRATION = { batches: 8, images: 60 } as const;

/** One of those that are compared. */
export interface Contestant {
  representation: Representation;
  kind: ContestantKind;
  /** Steps that a model was trained for, and the loss it was trained with. */
  step?: number;
  loss?: string;
  /** Words of a bag of words, or of the one that was reduced. */
  words?: number;
}

/** What contestants are made of. */
export interface Entry {
  tensorflow: Tensorflow;
  /** Names of the models, and a checkpoint of each. */
  models: readonly string[];
  checkpoints: readonly Checkpoint[];
  dataset: Pick<Dataset, "channels" | "pixels">;
  seed: number;
}

/** Tiles that baselines are fitted to: anchors and positives of what is trained on, planar uint8 [channel, y, x] each. */
export async function readFitTiles(trained: readonly Surveyed[], seed: number): Promise<Uint8Array[]> {
  const random = randomOf(seed, Purpose.evaluate, 4);
  const all = trained.flatMap(({ parts }, set) => parts.train.map((location) => ({ set, location })));
  const drawn = draw([...all.keys()], FIT, random).map((at) => {
    const { set, location } = all[at] as (typeof all)[number];
    const { dataset, emptyByLocation } = trained[set] as Surveyed;
    const source = { samples: dataset.samples, emptyByLocation, seed };
    return { set, location, sample: chooseSamples(location, 1, source)[random.int(2)] as number };
  });
  // Drawn in ascending order, so those of a data set stand together.
  const bySet = trained.map(({ reader }, at) =>
    openTiles(reader).read(drawn.filter(({ set }) => set === at)),
  );
  return (await Promise.all(bySet)).flat();
}

/**
 * The models, the first one's network before any training, pixels reduced by PCA to as many numbers, and the bag of
 * {@link LONG_BAG} words: those that are told apart by what can be learned from them. Whoever makes them disposes of them.
 */
export async function makeProbed(entry: Entry, fit: readonly Uint8Array[]): Promise<Contestant[]> {
  const { architecture } = (entry.checkpoints[0] as Checkpoint).settings;
  const pixels = pixelFeatures(shapeOf(entry));
  return [
    ...(await modelsOf(entry)),
    await untrained(entry, fit),
    reducedFeatures(entry, "pixels", pixels, fit, embeddingSize(architecture)),
    ofWords(bagOf(entry, fit, LONG_BAG), LONG_BAG),
  ];
}

/** The models, the first one's network before any training, and what takes none; whoever makes them disposes of them. */
export async function makeContestants(entry: Entry, fit: readonly Uint8Array[]): Promise<Contestant[]> {
  const { architecture } = (entry.checkpoints[0] as Checkpoint).settings;
  return [
    ...(await modelsOf(entry)),
    await untrained(entry, fit),
    ...baselines(entry, fit, embeddingSize(architecture)),
  ];
}

export async function disposeAll(contestants: readonly Contestant[]): Promise<void> {
  for (const { representation } of contestants) await representation.dispose();
}

async function modelsOf({ models, checkpoints }: Entry): Promise<Contestant[]> {
  const contestants: Contestant[] = [];
  for (const [at, { step, settings, weights }] of checkpoints.entries()) {
    const embedder = await createEmbedder(settings.architecture, weights);
    const representation = asRepresentation(
      models[at] as string,
      embeddingSize(settings.architecture),
      embedder,
    );
    contestants.push({ representation, kind: "model", step, loss: settings.loss });
  }
  return contestants;
}

async function untrained(
  { tensorflow, checkpoints }: Entry,
  fit: readonly Uint8Array[],
): Promise<Contestant> {
  const first = checkpoints[0] as Checkpoint;
  const { architecture } = first.settings;
  const embedder = await createEmbedder(architecture, untrainedWeights(tensorflow, first, fit));
  const representation = asRepresentation("untrained encoder", embeddingSize(architecture), embedder);
  return { representation, kind: "untrained" };
}

/** @param size length of the first model's vectors */
function baselines(entry: Entry, fit: readonly Uint8Array[], size: number): Contestant[] {
  const shape = shapeOf(entry);
  const axes = axesOf(fit, size);
  const long = bagOf(entry, fit, LONG_BAG);
  return [
    reducedFeatures(entry, "pixels", pixelFeatures(shape), fit, size),
    ...(size === LONG_BAG ? [] : [ofWords(bagOf(entry, fit, size), size)]),
    reducedFeatures(entry, "HoG", gradientFeatures(shape), fit, size),
    ofWords(long, LONG_BAG),
    // As many components as words, or more, would be the bag itself.
    ...(axes < LONG_BAG ? [ofWords(reduced(long, long.fitted, axes), LONG_BAG)] : []),
  ];
}

const shapeOf = ({ dataset }: Entry): TileShape => ({
  channels: dataset.channels.length,
  pixels: dataset.pixels,
});

/** So many tiles span one direction less. */
const axesOf = (fit: readonly Uint8Array[], size: number): number => Math.min(size, fit.length - 1);

function reducedFeatures(
  { tensorflow }: Entry,
  name: string,
  features: Features,
  fit: readonly Uint8Array[],
  size: number,
): Contestant {
  const axes = axesOf(fit, size);
  return {
    representation: principalComponents(tensorflow, `${name}, PCA-${axes}`, features, fit, axes),
    kind: "baseline",
  };
}

const bagOf = (entry: Entry, fit: readonly Uint8Array[], words: number): BagOfWords =>
  bagOfWords(shapeOf(entry), fit, words, randomOf(entry.seed, Purpose.evaluate, 5));

const ofWords = (representation: Representation, words: number): Contestant => ({
  representation,
  kind: "baseline",
  words,
});

function asRepresentation(name: string, size: number, embedder: Embedder): Representation {
  return {
    name,
    size,
    describe: (tiles) => embedder.embed(tiles),
    dispose: () => embedder.dispose(),
  };
}

/** The weights that a training begins with, and batch normalization's statistics of real tiles: the better for it. */
function untrainedWeights(
  tensorflow: Tensorflow,
  { settings }: Checkpoint,
  fit: readonly Uint8Array[],
): Weights {
  const { architecture, seed } = settings;
  const encoder = createEncoder(tensorflow, architecture, initialWeights(architecture, seed));
  for (let step = 1; step <= CALIBRATION.batches; step++) {
    const tiles = fit.slice((step - 1) * CALIBRATION.images, step * CALIBRATION.images);
    if (tiles.length < 2) break;
    const channelsOn = new Uint8Array(tiles.length * architecture.channels).fill(1);
    const batch = { tiles, channelsOn, seed, step, dropout: { input: 0, conv: 0, dense: 0 } };
    encoder.update(encoder.gradients(batch, (vectors) => new Float32Array(vectors.length)).statistics);
  }
  const weights = new Map(encoder.weights);
  encoder.dispose();
  return weights;
}
