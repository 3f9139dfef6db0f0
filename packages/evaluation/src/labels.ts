import { FarmError, nearestOf, type Place } from "@loc2vec/core";
import { mean } from "@loc2vec/numeric";
import type { Surveyed } from "./places.ts";
import type { LabelCounts } from "./result.ts";

/** Labelled locations without which nothing is said, of those learned from and of those asked for. */
const LEAST = 20;

interface LabelSource {
  /** What its figures are filed under; no two of one evaluation have the same. */
  name: string;
  /** What a label says, for people. */
  meaning: string;
  /** Indices of the channels that show what labels say: they are switched off. */
  masked: readonly number[];
  /** File and column that labels were read from, where too few that fit are an error: else it is only said. */
  origin?: string;
  /** A class that fewer locations are of is left out. Default 1. */
  leastOfClass?: number;
}

/** Where labels come from: the label of each place, undefined where there is none. */
export type Labels = LabelSource &
  (
    | { kind: "classes"; of(places: readonly Place[]): Promise<readonly (string | undefined)[]> }
    | { kind: "numbers"; of(places: readonly Place[]): Promise<readonly (number | undefined)[]> }
  );

/** Labelled points of a map, which need not be locations of a data set. */
export type Points =
  | { kind: "classes"; points: readonly (Place & { label: string })[] }
  | { kind: "numbers"; points: readonly (Place & { label: number })[] };

/**
 * A location's label is that of the nearest point, where one lies within so many metres. Nothing is switched off: tiles do not
 * show such labels.
 *
 * @throws FarmError `input`, when it is asked, where no place has a point near enough
 */
export function labelsOfPoints(
  points: Points,
  { withinM, ...about }: Pick<LabelSource, "name" | "meaning"> & { origin: string; withinM: number },
): Labels {
  const source = { ...about, masked: [], leastOfClass: LEAST };
  const of = <Label>(labelled: readonly (Place & { label: Label })[]) => {
    const nearest = nearestOf(labelled);
    return async (places: readonly Place[]): Promise<(Label | undefined)[]> => {
      const near = places.map((place) => nearest(place, { withinM }));
      if (near.every((one) => one === undefined)) {
        const metres = places.reduce(
          (least, place) => Math.min(least, nearest(place)?.metres ?? least),
          Number.POSITIVE_INFINITY,
        );
        throw new FarmError(
          "input",
          `${about.origin}: no labelled point lies within ${withinM} m of a location; the nearest two are ${metres.toFixed(0)} m apart`,
          "give labels of the ground where the data set lies, or a larger --within",
        );
      }
      return near.map((one) => one && (labelled[one.index] as { label: Label }).label);
    };
  };
  return points.kind === "classes"
    ? { ...source, kind: points.kind, of: of(points.points) }
    : { ...source, kind: points.kind, of: of(points.points) };
}

/** Some of the labelled locations. */
export interface LabelledPart {
  /** Indices of locations. */
  locations: readonly number[];
  /** Of each the code of its class, 0 … classes − 1, or its number. */
  targets: readonly number[];
}

/** Labelled locations that a probe learns from, and those that it is asked for. */
export interface LabelledPlaces {
  /** Names of the classes, sorted; undefined where labels are numbers. */
  classes: readonly string[] | undefined;
  train: LabelledPart;
  heldout: LabelledPart;
  /** Classes that are too rare, and how many locations are of each. */
  leftOut: Readonly<Record<string, number>>;
}

/** Labels of a data set's locations, and whether there are enough for a probe. */
export interface Placed {
  labels: Labels;
  places: LabelledPlaces;
  counts: LabelCounts;
  isEnough: boolean;
}

/**
 * Labels the locations of a data set.
 *
 * @throws FarmError `input`, naming their origin, where labels that have one are too few, or of one class
 */
