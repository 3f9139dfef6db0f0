import {
  type CheckpointChoice,
  type Dataset,
  distanceM,
  type Holdout,
  METRES_PER_DEGREE,
  type NearestPlace,
  nearestOf,
  type Place,
  type Random,
  randomOf,
  Stream,
  tileTransform,
} from "@loc2vec/core";
import {
  createEmbedder,
  createEncoder,
  type Embedder,
  embeddingSize,
  initialWeights,
  type Weights,
} from "@loc2vec/encoder";
import type { ObjectStore } from "@loc2vec/shards";
import { loadTensorflow, type Tensorflow } from "@loc2vec/tensorflow";
import {
  type Checkpoint,
  type EmptyTiles,
  type HistoryEntry,
  openCheckpoint,
  openTiles,
  readHistory,
  type TileReader,
} from "@loc2vec/trainer";
import { type Features, gradientFeatures, pixelFeatures, principalComponents } from "./components.ts";
import { histogramsOf, type Lookalike, lookalikes } from "./lookalikes.ts";
import { type Quality, quality, recall, type Vectors } from "./metrics.ts";
import { findGeography, type Geography, overlaps, type Surveyed } from "./places.ts";
import { fitProbe, type Score, score } from "./probe.ts";
import type { Representation } from "./representation.ts";
import { bagOfWords } from "./words.ts";

/** Images that baselines are fitted to. */
const FIT = 800;
/** Of the longer bag of words; the other has as many as a vector has numbers. */
const MORE_WORDS = 64;
/** Images that are described at a time. */
const BLOCK = 64;
/** Labelled locations that a probe learns from, and how often they are drawn. */
const [LABELLED, DRAWS] = [[10, 100, 1000], 10] as const;
const LOOKALIKES = 6;
/** Mini-batches that an untrained encoder takes its batch normalization's statistics from, and their images. */
const CALIBRATION = { batches: 8, images: 60 } as const;

export interface EvaluateOptions {
  store: ObjectStore;
  dataset: string;
  /** All trained on that data set, with the same geography held out, or all on one other, elsewhere; bars are held to the first. */
  models: readonly string[];
  /** Of each model. Default `best`. */
  checkpoint?: CheckpointChoice | undefined;
  /** Of the held-out locations, at most so many are drawn. Default 2000. */
  locations?: number;
  /** Positives per location. Default 5. */
  positives?: number;
  /** Labels for the probe; without, there is none. */
  labels?: Labels | undefined;
  seed?: number;
  signal?: AbortSignal | undefined;
  log?: (line: string) => void;
  progress?: (done: number, total: number) => void;
}

export interface Labels {
  /** What a label says, for people. */
  meaning: string;
  /** By index of the location; undefined where there is none. */
  of(places: readonly Place[]): Promise<readonly (string | undefined)[]>;
  /** Indices of the channels that show what labels say: they are switched off. */
  masked: readonly number[];
}

export interface Evaluated extends Quality {
  name: string;
  kind: "model" | "untrained" | "baseline";
  /** Length of a vector. */
  size: number;
  /** Of a model: steps trained, and the loss it was trained with. */
  step?: number;
  loss?: string;
  /** By the number of labelled locations that a linear probe learned from: means over draws. */
  probe?: Record<string, Score & { deviation: number }>;
}

export interface Bar {
  bar: string;
  value: number;
  least: number;
  met: boolean;
}

export interface Evaluation {
  dataset: string;
  geography: {
    /** `squares`: held-out cells of the data set trained on; `elsewhere`: all of another one. */
    kind: Geography["kind"];
    trained_on: string;
    /** Metres between the nearest two locations of which one was trained on, and the other is judged by. */
    nearest_trained_m: number;
    /** Whether tiles of the two can show the same ground. */
    overlaps: boolean;
  };
  holdout: Holdout;
  locations: { train: number; heldout: number; evaluated: number };
  positives: number;
  /** Median distance from an evaluated location to the nearest other one, metres. */
  nearest_m: number;
  /**
   * Recall of one who knows where every tile was taken, and answers with the nearest anchors on the ground: positives are
   * shifted, often to where others' anchors are nearer than their own. A ceiling of what tiles can tell.
   */
  ground: { recall_at_1: number; recall_at_10: number };
  results: Evaluated[];
  labels?: {
    meaning: string;
    masked: string[];
    train: number;
    heldout: number;
    classes: Record<string, number>;
    /** Share of the most frequent class among the held-out ones. */
    majority: number;
  };
  bars: Bar[];
  /** Figure 7, by the first model; `a` and `b` are indices of locations. */
  lookalikes: Lookalike[];
  /** Figure 11: means of equally many steps over the course of each model's training. */
  curves: Curve[];
}

