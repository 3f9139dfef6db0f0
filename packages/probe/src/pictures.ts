import { LINE_COLOURS, type Svg, svg, words } from "@loc2vec/atlas";
import { METRES_PER_DEGREE, type Place } from "@loc2vec/core";
import type { Interval } from "./intervals.ts";
import type { Judged, Judgement, Point } from "./judge.ts";
import type { Targets } from "./targets.ts";

const WIDTH = 900;
const [OURS, RIVAL] = [LINE_COLOURS[0], LINE_COLOURS[5]];
/** Points that are drawn of a map of errors, at most. */
const MOST_POINTS = 4000;

/** The score that is compared first. */
export const headName = ({ classes }: Targets): "r2" | "balanced_accuracy" =>
  classes === undefined ? "r2" : "balanced_accuracy";
export const SCORE_WORDS: Readonly<Record<string, string>> = {
  ...{ r2: "R²", mean_absolute_error: "mean error", balanced_accuracy: "balanced accuracy" },
  ...{ macro_f1: "macro-F1", accuracy: "accuracy" },
};

/** A line of all that were compared: name, and in the second column whether the vectors stand beside it. */
export const nameOf = ({ name, role }: Pick<Judged, "name" | "role">): string =>
  role === "beside" ? `${name} + ours` : name;

/** Score with the most labels. */
export const lastOf = ({ curve }: Judged, score: string): Interval =>
  (curve.at(-1) as Point).scores[score] as Interval;

/** All that were compared, with the most labels: the mean, and the interval that holds it. */
export function ranking({ results }: Judgement, targets: Targets): Svg {
  const score = headName(targets);
  const [left, right, top, step] = [250, 90, 34, 24];
  const shown = results.map((result) => lastOf(result, score));
  // An interval far below 0 says no more than that nothing was learned.
  const low = Math.max(-0.2, Math.min(0, ...shown.map((one) => one.low)));
  const high = Math.min(1, Math.max(0.1, ...shown.map((one) => one.high)));
  const x = (value: number): number =>
    left + ((Math.min(high, Math.max(low, value)) - low) / (high - low)) * (WIDTH - left - right);
  const bottom = top + step * results.length;
  const elements = [
    words(`${SCORE_WORDS[score]}, ${results[0]?.curve.at(-1)?.labels} labels`, left, 14, { bold: true }),
    ...ticks(low, high).flatMap((tick) => [
      `<line class="line" x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="${top - 8}" y2="${bottom}"/>`,
      words(shortened(tick), x(tick), bottom + 18, { anchor: "middle", tone: "soft" }),
    ]),
    ...results.flatMap((result, row) => {
      const [one, y] = [shown[row] as Interval, top + step * (row + 0.5)];
      const isOurs = result.role === "model" || result.role === "beside";
      const colour = isOurs ? OURS : RIVAL;
      return [
        words(nameOf(result), left - 12, y + 4, { anchor: "end", bold: result.role === "model" }),
        `<line x1="${x(one.low).toFixed(1)}" x2="${x(one.high).toFixed(1)}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="3" opacity="0.45"/>`,
        `<circle cx="${x(one.mean).toFixed(1)}" cy="${y}" r="5" fill="${colour}"/>`,
        words(shortened(one.mean, 3), WIDTH - right + 16, y + 4, { tone: "soft" }),
      ];
    }),
  ];
  return svg(
    {
      title: "Who tells it how well",
      description: `${SCORE_WORDS[score]} of each representation with its 95 % interval.`,
      ...{ width: WIDTH, height: bottom + 30 },
    },
    elements,
  );
}

