import { Purpose, randomOf } from "@loc2vec/core";
import { mean } from "@loc2vec/numeric";
import type { TileReader } from "@loc2vec/trainer";
import { type Contestant, disposeAll, type Entry, makeContestants } from "./contestants.ts";
import { describeAll, type Watch } from "./describe.ts";
import { anchorsOf, draw } from "./images.ts";
import type { LabelledPlaces, Placed } from "./labels.ts";
import { type ClassScore, fitProbe, score } from "./logistic.ts";
import type { ProbeScore, ProbeScores } from "./result.ts";
import { fitRidge, type NumberScore, scoreNumbers } from "./ridge.ts";

/** Labelled locations that a probe learns from, and how often they are drawn. */
const [LABELLED, DRAWS] = [[10, 100, 1000], 10] as const;

export interface ProbeInput {
  /** Those who describe whole tiles; where channels are switched off, others are made in their stead. */
  contestants: readonly Contestant[];
  entry: Entry;
  tiles: TileReader;
  /** Tiles that baselines are fitted to, planar uint8 [channel, y, x] each. */
  fit: readonly Uint8Array[];
  watch: Watch;
}

/**
 * Has linear probes learn labels from vectors of tiles that do not show them. Labels for which the same channels are switched
 * off share vectors.
 *
 * @returns for each of the labels scores by contestant, in their order
 */
export async function probeContestants(
  placed: readonly Placed[],
  { contestants, entry, tiles, fit, watch }: ProbeInput,
): Promise<ProbeScores[][]> {
  const scores = placed.map((): ProbeScores[] => []);
  const channels = entry.dataset.channels.length;
  for (const key of new Set(placed.map(maskOf))) {
    const together = [...placed.entries()].filter(([, one]) => maskOf(one) === key);
    const { masked } = (together[0] as (typeof together)[number])[1].labels;
    const hide = (tile: Uint8Array): Uint8Array => mask(tile, masked, channels);
    const hidden: TileReader = { ...tiles, read: async (wanted) => (await tiles.read(wanted)).map(hide) };
    const blind = masked.length > 0 ? await makeContestants(entry, fit.map(hide)) : contestants;
    const locations = [...new Set(together.flatMap(([, { places }]) => locationsOf(places)))].sort(
      (a, b) => a - b,
    );
    const rowOf = new Map(locations.map((location, row) => [location, row]));
    const representations = blind.map(({ representation }) => representation);
    const vectors = await describeAll(representations, hidden, anchorsOf(locations), watch);
    if (blind !== contestants) await disposeAll(blind);
    for (const [at, { places }] of together) {
      const rows = locationsOf(places).map((location) => rowOf.get(location) as number);
      scores[at] = representations.map(({ size }, i) =>
        probeVectors(rowsOf(vectors[i] as Float32Array, size, rows), size, places, entry.seed),
      );
    }
  }
  return scores;
}

const maskOf = ({ labels }: Placed): string => labels.masked.join();
const locationsOf = ({ train, heldout }: LabelledPlaces): number[] => [
  ...train.locations,
  ...heldout.locations,
];

/** A copy of a tile with some channels switched off. @param tile planar uint8 [channel, y, x] */
export function mask(tile: Uint8Array, masked: readonly number[], channels: number): Uint8Array {
  const area = tile.length / channels;
  const copy = tile.slice();
  for (const channel of masked) copy.fill(0, channel * area, (channel + 1) * area);
  return copy;
}

/** @param data float32 [any, size] @returns float32 [rows, size] */
function rowsOf(data: Float32Array, size: number, rows: readonly number[]): Float32Array {
  const chosen = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) chosen.set(data.subarray(row * size, (row + 1) * size), i * size);
  return chosen;
}

/**
 * Probes learn from 10, 100 and 1000 locations, or from all where there are fewer; each is asked for all that are held out.
 *
 * @param data float32 [train, then heldout; size]
 */
export function probeVectors(
  data: Float32Array,
  size: number,
  { classes, train, heldout }: Pick<LabelledPlaces, "classes" | "train" | "heldout">,
  seed: number,
): ProbeScores {
  const available = train.targets.length;
  const asked = data.subarray(available * size);
  const byCount: ProbeScores = {};
  for (const wanted of LABELLED) {
    const count = Math.min(wanted, available);
    const drawn = Array.from({ length: DRAWS }, (_, at) => {
      // The same draws for all that are compared.
      const rows = draw([...train.targets.keys()], count, randomOf(seed, Purpose.evaluate, 7, wanted, at));
      const features = rowsOf(data, size, rows);
      return { features, targets: rows.map((row) => train.targets[row] as number) };
    });
    byCount[String(count)] =
      classes === undefined
        ? summarizeNumbers(
            drawn.map(({ features, targets }) =>
              scoreNumbers(fitRidge(features, size, targets).predict(asked), heldout.targets),
            ),
          )
        : summarizeClasses(
            drawn.map(({ features, targets }) => {
              const probe = fitProbe(features, size, targets, classes.length);
              return score(probe.predict(asked), heldout.targets, classes.length);
            }),
          );
    if (count < wanted) break;
  }
  return byCount;
}

function summarizeClasses(scores: readonly ClassScore[]): ProbeScore {
  const accuracies = scores.map(({ accuracy }) => accuracy);
  return {
    accuracy: mean(accuracies),
    balanced_accuracy: mean(scores.map((one) => one.balanced_accuracy)),
    deviation: deviationOf(accuracies),
  };
}

function summarizeNumbers(scores: readonly NumberScore[]): ProbeScore {
  const r2 = scores.map((one) => one.r2);
  return {
    r2: mean(r2),
    mean_absolute_error: mean(scores.map((one) => one.mean_absolute_error)),
    deviation: deviationOf(r2),
  };
}

function deviationOf(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}