export interface Curve {
  model: string;
  loss: string;
  points: Omit<HistoryEntry, "seconds" | "waited" | "heldout">[];
  /** Right triplets of held-out locations at checkpoints, where they were counted while it was trained. */
  heldout: { step: number; accuracy: number }[];
}

/**
 * How good a model's vectors are at places that it was never trained near, beside what takes no training, all on the same
 * images: see {@link Quality}, {@link fitProbe} and {@link lookalikes}.
 *
 * @throws FarmError what {@link findGeography} throws
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { store, models, positives = 5, seed = 0, signal, log = () => {}, progress = () => {} } = options;
  const trained = await Promise.all(models.map((model) => openCheckpoint(store, model, options.checkpoint)));
  const geography = await findGeography(store, options.dataset, models, trained, positives);
  const { evaluated: surveyed, heldout } = geography;
  const { dataset, parts, placeOf, emptyByLocation } = surveyed;
  const evaluated = draw(heldout, options.locations ?? 2000, randomOf(seed, Stream.evaluate, 3));
  const images = evaluated.map((location) =>
    chooseImages(location, dataset.samples, positives, emptyByLocation, seed),
  );
  const nearest = nearestOthers(evaluated.map(placeOf));

  const tensorflow = await loadTensorflow();
  const context = { tensorflow, trained, names: models, dataset, seed };
  const tiles = openTiles(surveyed.reader);
  const fit = await readFit(geography.trained, seed);
  log("evaluate: fitting baselines");
  const all = await makeRepresentations(context, fit);
  log(`evaluate: ${evaluated.length} held-out locations`);
  const rows = evaluated.flatMap((location, i) =>
    (images[i] as number[]).map((sample) => ({ location, sample })),
  );
  const described = await describeAll(
    all.map(({ representation }) => representation),
    tiles,
    rows,
    { signal, progress },
  );
  const size = 1 + positives;
  const results = all.map(({ representation, ...rest }, at): Evaluated => {
    const vectors = split(described[at] as Float32Array, representation.size, size);
    return {
      name: representation.name,
      size: representation.size,
      ...rest,
      ...quality(
        vectors,
        nearest.map(({ index }) => index),
        seed,
      ),
    };
  });
  const first = split(described[0] as Float32Array, (all[0] as Made).representation.size, size);
  const [histograms] = (await describeAll(
    [histogramsOf(dataset.channels.length)],
    tiles,
    anchorsOf(evaluated),
    { signal },
  )) as [Float32Array];
  const apart = (a: number, b: number): boolean =>
    distanceM(placeOf(evaluated[a] as number), placeOf(evaluated[b] as number)) >= 2 * dataset.radius;
  const found = lookalikes(histograms, dataset.channels.length, first.anchors, LOOKALIKES, apart);
  for (const { representation } of all) await representation.dispose();

  const asked =
    options.labels && (await askLabels(options.labels, parts, context, { tiles, fit, placeOf }, options));
  for (const [at, probe] of (asked?.probes ?? []).entries()) (results[at] as Evaluated).probe = probe;
  return {
    dataset: dataset.name,
    geography: {
      kind: geography.kind,
      trained_on: geography.trained.dataset.name,
      nearest_trained_m: geography.nearestTrainedM,
      overlaps: overlaps(geography),
    },
    holdout: (trained[0] as Checkpoint).settings.holdout,
    locations: {
      train: geography.trained.parts.train.length,
      heldout: heldout.length,
      evaluated: evaluated.length,
    },
    positives,
    nearest_m: median(nearest.map(({ metres }) => metres)),
    ground: onTheGround(dataset, evaluated.map(placeOf), evaluated, images),
    results,
    ...(asked && { labels: asked.labels }),
    bars: barsOf(results),
    lookalikes: found.map((pair) => ({
      ...pair,
      a: evaluated[pair.a] as number,
      b: evaluated[pair.b] as number,
    })),
    curves: await Promise.all(models.map((model, at) => curveOf(store, model, trained[at] as Checkpoint))),
  };
}

/**
 * What linear probes make of labels that tiles do not show.
 *
 * @returns `probes` by representation, as {@link makeRepresentations} orders them; none where too few are labelled
 */