/** The score by the number of labels, on a logarithmic scale: the vectors, and rivals alone. */
export function curves({ results }: Judgement, targets: Targets): Svg {
  const score = headName(targets);
  const lines = results.filter(({ role }) => role !== "beside");
  const [left, right, top, height] = [60, 250, 30, 340];
  const counts = (results[0] as Judged).curve.map(({ labels }) => labels);
  const all = lines.flatMap(({ curve }) => curve.map(({ scores }) => (scores[score] as Interval).mean));
  const [low, high] = [Math.max(-0.2, Math.min(0, ...all)), Math.min(1, Math.max(0.05, ...all) * 1.1)];
  const [first, last] = [Math.log(counts[0] as number), Math.log(counts.at(-1) as number)];
  const x = (count: number): number =>
    left + ((Math.log(count) - first) / Math.max(1e-9, last - first)) * (WIDTH - left - right);
  const y = (value: number): number =>
    top + (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low)) * (height - top - 50);
  // Names stand beside the ends of lines, pushed apart.
  const ends = lines
    .map((line, at) => ({ line, at, y: y(lastOf(line, score).mean) }))
    .sort((a, b) => a.y - b.y);
  for (const [i, end] of ends.entries())
    if (i > 0) end.y = Math.max(end.y, (ends[i - 1] as typeof end).y + 18);
  const colourOf = (at: number): string => LINE_COLOURS[at % LINE_COLOURS.length] as string;
  const lookOf = (at: number): string => (at >= LINE_COLOURS.length ? ' stroke-dasharray="5 3"' : "");
  const elements = [
    words(SCORE_WORDS[score] as string, 0, 14, { bold: true }),
    ...ticks(low, high).flatMap((tick) => [
      `<line class="line" x1="${left}" x2="${WIDTH - right}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}"/>`,
      words(shortened(tick), left - 8, y(tick) + 4, { anchor: "end", tone: "soft" }),
    ]),
    ...counts.map((count) =>
      words(count.toLocaleString("en"), x(count), height - 28, { anchor: "middle", tone: "soft" }),
    ),
    words("labels that were learned from", (left + WIDTH - right) / 2, height - 6, {
      anchor: "middle",
      tone: "soft",
    }),
    ...lines.map(({ curve, role }, at) => {
      const points = curve.map(
        ({ labels, scores }) => `${x(labels).toFixed(1)},${y((scores[score] as Interval).mean).toFixed(1)}`,
      );
      return `<polyline points="${points.join(" ")}" fill="none" stroke="${colourOf(at)}" stroke-width="${role === "model" ? 4 : 2}"${lookOf(at)} stroke-linejoin="round"/>`;
    }),
    ...ends.flatMap(({ line, at, y: beside }) => [
      `<line x1="${WIDTH - right + 8}" x2="${WIDTH - right + 26}" y1="${beside.toFixed(1)}" y2="${beside.toFixed(1)}" stroke="${colourOf(at)}" stroke-width="${line.role === "model" ? 4 : 2}"${lookOf(at)}/>`,
      words(line.name, WIDTH - right + 32, beside + 4, { bold: line.role === "model" }),
    ]),
  ];
  const bottom = Math.max(height, (ends.at(-1)?.y ?? 0) + 10);
  return svg(
    {
      title: "How many labels it takes",
      description: `${SCORE_WORDS[score]} by the number of labels, of ours and of each rival.`,
      ...{ width: WIDTH, height: bottom },
    },
    elements,
  );
}

/** Where what was said of a place is wrong: classes right or wrong; numbers by how much too low or too high. */
export function errorMap(places: readonly Place[], targets: Targets, told: Float64Array): Svg {
  const [margin, foot] = [12, 40];
  const lons = places.map(({ lon }) => lon);
  const lats = places.map(({ lat }) => lat);
  const [west, east] = [minimum(lons), maximum(lons)];
  const [south, north] = [minimum(lats), maximum(lats)];
  const cos = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const [wide, high] = [
    Math.max(1e-6, (east - west) * cos * METRES_PER_DEGREE),
    Math.max(1e-6, (north - south) * METRES_PER_DEGREE),
  ];
  const scale = Math.min((WIDTH - 2 * margin) / wide, 640 / high);
  const errors = Array.from(told, (value, row) => value - (targets.values[row] as number));
  const sizes = errors.map(Math.abs).sort((a, b) => a - b);
  const large = Math.max(1e-9, sizes[Math.floor(0.8 * (sizes.length - 1))] ?? 1);
  const every = Math.ceil(places.length / MOST_POINTS);
  const dots = places.flatMap(({ lon, lat }, row) => {
    if (row % every !== 0) return [];
    const colour =
      targets.classes === undefined
        ? shade((errors[row] as number) / large)
        : errors[row] === 0
          ? LINE_COLOURS[0]
          : LINE_COLOURS[1];
    const x = margin + (lon - west) * cos * METRES_PER_DEGREE * scale;
    const y = margin + (north - lat) * METRES_PER_DEGREE * scale;
    return [`<circle cx="${x.toFixed(0)}" cy="${y.toFixed(0)}" r="2.5" fill="${colour}"/>`];
  });
  const bottom = 2 * margin + high * scale;
  const keys: readonly (readonly [string, string])[] =
    targets.classes === undefined
      ? [
          [shade(-1), `too low by ${shortened(large, 2)} or more`],
          [shade(0), "near"],
          [shade(1), `too high by ${shortened(large, 2)} or more`],
        ]
      : [
          [LINE_COLOURS[0], "right"],
          [LINE_COLOURS[1], "wrong"],
        ];
  const legend = keys.flatMap(([colour, text], at) => [
    `<circle cx="${margin + 6 + at * 240}" cy="${bottom + 14}" r="5" fill="${colour}"/>`,
    words(text, margin + 18 + at * 240, bottom + 18, { tone: "soft" }),
  ]);
  return svg(
    {
      title: "Where it errs",
      description: "Each labelled place, coloured by whether it was told right from other ground.",
      ...{ width: WIDTH, height: bottom + foot },
    },
    [...dots, ...legend],
  );
}

const minimum = (values: readonly number[]): number =>
  values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
const maximum = (values: readonly number[]): number =>
  values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

/** Blue for −1, grey for 0, orange for 1. */
function shade(share: number): string {
  const s = Math.max(-1, Math.min(1, share));
  const [grey, end] = [[168, 166, 160], s < 0 ? [42, 104, 190] : [208, 90, 30]] as const;
  const mixed = grey.map((value, k) => Math.round(value + Math.abs(s) * ((end[k] as number) - value)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** Round numbers between two ends. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) as number);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** What rounds to 0 has no sign. */
function shortened(value: number, digits: number = 2): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}
