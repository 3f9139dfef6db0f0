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

/**
 * The Mapnik style of one pass: a style per channel, composited with `lighten`, so that the channels, each in a primary
 * colour of its own, do not touch one another. Within a style Mapnik paints in the order of the features, which come
 * sorted by coat. Geometry is turned by the variable `angle`, degrees clockwise, about the middle of the picture: the
 * vectors are turned, not the pixels.
 *
 * @param channels at most three
 * @param pixels side of the picture
 * @param scale pixels per metre
 */
export function styleXml(
  channels: readonly { name: string; coats: readonly Coat[] }[],
  pixels: number,
  scale: number,
): string {
  const turn = `geometry-transform="rotate(@angle, ${pixels / 2}, ${pixels / 2})"`;
  const styles = channels.map(({ name, coats }, at) => {
    const rules = coats.map(
      (coat) => `<Rule><Filter>[s] = ${coat.id}</Filter>${symbolizer(coat, at, scale, turn)}</Rule>`,
    );
    return `<Style name="${name}" comp-op="lighten" filter-mode="first">${rules.join("")}</Style>`;
  });
  return `<Map srs="epsg:3857" background-color="rgb(0,0,0)">${styles.join("")}</Map>`;
}

function symbolizer({ rule, part }: Coat, at: number, scale: number, turn: string): string {
  const colour = (intensity: number): string => {
    const rgb = [0, 0, 0];
    rgb[at] = intensity;
    return `rgb(${rgb.join(",")})`;
  };
  const line = ({ width, intensity }: Stroke, more: string): string =>
    `<LineSymbolizer stroke="${colour(intensity)}" stroke-width="${width * scale}" stroke-linejoin="round" ${more} ${turn}/>`;
  if (rule.geometry === "line") {
    const { cap, dash, casing }: LineDraw = rule.draw;
    const dashes = dash ? ` stroke-dasharray="${dash.map((length) => length * scale).join(",")}"` : "";
    if (part === "casing" && casing) return line(casing, `stroke-linecap="${cap}"`);
    return line(rule.draw, `stroke-linecap="${cap}"${dashes}`);
  }
  const { intensity, outline }: PolygonDraw | PointDraw = rule.draw;
  if (part === "outline" && outline) return line(outline, "");
  return `<PolygonSymbolizer fill="${colour(intensity)}" ${turn}/>`;
}