async function askLabels(
  { meaning, of, masked }: Labels,
  parts: Readonly<Record<"train" | "heldout", readonly number[]>>,
  context: Context,
  { tiles, fit, placeOf }: { tiles: TileReader; fit: readonly Uint8Array[]; placeOf: (i: number) => Place },
  { seed = 0, signal, log = () => {}, progress = () => {} }: EvaluateOptions,
): Promise<{ labels: NonNullable<Evaluation["labels"]>; probes: NonNullable<Evaluated["probe"]>[] }> {
  log("evaluate: linear probes");
  const { channels, locations } = context.dataset;
  const labelled = await of(Array.from({ length: locations }, (_, i) => placeOf(i)));
  const train = parts.train.filter((i) => labelled[i] !== undefined);
  const classes = [...new Set(train.map((i) => labelled[i] as string))].sort();
  const codes = new Map(classes.map((name, code) => [name, code]));
  const code = (i: number): number => codes.get(labelled[i] as string) as number;
  // A class that nobody can learn here is nobody's fault.
  const heldout = parts.heldout.filter((i) => codes.has(labelled[i] ?? ""));
  const counts = Object.fromEntries(
    classes.map((name) => [name, heldout.filter((i) => labelled[i] === name).length]),
  );
  const labels = {
    meaning,
    masked: masked.map((channel) => channels[channel] as string),
    train: train.length,
    heldout: heldout.length,
    classes: counts,
    majority: Math.max(...Object.values(counts)) / heldout.length,
  };
  if (classes.length < 2 || heldout.length < 20 || train.length < 20) {
    log(`evaluate: ${train.length} and ${heldout.length} labelled locations are too few for a probe`);
    return { labels, probes: [] };
  }
  const hide = (tile: Uint8Array): Uint8Array => mask(tile, masked, channels.length);
  const hidden: TileReader = { read: async (wanted) => (await tiles.read(wanted)).map(hide) };
  const blind = (await makeRepresentations(context, fit.map(hide))).map(
    ({ representation }) => representation,
  );
  const vectors = await describeAll(blind, hidden, anchorsOf([...train, ...heldout]), { signal, progress });
  const probes = blind.map(({ size }, at) =>
    probeAll(vectors[at] as Float32Array, size, train.map(code), heldout.map(code), classes.length, seed),
  );
  for (const representation of blind) await representation.dispose();
  return { labels, probes };
}

/** Tiles that baselines are fitted to: anchors and positives of what is trained on. */
async function readFit(
  { reader, dataset, parts, emptyByLocation }: Surveyed,
  seed: number,
): Promise<Uint8Array[]> {
  const random = randomOf(seed, Stream.evaluate, 4);
  return openTiles(reader).read(
    draw(parts.train, FIT, random).map((location) => ({
      location,
      sample: chooseImages(location, dataset.samples, 1, emptyByLocation, seed)[random.int(2)] as number,
    })),
  );
}

interface Made {
  representation: Representation;
  kind: Evaluated["kind"];
  step?: number;
  loss?: string;
}

interface Context {
  tensorflow: Tensorflow;
  trained: readonly Checkpoint[];
  names: readonly string[];
  dataset: Pick<Dataset, "channels" | "locations" | "pixels">;
  seed: number;
}

