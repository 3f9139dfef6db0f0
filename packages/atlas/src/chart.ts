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
  /** Highest value to be shown; default that of all lines. */
  highest?: number;
}

/** Colours of lines that are told from one another on light and dark paper, also by those who see fewer colours. */
export const LINE_COLOURS = ["#3a7fc8", "#d0692a", "#2f9a68", "#9a5bc4", "#b08a1e", "#7d8590"] as const;

const [HEIGHT, LEFT, RIGHT, BOTTOM, TOP] = [300, 56, 28, 48, 28] as const;
/** Points of a line, at most: more cannot be told apart. */
const MOST_POINTS = 600;

/** Values from 0 by step from 0. */
export function chart(options: ChartOptions): Svg {
  const { title, description, lines, x: xName = "step", y: yName, width = FULL_WIDTH } = options;
  const all = lines.flatMap(({ points }) => points);
  const mostOf = (k: 0 | 1, least: number): number =>
    all.reduce((most, point) => Math.max(most, point[k]), least);
  const across = ticksOf(mostOf(0, 1), Math.floor(width / 110));
  const up = ticksOf(options.highest ?? mostOf(1, 0.01), 5);
  const [last, highest] = [across.at(-1) as number, up.at(-1) as number];
  const x = (step: number): number => LEFT + ((width - LEFT - RIGHT) * step) / last;
  const y = (value: number): number =>
    TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.min(value, highest) / highest);
  const named = lines.filter(({ name }) => name !== undefined);
  const keys = legend(
    named.map(({ name = "", colour, dashed = false }) => ({ name, colour, dashed })),
    { x: LEFT, y: HEIGHT, width: width - LEFT },
    { tone: "soft" },
  );
  const elements = [
    ...(yName === undefined ? [] : [words(yName, 0, 14, { bold: true })]),
    ...up.flatMap((tick) => [
      `<line class="line" x1="${LEFT}" x2="${width - RIGHT}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}"/>`,
      words(tick.toLocaleString("en"), LEFT - 8, y(tick) + 4, { anchor: "end", tone: "soft" }),
    ]),
    ...across.map((tick) =>
      words(tick.toLocaleString("en"), x(tick), HEIGHT - BOTTOM + 18, { anchor: "middle", tone: "soft" }),
    ),
    words(xName, (LEFT + width - RIGHT) / 2, HEIGHT - 9, { anchor: "middle", tone: "soft" }),
    ...lines.map((line) => drawLine(line, x, y)),
    ...keys.elements,
  ];
  return svg({ title, description, width, height: HEIGHT + keys.height + 4 }, elements);
}

/** Round numbers from 0 to what holds `most`, about `count` of them. */
function ticksOf(most: number, count: number): number[] {
  const rough = most / Math.max(1, count - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) as number);
  // Rounded, as 3 · 0.1 is not 0.3.
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) =>
    Number((i * step).toPrecision(12)),
  );
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
