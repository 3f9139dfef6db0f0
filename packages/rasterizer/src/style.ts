import type { Channel, LineDraw, PointDraw, PolygonDraw, Profile, Rule, Stroke } from "@loc2vec/gis";

/** Channels drawn at a time, as the red, green and blue of a picture. */
export const CHANNELS_PER_PASS = 3;

/** One thing that Mapnik draws: a rule's casing, its body or its outline. Features name it in their property `s`. */
export interface Paint {
  /** Number of it over all channels. */
  id: number;
  rule: Rule;
  part: "casing" | "body" | "outline";
}

/** All paints of a channel, in the order in which they are painted. */
export function paintsOf(profile: Profile): Paint[][] {
  let id = 0;
  return profile.channels.map((channel) =>
    channel.rules.flatMap((rule): Paint[] => {
      const paint = (part: Paint["part"]): Paint => ({ id: id++, rule, part });
      const cased = rule.geometry === "line" && rule.draw.casing !== undefined;
      const outlined = rule.geometry !== "line" && rule.draw.outline !== undefined;
      return [...(cased ? [paint("casing")] : []), paint("body"), ...(outlined ? [paint("outline")] : [])];
    }),
  );
}

/** What the widest thing reaches beyond its geometry, metres. */
export function reachOf(profile: Profile): number {
  const reach = (rule: Rule): number => {
    if (rule.geometry === "line") return Math.max(rule.draw.width, rule.draw.casing?.width ?? 0) / 2;
    return (rule.geometry === "point" ? rule.draw.radius : 0) + (rule.draw.outline?.width ?? 0) / 2;
  };
  return Math.max(0, ...profile.channels.flatMap((channel) => channel.rules.map(reach)));
}

/**
 * The Mapnik style of one pass: a style per channel, composited with `lighten` so that the channels, each in a colour of
 * its own, do not touch one another. Within a style Mapnik paints in the order of the features, so features come sorted
 * by paint. Geometry is turned by the variable `angle`, degrees clockwise, about the middle of the picture: the vectors
 * are turned, not the pixels.
 *
 * @param channels at most three
 * @param scale pixels per metre
 */
export function passXml(
  channels: readonly { channel: Channel; paints: readonly Paint[] }[],
  pixels: number,
  scale: number,
): string {
  const turn = `geometry-transform="rotate(@angle, ${pixels / 2}, ${pixels / 2})"`;
  const styles = channels.map(({ channel, paints }, at) => {
    const rules = paints.map(
      (paint) => `<Rule><Filter>[s] = ${paint.id}</Filter>${symbolizer(paint, at, scale, turn)}</Rule>`,
    );
    return `<Style name="${channel.name}" comp-op="lighten" filter-mode="first">${rules.join("")}</Style>`;
  });
  return `<Map srs="epsg:3857" background-color="rgb(0,0,0)">${styles.join("")}</Map>`;
}

function symbolizer({ rule, part }: Paint, at: number, scale: number, turn: string): string {
  const colour = (intensity: number): string => {
    const rgb = [0, 0, 0];
    rgb[at] = intensity;
    return `rgb(${rgb.join(",")})`;
  };
  const line = ({ width, intensity }: Stroke, more: string): string =>
    `<LineSymbolizer stroke="${colour(intensity)}" stroke-width="${width * scale}" stroke-linejoin="round" ${more} ${turn}/>`;
  if (rule.geometry === "line") {
    const { cap, dash, casing } = rule.draw as LineDraw;
    const dashes = dash ? ` stroke-dasharray="${dash.map((length) => length * scale).join(",")}"` : "";
    if (part === "casing" && casing) return line(casing, `stroke-linecap="${cap}"`);
    return line(rule.draw, `stroke-linecap="${cap}"${dashes}`);
  }
  const { intensity, outline } = rule.draw as PolygonDraw | PointDraw;
  if (part === "outline" && outline) return line(outline, "");
  return `<PolygonSymbolizer fill="${colour(intensity)}" ${turn}/>`;
}
