import { type Dataset, type Place, Purpose, randomOf } from "@loc2vec/core";
import { mean } from "@loc2vec/numeric";
import type { TileReader } from "@loc2vec/trainer";
import { disposeAll, type Entry, makeContestants } from "./contestants.ts";
import { describeAll, type Watch } from "./describe.ts";
import { anchorsOf, draw } from "./images.ts";
import { fitProbe, type Score, score } from "./logistic.ts";
import type { Surveyed } from "./places.ts";
import type { LabelCounts, ProbeScores } from "./result.ts";

/** Labelled locations that a probe learns from, and how often they are drawn. */
const [LABELLED, DRAWS] = [[10, 100, 1000], 10] as const;
/** Labelled locations without which nothing is said, of those learned from and of those asked for. */
const LEAST = 20;

/** Where labels come from. */
export interface Labels {
  /** What a label says, for people. */
  meaning: string;
  /** The label of each place; undefined where there is none. */
  of(places: readonly Place[]): Promise<readonly (string | undefined)[]>;
  /** Indices of the channels that show what labels say: they are switched off. */
  masked: readonly number[];
}

/** Labelled locations of classes that a probe can learn. */
export interface LabelledPlaces {
  /** Names of the classes, sorted. */
  classes: readonly string[];
  /** Indices of locations, and the class of each, 0 … classes − 1. */
  train: { locations: readonly number[]; classes: readonly number[] };
  heldout: { locations: readonly number[]; classes: readonly number[] };
}

export interface ProbeInput {
  labels: Labels;
  evaluated: Surveyed;
  entry: Entry;
  tiles: TileReader;
  /** Tiles that baselines are fitted to, planar uint8 [channel, y, x] each. */
  fit: readonly Uint8Array[];
  watch: Watch;
  log(line: string): void;
}

/**
 * Has linear probes learn labels from vectors of tiles that do not show them.
 *
 * @returns `scores` by contestant, as {@link makeContestants} orders them; none where too few locations are labelled
 */
export async function probeContestants({
  labels,
  evaluated,
  entry,
  tiles,
  fit,
  watch,
  log,
}: ProbeInput): Promise<{ counts: LabelCounts; scores: ProbeScores[] }> {
  log("evaluate: linear probes");
  const { dataset, parts, placeOf } = evaluated;
  const labelOf = await labels.of(Array.from({ length: dataset.locations }, (_, i) => placeOf(i)));
  const places = sortOut(labelOf, parts);
  const { classes, train, heldout } = places;
  const counts = countLabels(labels, dataset, places);
  if (classes.length < 2 || heldout.locations.length < LEAST || train.locations.length < LEAST) {
    log(
      `evaluate: ${train.locations.length} and ${heldout.locations.length} labelled locations are too few for a probe`,
    );
    return { counts, scores: [] };
  }
  const hide = (tile: Uint8Array): Uint8Array => mask(tile, labels.masked, dataset.channels.length);
  const hidden: TileReader = { read: async (wanted) => (await tiles.read(wanted)).map(hide) };
  const blind = await makeContestants(entry, fit.map(hide));
  const representations = blind.map(({ representation }) => representation);
  const rows = anchorsOf([...train.locations, ...heldout.locations]);
  const vectors = await describeAll(representations, hidden, rows, watch);
  const scores = representations.map(({ size }, at) =>
    probeVectors(vectors[at] as Float32Array, size, places, entry.seed),
  );
  await disposeAll(blind);
  return { counts, scores };
}

/** A class that no location of the training has is left out: nobody can learn it here. */
function sortOut(
  labelOf: readonly (string | undefined)[],
  parts: Readonly<Record<"train" | "heldout", readonly number[]>>,
): LabelledPlaces {
  const train = parts.train.filter((i) => labelOf[i] !== undefined);
  const classes = [...new Set(train.map((i) => labelOf[i] as string))].sort();
  const codes = new Map(classes.map((name, code) => [name, code]));
  const heldout = parts.heldout.filter((i) => codes.has(labelOf[i] ?? ""));
  const classesOf = (locations: readonly number[]): number[] =>
    locations.map((i) => codes.get(labelOf[i] as string) as number);
  return {
    classes,
    train: { locations: train, classes: classesOf(train) },
    heldout: { locations: heldout, classes: classesOf(heldout) },
  };
}

/** What a probe is asked, and of how many; where none is held out the counts are 0. */
export function countLabels(
  { meaning, masked }: Labels,
  { channels }: Pick<Dataset, "channels">,
  { classes, train, heldout }: LabelledPlaces,
): LabelCounts {
  const counts = Object.fromEntries(
    classes.map((name, code) => [name, heldout.classes.filter((other) => other === code).length]),
  );
  return {
    meaning,
    masked: masked.map((channel) => channels[channel] as string),
    train: train.locations.length,
    heldout: heldout.locations.length,
    classes: counts,
    majority: Math.max(0, ...Object.values(counts)) / Math.max(1, heldout.locations.length),
  };
}

/** A copy of a tile with some channels switched off. @param tile planar uint8 [channel, y, x] */
export function mask(tile: Uint8Array, masked: readonly number[], channels: number): Uint8Array {
  const area = tile.length / channels;
  const copy = tile.slice();
  for (const channel of masked) copy.fill(0, channel * area, (channel + 1) * area);
  return copy;
}

/**
 * Probes learn from 10, 100 and 1000 locations, or from all where there are fewer; each is asked for all that are held out.
 *
 * @param data float32 [train, then heldout; size]
 */
export function probeVectors(
  data: Float32Array,
  size: number,
  { classes, train, heldout }: LabelledPlaces,
  seed: number,
): ProbeScores {
  const available = train.classes.length;
  const asked = data.subarray(available * size);
  const byCount: ProbeScores = {};
  for (const wanted of LABELLED) {
    const count = Math.min(wanted, available);
    const scores = Array.from({ length: DRAWS }, (_, at) => {
      // The same draws for all that are compared.
      const rows = draw([...train.classes.keys()], count, randomOf(seed, Purpose.evaluate, 7, wanted, at));
      const features = new Float32Array(count * size);
      for (const [i, row] of rows.entries())
        features.set(data.subarray(row * size, (row + 1) * size), i * size);
      const learned = rows.map((row) => train.classes[row] as number);
      const probe = fitProbe(features, size, learned, classes.length);
      return score(probe.predict(asked), heldout.classes, classes.length);
    });
    byCount[String(count)] = summarize(scores);
    if (count < wanted) break;
  }
  return byCount;
}

function summarize(scores: readonly Score[]): ProbeScores[string] {
  const accuracy = mean(scores.map((one) => one.accuracy));
  return {
    accuracy,
    balanced_accuracy: mean(scores.map((one) => one.balanced_accuracy)),
    deviation: Math.sqrt(mean(scores.map((one) => (one.accuracy - accuracy) ** 2))),
  };
}