export async function placeLabels(
  labels: Labels,
  { dataset, parts, placeOf }: Pick<Surveyed, "dataset" | "parts" | "placeOf">,
  log: (line: string) => void,
): Promise<Placed> {
  const at = Array.from({ length: dataset.locations }, (_, i) => placeOf(i));
  const places =
    labels.kind === "classes"
      ? sortClasses(await labels.of(at), parts, labels.leastOfClass ?? 1)
      : sortNumbers(await labels.of(at), parts);
  const { classes, train, heldout, leftOut } = places;
  const [learned, asked] = [train.locations.length, heldout.locations.length];
  const rare = Object.entries(leftOut).map(([name, count]) => `${name} (${count})`);
  const without = rare.length > 0 ? `; rarer than ${labels.leastOfClass}: ${shorten(rare)}` : "";
  const isEnough = Math.min(learned, asked) >= LEAST && (classes === undefined || classes.length > 1);
  if (!isEnough && labels.origin !== undefined) {
    const [only] = classes ?? [];
    const what =
      classes?.length === 1 && Math.min(learned, asked) >= LEAST
        ? `one class only, ${JSON.stringify(only)}, at the locations of data set ${dataset.name}`
        : `${learned} locations of data set ${dataset.name} to learn from and ${asked} to ask for are labelled, where ${LEAST} of each are needed`;
    throw new FarmError(
      "input",
      `${labels.origin}: ${what}${without}`,
      "give more labels of that ground, or coarser ones, or a larger --within",
    );
  }
  if (!isEnough)
    log(
      `evaluate: labels ${labels.name}: ${learned} and ${asked} labelled locations are too few for a probe`,
    );
  else if (rare.length > 0) log(`evaluate: labels ${labels.name}: left out${without.slice(1)}`);
  return { labels, places, counts: countLabels(labels, dataset, places), isEnough };
}

const shorten = (names: readonly string[]): string =>
  `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`;

type Parts = Readonly<Record<"train" | "heldout", readonly number[]>>;

/** A class that no location of the training has is left out, too: nobody can learn it here. */
function sortClasses(
  labelOf: readonly (string | undefined)[],
  parts: Parts,
  leastOfClass: number,
): LabelledPlaces {
  const counts = new Map<string, number>();
  for (const i of [...parts.train, ...parts.heldout]) {
    const name = labelOf[i];
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const rare = [...counts].filter(([, count]) => count < leastOfClass);
  for (const [name] of rare) counts.delete(name);
  const classes = [...new Set(parts.train.map((i) => labelOf[i] ?? ""))]
    .filter((name) => counts.has(name))
    .sort();
  const codes = new Map(classes.map((name, code) => [name, code]));
  return {
    classes,
    ...sort(parts, (i) => codes.get(labelOf[i] ?? "")),
    leftOut: Object.fromEntries(rare.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function sortNumbers(labelOf: readonly (number | undefined)[], parts: Parts): LabelledPlaces {
  return { classes: undefined, ...sort(parts, (i) => labelOf[i]), leftOut: {} };
}

function sort(
  parts: Parts,
  targetOf: (location: number) => number | undefined,
): Pick<LabelledPlaces, "train" | "heldout"> {
  const part = (all: readonly number[]): LabelledPart => {
    const locations = all.filter((i) => targetOf(i) !== undefined);
    return { locations, targets: locations.map((i) => targetOf(i) as number) };
  };
  return { train: part(parts.train), heldout: part(parts.heldout) };
}

/** What a probe is asked, and of how many; where none is held out the figures are 0. */
export function countLabels(
  { name, meaning, masked }: Pick<LabelSource, "name" | "meaning" | "masked">,
  { channels }: Pick<Surveyed["dataset"], "channels">,
  { classes, train, heldout, leftOut }: LabelledPlaces,
): LabelCounts {
  const about = {
    name,
    meaning,
    masked: masked.map((channel) => channels[channel] as string),
    train: train.locations.length,
    heldout: heldout.locations.length,
  };
  if (classes === undefined) {
    const middle = mean(heldout.targets);
    const deviation = Math.sqrt(mean(heldout.targets.map((target) => (target - middle) ** 2)));
    return { ...about, kind: "numbers", mean: middle, deviation };
  }
  const counts = Object.fromEntries(
    classes.map((each, code) => [each, heldout.targets.filter((other) => other === code).length]),
  );
  return {
    ...about,
    kind: "classes",
    classes: counts,
    left_out: { ...leftOut },
    majority: Math.max(0, ...Object.values(counts)) / Math.max(1, heldout.locations.length),
  };
}
