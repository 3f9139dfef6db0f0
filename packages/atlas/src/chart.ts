import { legend } from "./grid.ts";
import { FULL_WIDTH, type Svg, svg, words } from "./svg.ts";

/** A line of a chart. */
export interface Line {
  /** For the legend; without, the line is not in it. */
  name?: string;
  /** Of CSS; to be seen on light and on dark paper. */
  colour: string;
  /** Pixels. */
  width: number;
  dashed?: boolean;
  /** 0 to 1; default 1. */
  opacity?: number;
  /** [step, value], steps rising. */
  points: readonly (readonly [number, number])[];
}

export interface ChartOptions {
  title: string;
  /** What it shows, for those who cannot see it. */
  description: string;
  lines: readonly Line[];
  /** What the steps are. Default `step`. */
  x?: string;
  /** What the values are. */
  y?: string;
  /** Of the whole, CSS pixels. Default the page's. */
  width?: number;
  /** Highest value; default that of all lines. */
  highest?: number;
}

/** Colours of lines that are told from one another on light and dark paper, also by those who see fewer colours. */
export const LINE_COLOURS = ["#3a7fc8", "#d0692a", "#2f9a68", "#9a5bc4", "#b08a1e", "#7d8590"] as const;

const [HEIGHT, LEFT, BOTTOM, TOP] = [300, 56, 44, 26] as const;
/** Points of a line, at most: more cannot be told apart. */
const MOST_POINTS = 600;

/** Values from 0 by step. */
export function chart(options: ChartOptions): Svg {
  const { title, description, lines, x: xName = "step", y: yName, width = FULL_WIDTH } = options;
  const all = lines.flatMap(({ points }) => points);
  const most = all.reduce((highest, [, value]) => Math.max(highest, value), 0.01);
  const highest = options.highest ?? most * 1.05;
  const first = all.reduce((least, [step]) => Math.min(least, step), Number.POSITIVE_INFINITY);
  const last = all.reduce((greatest, [step]) => Math.max(greatest, step), Number.NEGATIVE_INFINITY);
  const x = (step: number): number =>
    LEFT + ((width - LEFT - 12) * (step - first)) / Math.max(1, last - first);
  const y = (value: number): number =>
    TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.min(value, highest) / highest);
  const named = lines.filter(({ name }) => name !== undefined);
  const keys = legend(
    named.map(({ name = "", colour, dashed = false }) => ({ name, colour, ...(dashed ? { dashed } : {}) })),
    { x: LEFT, y: HEIGHT, width: width - LEFT },
    { tone: "soft" },
  );
  const elements = [
    ...(yName === undefined ? [] : [words(yName, 0, 14, { bold: true })]),
    ...gridOf(highest, y, width),
    ...ticksOf(first, last).map((step) =>
      words(step.toLocaleString("en"), x(step), HEIGHT - BOTTOM + 18, { anchor: "middle", tone: "soft" }),
    ),
    words(xName, width - 12, HEIGHT - 10, { anchor: "end", tone: "soft" }),
    ...lines.map((line) => drawLine(line, x, y)),
    ...keys.elements,
  ];
  return svg({ title, description, width, height: HEIGHT + keys.height + 4 }, elements);
}

function gridOf(highest: number, y: (value: number) => number, width: number): string[] {
  return Array.from({ length: 5 }, (_, i) => (highest * i) / 4).flatMap((tick) => [
    `<line class="line" x1="${LEFT}" x2="${width - 12}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}"/>`,
    words(tick.toFixed(highest < 1.5 ? 2 : 1), LEFT - 8, y(tick) + 4, { anchor: "end", tone: "soft" }),
  ]);
}

/** Six whole steps at most. */
function ticksOf(first: number, last: number): number[] {
  if (!Number.isFinite(first)) return [];
  return [...new Set(Array.from({ length: 6 }, (_, i) => Math.round(first + ((last - first) * i) / 5)))];
}

function drawLine(
  { colour, width, dashed = false, opacity = 1, points }: Line,
  x: (step: number) => number,
  y: (value: number) => number,
): string {
  const places = thin(points).map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`);
  const look = `${dashed ? ' stroke-dasharray="5 3"' : ""}${opacity === 1 ? "" : ` opacity="${opacity}"`}`;
  return `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="${width}"${look} stroke-linejoin="round"/>`;
}

/** Means of as many neighbouring points as leave {@link MOST_POINTS} of them. */
function thin(points: Line["points"]): Line["points"] {
  const each = Math.ceil(points.length / MOST_POINTS);
  if (each <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / each) }, (_, i) => {
    const part = points.slice(i * each, (i + 1) * each);
    const middle = (k: 0 | 1): number => part.reduce((sum, point) => sum + point[k], 0) / part.length;
    return [middle(0), middle(1)] as const;
  });
}