/** The models, the first one's network before any training, and what takes none. */
async function makeRepresentations(
  { tensorflow, trained, names, dataset, seed }: Context,
  fit: readonly Uint8Array[],
): Promise<Made[]> {
  const shape = { channels: dataset.channels.length, pixels: dataset.pixels };
  const first = trained[0] as Checkpoint;
  const size = embeddingSize(first.settings.architecture);
  const models: Made[] = [];
  for (const [at, { step, settings, weights }] of trained.entries()) {
    const embedder = await createEmbedder(settings.architecture, weights);
    const representation = asRepresentation(
      names[at] as string,
      embeddingSize(settings.architecture),
      embedder,
    );
    models.push({ representation, kind: "model", step, loss: settings.loss });
  }
  const begun = await createEmbedder(first.settings.architecture, untrainedWeights(tensorflow, first, fit));
  const baseline = (representation: Representation): Made => ({ representation, kind: "baseline" });
  const components = (name: string, features: Features): Made =>
    baseline(principalComponents(tensorflow, `${name}, PCA-${size}`, features, fit, size));
  const words = (count: number): Made =>
    baseline(bagOfWords(shape, fit, count, randomOf(seed, Stream.evaluate, 5)));
  return [
    ...models,
    { representation: asRepresentation("untrained encoder", size, begun), kind: "untrained" },
    components("pixels", pixelFeatures(shape)),
    words(size),
    components("HoG", gradientFeatures(shape)),
    words(MORE_WORDS),
  ];
}

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

interface Watch {
  signal: AbortSignal | undefined;
  progress?: (done: number, total: number) => void;
}

