import type { LineDraw, PointDraw, PolygonDraw, Profile, Rule, Stroke } from "@loc2vec/gis";

/** Channels drawn at a time, as the red, green and blue of a picture. */
export const CHANNELS_PER_PASS = 3;

/** One coat of paint: a rule's casing, its body or its outline. */
export interface Coat {
  /** Number of it over all channels; features name the coat that they get in their property `s`. */
  id: number;
  rule: Rule;
  part: "casing" | "body" | "outline";
}

/** The coats of each channel in the order of painting, so that a casing lies under, and an outline over, all bodies of its rule. */
export function coatsOf(profile: Profile): Coat[][] {
  let id = 0;
  return profile.channels.map((channel) =>
    channel.rules.flatMap((rule): Coat[] => {
      const coat = (part: Coat["part"]): Coat => ({ id: id++, rule, part });
      const cased = rule.geometry === "line" && rule.draw.casing !== undefined;
      const outlined = rule.geometry !== "line" && rule.draw.outline !== undefined;
      return [...(cased ? [coat("casing")] : []), coat("body"), ...(outlined ? [coat("outline")] : [])];
    }),
  );
}

/** How far the widest paint reaches beyond its geometry, metres. */
export function reachOf(profile: Profile): number {
  const reach = (rule: Rule): number => {
    if (rule.geometry === "line") return Math.max(rule.draw.width, rule.draw.casing?.width ?? 0) / 2;
    return (rule.geometry === "point" ? rule.draw.radius : 0) + (rule.draw.outline?.width ?? 0) / 2;
  };
  return Math.max(0, ...profile.channels.flatMap((channel) => channel.rules.map(reach)));
}

/** Whether a feature of the coat is a point, drawn as a line of no length with round ends: a disc that turns with the map. */
export function isDot({ rule }: Coat): boolean {
  return rule.geometry === "point" && rule.draw.outline === undefined;
}

/** Brightness of a coat, 0–255. */
function intensityOf({ rule, part }: Coat): number {
  if (part === "casing" && rule.geometry === "line") return rule.draw.casing?.intensity ?? 0;
  if (part === "outline" && rule.geometry !== "line") return rule.draw.outline?.intensity ?? 0;
  return rule.draw.intensity;
}

/**
 * The Mapnik style of one pass: a style per channel, composited with `lighten`, so that the channels, each in a primary
 * colour of its own, do not touch one another. Within a style Mapnik paints in the order of the features, which come
 * sorted by coat. Where no coat is darker than one before it, to lighten is to paint over, so each coat goes straight onto
 * the picture; else the channel gets a picture of its own first, which takes several times as long. Geometry is turned by the variable `angle`, degrees clockwise, about the middle of the picture: the
 * vectors are turned, not the pixels.
 *
 * @param channels at most three
 * @param pixels side of the picture, about whose middle geometry is turned
 * @param scale pixels per metre
 */
export function styleXml(
  channels: readonly { name: string; coats: readonly Coat[] }[],
  pixels: number,
  scale: number,
): string {
  const turn = `geometry-transform="rotate(@angle, ${pixels / 2}, ${pixels / 2})"`;
  const styles = channels.map(({ name, coats }, at) => {
    const brightening = coats.every(
      (coat, i) => i === 0 || intensityOf(coat) >= intensityOf(coats[i - 1] as Coat),
    );
    const lighten = `comp-op="lighten"`;
    const options = brightening ? `${turn} ${lighten}` : turn;
    const rules = coats.map(
      (coat) => `<Rule><Filter>[s] = ${coat.id}</Filter>${symbolizer(coat, at, scale, options)}</Rule>`,
    );
    return `<Style name="${name}" ${brightening ? "" : lighten} filter-mode="first">${rules.join("")}</Style>`;
  });
  return `<Map srs="epsg:3857" background-color="rgb(0,0,0)">${styles.join("")}</Map>`;
}

function symbolizer(coat: Coat, at: number, scale: number, options: string): string {
  const { rule, part } = coat;
  const colour = (intensity: number): string => {
    const rgb = [0, 0, 0];
    rgb[at] = intensity;
    return `rgb(${rgb.join(",")})`;
  };
  const line = ({ width, intensity }: Stroke, more: string): string =>
    `<LineSymbolizer stroke="${colour(intensity)}" stroke-width="${width * scale}" stroke-linejoin="round" ${more} ${options}/>`;
  if (rule.geometry === "line") {
    const { cap, dash, casing }: LineDraw = rule.draw;
    const dashes = dash ? ` stroke-dasharray="${dash.map((length) => length * scale).join(",")}"` : "";
    if (part === "casing" && casing) return line(casing, `stroke-linecap="${cap}"`);
    return line(rule.draw, `stroke-linecap="${cap}"${dashes}`);
  }
  if (rule.geometry === "point" && isDot(coat)) {
    return line({ width: 2 * rule.draw.radius, intensity: rule.draw.intensity }, `stroke-linecap="round"`);
  }
  const { intensity, outline }: PolygonDraw | PointDraw = rule.draw;
  if (part === "outline" && outline) return line(outline, "");
  return `<PolygonSymbolizer fill="${colour(intensity)}" ${options}/>`;
}
