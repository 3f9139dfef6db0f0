import { FarmError } from "@loc2vec/core";
import sharp, { type Sharp } from "sharp";
import { escapeHtml } from "./page.ts";
import type { Picture } from "./picture.ts";

/** A picture with words: an SVG that needs nothing else. All lengths are CSS pixels, which is how large a person sees it. */
export interface Svg {
  title: string;
  /** What it shows, for those who cannot see it. */
  description: string;
  width: number;
  height: number;
  /** The file's text. */
  text: string;
}

/** A picture made of pixels, within an SVG. */
export interface Raster {
  /** A data URI. */
  href: string;
  width: number;
  height: number;
}

/** The page is so wide: no SVG is wider. */
export const FULL_WIDTH = 1100;
/** Type of words, and the smallest that there may be. */
export const [TYPE, SMALLEST_TYPE] = [13, 12] as const;
/** Height of a line of words of {@link TYPE}. */
export const LINE_HEIGHT = 17;

/** Classes of what is drawn: `ink` and `soft` for words, `line` for strokes, `pane` for a ground; each light and dark. */
const STYLE = `text{font-family:system-ui,sans-serif;font-size:${TYPE}px}
.ink{fill:#1d2330}.soft{fill:#5c6675}.line{stroke:#c9c5bb;fill:none}.rule{stroke:#1d2330;fill:none}.pane{fill:#efece6}
@media(prefers-color-scheme:dark){.ink{fill:#e8e6e1}.soft{fill:#a2a9b4}.line{stroke:#434853}.rule{stroke:#e8e6e1}.pane{fill:#22252c}}`;

/** Puts elements together. */
export function svg(
  { title, description, width, height }: Omit<Svg, "text">,
  elements: readonly string[],
): Svg {
  const [wide, high] = [Math.ceil(width), Math.ceil(height)];
  const text = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${wide} ${high}" width="${wide}" height="${high}" role="img" aria-labelledby="title desc">
<title id="title">${escapeHtml(title)}</title><desc id="desc">${escapeHtml(description)}</desc>
<style>${STYLE}</style>
${elements.join("\n")}
</svg>
`;
  return { title, description, width: wide, height: high, text };
}

export interface WordsOptions {
  /** Default {@link TYPE}; at least {@link SMALLEST_TYPE}. */
  size?: number;
  anchor?: "start" | "middle" | "end";
  /** Default `ink`. */
  tone?: "ink" | "soft";
  bold?: boolean;
}

/** A line of words. @param y its baseline */
export function words(text: string, x: number, y: number, options: WordsOptions = {}): string {
  const { size = TYPE, anchor = "start", tone = "ink", bold = false } = options;
  if (size < SMALLEST_TYPE)
    throw new FarmError(
      "internal",
      `words of ${size} px in a picture: ${text}`,
      `${SMALLEST_TYPE} px or more`,
    );
  const look = [
    size === TYPE ? "" : ` style="font-size:${size}px"`,
    anchor === "start" ? "" : ` text-anchor="${anchor}"`,
    bold ? ' font-weight="600"' : "",
  ].join("");
  return `<text class="${tone}" x="${short(x)}" y="${short(y)}"${look}>${escapeHtml(text)}</text>`;
}

/** Lines of words that are no wider than `width`, by a mean width of letters. */
export function wrap(text: string, width: number, size: number = TYPE): string[] {
  const most = Math.max(4, Math.floor(width / (0.54 * size)));
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Some lines below one another. @param y baseline of the first */
export function paragraph(
  lines: readonly string[],
  x: number,
  y: number,
  options: WordsOptions = {},
): string[] {
  return lines.map((line, i) => words(line, x, y + i * LINE_HEIGHT, options));
}

/** A raster where it is put. @param alt what it shows */
export function image(
  { href }: Raster,
  { x, y, width, height }: Frame,
  alt: string,
  crisp: boolean = false,
): string {
  const said = escapeHtml(alt);
  return `<image x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}" preserveAspectRatio="none" href="${href}" role="img" aria-label="${said}"${crisp ? ' style="image-rendering:pixelated"' : ""}><title>${said}</title></image>`;
}

export interface Frame {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A rectangle's border. @param colour of CSS; default that of `line` */
export function border({ x, y, width, height }: Frame, colour?: string, stroke: number = 1): string {
  const look = colour === undefined ? 'class="line"' : `fill="none" stroke="${colour}"`;
  return `<rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}" ${look} stroke-width="${stroke}"/>`;
}

export interface RasterOptions {
  /**
   * `palette`: PNG of at most 256 colours, for few flat ones; `webp`: lossy, for pictures of many; `lossless`: PNG as it is.
   * Default `palette`.
   */
  as?: "palette" | "webp" | "lossless";
  /** Of WebP, 1 to 100. Default 78. */
  quality?: number;
  /** Of WebP: quality is lowered, though not below 30, until it has no more bytes than this. */
  most?: number;
  /** Made to be of this many pixels, averaged. Default: as it is. */
  width?: number;
}

/** A picture as a data URI. */
export async function rasterOf(picture: Picture, options: RasterOptions = {}): Promise<Raster> {
  const { as = "palette", quality = 78, width = picture.width, most = Number.POSITIVE_INFINITY } = options;
  const height = Math.max(1, Math.round((picture.height * width) / picture.width));
  const raw = sharp(picture.data, {
    raw: { width: picture.width, height: picture.height, channels: 3 },
  });
  const sized = width === picture.width ? raw : raw.resize(width, height, { fit: "fill" });
  const [type, bytes] =
    as === "webp"
      ? ["webp", await webpOf(sized, quality, most)]
      : ["png", await sized.png({ compressionLevel: 9, effort: 8, palette: as === "palette" }).toBuffer()];
  return { href: `data:image/${type};base64,${bytes.toString("base64")}`, width, height };
}

async function webpOf(picture: Sharp, quality: number, most: number): Promise<Buffer> {
  const bytes = await picture.clone().webp({ quality, effort: 5 }).toBuffer();
  return bytes.length <= most || quality < 40 ? bytes : webpOf(picture, quality - 10, most);
}

/** `#rrggbb`. */
export function hex(colour: ArrayLike<number>): string {
  return `#${Array.from(colour, (value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** A number with at most one decimal. */
function short(value: number): string {
  return String(Math.round(10 * value) / 10);
}
