import type { Points } from "./points.ts";

/** What a colour means. */
export interface Legend {
  title: string;
  entries: readonly { name: string; colour: string }[];
  /** From low to high. */
  ramp?: { low: string; high: string };
}

/** Twelve hues that are told apart on light and dark ground (after ColorBrewer's Paired and Tableau 10). */
const HUES = [
  ...["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2"],
  ...["#edc948", "#ff9da7", "#9c755f", "#8cd17d", "#b6992d", "#d37295"],
];
const NONE = "#9aa0a6";
/** Colours of a ramp: viridis (Smith & van der Walt 2015) at fifths. */
const RAMP = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"];
/** Share of the points at either end of a scale that lie beyond it. */
const BEYOND = 0.02;

const bytesOf = (hex: string): [number, number, number] => [
  Number.parseInt(hex.slice(1, 3), 16),
  Number.parseInt(hex.slice(3, 5), 16),
  Number.parseInt(hex.slice(5, 7), 16),
];

/** Values that the scale ends at: all but the outermost few lie between. */
function endsOf(values: Float32Array): [number, number] {
  const sorted = values.slice().sort();
  const last = sorted.length - 1;
  return [sorted[Math.floor(BEYOND * last)] as number, sorted[Math.ceil((1 - BEYOND) * last)] as number];
}

const shareOf = (value: number, [low, high]: readonly [number, number]): number =>
  high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;

const columnOf = (data: Float32Array, width: number, at: number): Float32Array =>
  Float32Array.from({ length: data.length / width }, (_, i) => data[i * width + at] as number);

/**
 * Colours of all points.
 *
 * @param colour as in the state
 * @returns uint8 [n, 3]
 */
export function colourPoints(points: Points, colour: string): { rgb: Uint8Array; legend: Legend } {
  if (colour === "kind") {
    const names = points.about.kinds.map((name, i) => ({ name, colour: HUES[i % HUES.length] as string }));
    return {
      rgb: byNumber(
        points.kind,
        names.map((each) => each.colour),
      ),
      legend: { title: "Kind", entries: names },
    };
  }
  if (colour === "region") {
    const most = points.region.reduce((a, b) => Math.max(a, b), 0);
    const entries = Array.from({ length: most + 1 }, (_, i) => ({
      ...{ name: `Region ${i + 1}`, colour: HUES[i % HUES.length] as string },
    }));
    return { rgb: byNumber(points.region, HUES), legend: { title: "Region of the space", entries } };
  }
  if (colour === "label") return byLabel(points);
  if (colour.startsWith("v")) return byValue(points, Number(colour.slice(1)));
  return byAxes(points);
}

function byNumber(numbers: ArrayLike<number>, colours: readonly string[]): Uint8Array {
  const rgb = new Uint8Array(3 * numbers.length);
  const bytes = colours.map(bytesOf);
  for (let i = 0; i < numbers.length; i++)
    rgb.set(bytes[(numbers[i] as number) % bytes.length] as number[], 3 * i);
  return rgb;
}

/** The most frequent labels each have a hue; all others share one. */
function byLabel(points: Points): { rgb: Uint8Array; legend: Legend } {
  const counts = new Map<number, number>();
  for (const label of points.label) if (label >= 0) counts.set(label, (counts.get(label) ?? 0) + 1);
  const frequent = [...counts].sort((x, y) => y[1] - x[1] || x[0] - y[0]).slice(0, HUES.length);
  const rank = new Map(frequent.map(([label], i) => [label, i]));
  const entries = frequent.map(([label], i) => ({
    ...{ name: points.about.labels[label] as string, colour: HUES[i] as string },
  }));
  const numbers = Array.from(points.label, (label) => rank.get(label) ?? HUES.length);
  return {
    rgb: byNumber(numbers, [...HUES, NONE]),
    legend: { title: "Label", entries: [...entries, { name: "other or none", colour: NONE }] },
  };
}

function byValue(points: Points, at: number): { rgb: Uint8Array; legend: Legend } {
  const values = columnOf(points.vector, points.about.size, Math.min(at, points.about.size - 1));
  const ends = endsOf(values);
  const ramp = RAMP.map(bytesOf);
  const rgb = new Uint8Array(3 * points.n);
  for (let i = 0; i < points.n; i++) {
    const place = shareOf(values[i] as number, ends) * (ramp.length - 1);
    const below = Math.min(ramp.length - 2, Math.floor(place));
    for (let k = 0; k < 3; k++) {
      const [from, to] = [ramp[below]?.[k] as number, ramp[below + 1]?.[k] as number];
      rgb[3 * i + k] = from + (place - below) * (to - from);
    }
  }
  const [low, high] = ends.map((end) => end.toFixed(2)) as [string, string];
  return { rgb, legend: { title: `Number ${at + 1} of the vector`, entries: [], ramp: { low, high } } };
}

/** The first three principal axes as red, green and blue. */
function byAxes(points: Points): { rgb: Uint8Array; legend: Legend } {
  const rgb = new Uint8Array(3 * points.n);
  for (let axis = 0; axis < 3; axis++) {
    const scores = columnOf(points.pca, 3, axis);
    const ends = endsOf(scores);
    // Neither so dark nor so bright that a point is lost on its ground.
    for (let i = 0; i < points.n; i++) rgb[3 * i + axis] = 30 + 205 * shareOf(scores[i] as number, ends);
  }
  const shares = points.about.explained.map((share) => `${Math.round(100 * share)} %`);
  const entries = shares.map((share, i) => ({
    ...{ name: `Axis ${i + 1}: ${share} of the variance` },
    ...{ colour: ["#e5484d", "#30a46c", "#3b82f6"][i] as string },
  }));
  return { rgb, legend: { title: "Three principal axes as red, green, blue", entries } };
}