/** @returns per representation float32 [rows, size] */
async function describeAll(
  all: readonly Representation[],
  tiles: TileReader,
  rows: Parameters<TileReader["read"]>[0],
  { signal, progress }: Watch,
): Promise<Float32Array[]> {
  const found = all.map(({ size }) => new Float32Array(rows.length * size));
  const read = (first: number) => tiles.read(rows.slice(first, first + BLOCK));
  let next = read(0);
  for (let first = 0; first < rows.length; first += BLOCK) {
    signal?.throwIfAborted();
    const block = await next;
    next = read(first + BLOCK);
    next.catch(() => {}); // awaited in the next round
    for (const [at, representation] of all.entries())
      (found[at] as Float32Array).set(await representation.describe(block), first * representation.size);
    progress?.(first + block.length, rows.length);
    // Describing blocks the event loop: signals have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return found;
}

/** @param data float32 [locations, anchor and positives, size] */
function split(data: Float32Array, size: number, images: number): Vectors {
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

const anchorsOf = (locations: readonly number[]) => locations.map((location) => ({ location, sample: 0 }));

/** So many of them, in ascending order. */
function draw(items: readonly number[], count: number, random: Random): number[] {
  return random
    .shuffle([...items])
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** The anchor, and `positives` others that are not empty. */
function chooseImages(
  location: number,
  samples: number,
  positives: number,
  empty: EmptyTiles,
  seed: number,
): number[] {
  const none = empty.get(location);
  const all = Array.from({ length: samples - 1 }, (_, i) => i + 1).filter((sample) => !none?.has(sample));
  return [0, ...randomOf(seed, Stream.evaluate, 6, location).shuffle(all).slice(0, positives)];
}

/** Of each place the nearest other one. */
function nearestOthers(places: readonly Place[]): NearestPlace[] {
  const nearest = nearestOf(places);
  return places.map(
    (place, i) => nearest(place, { but: i }) ?? { index: i, metres: Number.POSITIVE_INFINITY },
  );
}

/** Retrieval by where tiles were taken: metres in a plane, as far as a map of one city or small country is one. */
function onTheGround(
  { seed, augmentation }: Pick<Dataset, "seed" | "augmentation">,
  places: readonly Place[],
  locations: readonly number[],
  images: readonly (readonly number[])[],
): Evaluation["ground"] {
  const origin = places[0] as Place;
  const scale = METRES_PER_DEGREE * Math.cos((origin.lat * Math.PI) / 180);
  const plane = places.map(({ lon, lat }) => [
    scale * (lon - origin.lon),
    METRES_PER_DEGREE * (lat - origin.lat),
  ]) as [number, number][];
  const positives = plane.flatMap(([x, y], i) =>
    (images[i] as number[]).slice(1).flatMap((sample) => {
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

/** The tile with some channels switched off. */
function mask(tile: Uint8Array, masked: readonly number[], channels: number): Uint8Array {
  const area = tile.length / channels;
  const copy = tile.slice();
  for (const channel of masked) copy.fill(0, channel * area, (channel + 1) * area);
  return copy;
}

/**
 * @param data float32 [train, then heldout; size]
 * @param train classes of the first rows
 * @param heldout classes of the others
 */
function probeAll(
  data: Float32Array,
  size: number,
  train: readonly number[],
  heldout: readonly number[],
  classes: number,
  seed: number,
): NonNullable<Evaluated["probe"]> {
  const asked = data.subarray(train.length * size);
  const found: NonNullable<Evaluated["probe"]> = {};
  for (const wanted of LABELLED) {
    const count = Math.min(wanted, train.length);
    const scores = Array.from({ length: DRAWS }, (_, at) => {
      // The same draws for all that are compared.
      const random = randomOf(seed, Stream.evaluate, 7, wanted, at);
      const rows = draw([...train.keys()], count, random);
      const features = new Float32Array(count * size);
      for (const [i, row] of rows.entries())
        features.set(data.subarray(row * size, (row + 1) * size), i * size);
      const probe = fitProbe(
        features,
        size,
        rows.map((row) => train[row] as number),
        classes,
      );
      return score(probe.predict(asked), heldout, classes);
    });
    const mean = (value: (each: Score) => number): number =>
      scores.reduce((sum, each) => sum + value(each), 0) / DRAWS;
    const accuracy = mean((each) => each.accuracy);
    found[String(count)] = {
      accuracy,
      balanced_accuracy: mean((each) => each.balanced_accuracy),
      deviation: Math.sqrt(mean((each) => (each.accuracy - accuracy) ** 2)),
    };
    if (count < wanted) break;
  }
  return found;
}

/**
 * What the first model is held to. What is as long as its vectors is its rival; what is longer is told apart: more numbers
 * tell more places apart.
 */
function barsOf(results: readonly Evaluated[]): Bar[] {
  const [model, ...others] = results as [Evaluated, ...Evaluated[]];
  const rivals = others.filter(({ kind }) => kind !== "model");
  const equals = rivals.filter(({ size }) => size <= model.size);
  const best = (of: readonly Evaluated[], value: (each: Evaluated) => number): number =>
    Math.max(...of.map(value));
  const at10 = (each: Evaluated): number => each.recall_at_10;
  const at100 = (each: Evaluated): number => each.probe?.["100"]?.accuracy ?? Number.NaN;
  const bar = (name: string, value: number, least: number, above = false): Bar => ({
    bar: name,
    value,
    least,
    met: above ? value > least : value >= least,
  });
  return [
    bar("recall@10, twice the best as short without training", at10(model), 2 * best(equals, at10)),
    bar("recall@10, twice the best of any length without training", at10(model), 2 * best(rivals, at10)),
    bar("triplet accuracy, random negatives", model.triplet_accuracy, 0.95),
    bar("effective rank", model.effective_rank, 6),
    ...(model.probe?.["100"]
      ? [bar("linear probe, 100 labels, above every baseline", at100(model), best(rivals, at100), true)]
      : []),
  ];
}

/** Points of a curve. */
const POINTS = 30;

async function curveOf(store: ObjectStore, model: string, { settings }: Checkpoint): Promise<Curve> {
  const history = await readHistory(store, model);
  const length = Math.max(1, Math.ceil(history.length / POINTS));
  const points = Array.from({ length: Math.ceil(history.length / length) }, (_, at) => {
    const few = history.slice(at * length, (at + 1) * length);
    const mean = (value: (entry: HistoryEntry) => number): number =>
      few.reduce((sum, entry) => sum + value(entry), 0) / few.length;
    return {
      step: few.at(-1)?.step ?? 0,
      loss: mean((entry) => entry.loss),
      positive: mean((entry) => entry.positive),
      negative: mean((entry) => entry.negative),
      accuracy: mean((entry) => entry.accuracy),
    };
  });
  const heldout = history.flatMap(({ step, heldout: figures }) =>
    figures ? [{ step, accuracy: figures.accuracy }] : [],
  );
  return { model, loss: settings.loss, points, heldout };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
