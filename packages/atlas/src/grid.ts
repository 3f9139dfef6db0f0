import type { Picture } from "./picture.ts";
import {
  border,
  FULL_WIDTH,
  image,
  LINE_HEIGHT,
  paragraph,
  rasterOf,
  type Svg,
  svg,
  type WordsOptions,
  words,
  wrap,
} from "./svg.ts";

/** A tile in a grid. */
export interface Cell {
  picture: Picture;
  /** What it shows, for those who cannot see it. */
  alt: string;
  /** Below it; each line is wrapped to the tile's width. */
  below?: readonly string[];
  /** Colour of a frame around it, of CSS. */
  frame?: string;
  /** Colour of a small square before what stands below it, of CSS. */
  key?: string;
  /** Words across it, as on a tile without anything. */
  over?: string;
  /** How its pixels are kept: `palette` for one of few colours. Default `webp`. */
  as?: "palette" | "webp";
  /** Of WebP: quality is lowered until it has no more bytes than this. */
  most?: number;
}

export interface Row {
  /** Above it. */
  heading?: string;
  /** Some places may be empty. */
  cells: readonly (Cell | undefined)[];
}

export interface GridOptions {
  title: string;
  description: string;
  rows: readonly Row[];
  /** Above the columns. */
  columns?: readonly string[];
  /** Side of a tile, CSS pixels; smaller where the columns would be wider than the page. Default 128. */
  side?: number;
  /** Between tiles. Default 10. */
  gap?: number;
}

const HEADING = 24;

/** Tiles in rows and columns, with words about each: a strip is a grid of one row. */
export async function tileGrid(options: GridOptions): Promise<Svg> {
  const { title, description, rows, columns, gap = 10 } = options;
  const most = Math.max(1, columns?.length ?? 0, ...rows.map(({ cells }) => cells.length));
  const side = Math.min(options.side ?? 128, Math.floor((FULL_WIDTH - (most - 1) * gap) / most));
  const width = most * side + (most - 1) * gap;
  const elements: string[] = [];
  const x = (column: number): number => column * (side + gap);
  let y = 0;
  if (columns !== undefined) {
    const lines = columns.map((text) => wrap(text, side));
    for (const [i, heading] of lines.entries())
      elements.push(...paragraph(heading, x(i), LINE_HEIGHT - 3, { bold: true }));
    y = LINE_HEIGHT * Math.max(...lines.map(({ length }) => length)) + 4;
  }
  for (const { heading, cells } of rows) {
    if (heading !== undefined) {
      const lines = wrap(heading, Math.max(width, 300));
      elements.push(...paragraph(lines, 0, y + HEADING - 8, { bold: true }));
      y += HEADING + (lines.length - 1) * LINE_HEIGHT;
    }
    const drawn = await Promise.all(cells.map((cell, column) => cell && drawCell(cell, x(column), y, side)));
    for (const each of drawn) elements.push(...(each?.elements ?? []));
    y += side + Math.max(0, ...drawn.map((each) => each?.lines ?? 0)) * LINE_HEIGHT + gap;
  }
  const headings = rows.some(({ heading }) => heading !== undefined);
  const wide = headings ? Math.min(FULL_WIDTH, Math.max(width, 300)) : width;
  return svg({ title, description, width: wide, height: y - gap + 6 }, elements);
}

async function drawCell(
  { picture, alt, below = [], frame, key, over, as = "webp", most }: Cell,
  x: number,
  y: number,
  side: number,
): Promise<{ elements: string[]; lines: number }> {
  const square = { x, y, width: side, height: side };
  const lines = below.flatMap((line) => wrap(line, side + 6));
  const raster = await rasterOf(picture, { as, ...(most === undefined ? {} : { most }) });
  // A frame lies within the tile's edge, so that it is not cut off where the tile is at the picture's.
  const inner = { x: x + 1, y: y + 1, width: side - 2, height: side - 2 };
  const elements = [
    image(raster, square, alt, picture.width * 2 <= side),
    ...(frame === undefined ? [] : [border(inner, frame, 3)]),
    ...(key === undefined ? [] : [swatch(key, x, y + side + 3)]),
    ...(over === undefined ? [] : [lightWords(over, x + side / 2, y + side / 2 + 5)]),
    ...lines.map((line, i) =>
      words(line, x + (key !== undefined && i === 0 ? 20 : 0), y + side + LINE_HEIGHT * (i + 1) - 2, {
        tone: "soft",
      }),
    ),
  ];
  return { elements, lines: lines.length };
}

/** A small square of a colour. */
function swatch(colour: string, x: number, y: number): string {
  return `<rect class="line" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="14" height="14" rx="2" style="fill:${colour}"/>`;
}

/** Words in the middle of a dark picture. */
function lightWords(text: string, x: number, y: number): string {
  return words(text, x, y, { anchor: "middle" }).replace('class="ink"', 'fill="#e8e6e1"');
}

/** A line of a legend. */
export interface Key {
  /** Of CSS. */
  colour: string;
  name: string;
  /** Of a dashed line. */
  dashed?: boolean;
}

/** Colours and their names in as many columns as fit. @returns its elements, and how high they are */
export function legend(
  keys: readonly Key[],
  { x, y, width }: { x: number; y: number; width: number },
  options: WordsOptions = {},
): { elements: string[]; height: number } {
  const longest = Math.max(1, ...keys.map(({ name }) => name.length));
  const columns = Math.max(1, Math.min(keys.length, Math.floor(width / (longest * 7.2 + 34))));
  const rows = Math.ceil(keys.length / columns);
  const elements = keys.flatMap(({ colour, name, dashed = false }, i) => {
    const left = x + Math.floor(i / rows) * (width / columns);
    const top = y + (i % rows) * (LINE_HEIGHT + 4);
    const mark = dashed
      ? `<path d="M${left.toFixed(1)} ${top + 9}h15" stroke="${colour}" stroke-width="3" stroke-dasharray="6 3"/>`
      : swatch(colour, left, top + 2);
    return [mark, words(name, left + 21, top + 14, options)];
  });
  return { elements, height: rows * (LINE_HEIGHT + 4) };
}
