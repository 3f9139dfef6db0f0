import { composeRgb, encodePng } from "@loc2vec/atlas";
import { METRES_PER_DEGREE, type Place, TILE_RADIUS_M } from "@loc2vec/core";
import type { NearVenue, Profile } from "@loc2vec/gis";
import type { Ranked } from "@loc2vec/venues";

/** Side of a panel, and of the strip of words below it, CSS pixels. */
const [SIDE, GAP, FOOT] = [420, 20, 92] as const;
/** Venues that are named below a panel. */
const NAMED = 3;

interface Drawn {
  fix: Place & { sigmaM: number };
  ranked: readonly Ranked<NearVenue>[];
  /** The fix's anchor, planar uint8 [channel, y, x]. */
  tile: Uint8Array;
  profile: Profile;
}

/**
 * A fix and the venues around it, on the map as the model's tiles have it: by distance alone, and with the prior. A disc's area is
 * the venue's probability, the ring is one standard deviation of the fix.
 *
 * @returns an SVG, 200 m wide on the ground each panel, north on top
 */
export async function drawVenues({ fix, ranked, tile, profile }: Drawn): Promise<string> {
  const png = await encodePng(composeRgb(tile, profile), 3);
  const href = `data:image/png;base64,${png.toString("base64")}`;
  const scale = SIDE / (2 * TILE_RADIUS_M);
  const xy = ({ lon, lat }: Place): [number, number] => [
    SIDE / 2 + (lon - fix.lon) * METRES_PER_DEGREE * Math.cos((fix.lat * Math.PI) / 180) * scale,
    SIDE / 2 - (lat - fix.lat) * METRES_PER_DEGREE * scale,
  ];
  const panel = (title: string, probability: (venue: Ranked<NearVenue>) => number, left: number): string => {
    const order = [...ranked].sort((a, b) => probability(b) - probability(a));
    const discs = order.map((venue) => {
      const [x, y] = xy(venue);
      const radius = Math.max(1.5, 46 * Math.sqrt(probability(venue)));
      return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius.toFixed(1)}"/>`;
    });
    const words = order
      .slice(0, NAMED)
      .map(
        (venue, i) =>
          `<text x="0" y="${SIDE + 42 + 18 * i}">${(100 * probability(venue)).toFixed(0)} % ${escapeXml(venue.class)}${venue.name === undefined ? "" : ` ${escapeXml(venue.name.slice(0, 36))}`}, ${venue.metres.toFixed(0)} m</text>`,
      );
    return `<g transform="translate(${left} 10)"><svg width="${SIDE}" height="${SIDE}"><image href="${href}" width="${SIDE}" height="${SIDE}"/>
<g fill="#1a4fd6" fill-opacity=".45" stroke="#fff">${discs.join("")}</g>
<circle cx="${SIDE / 2}" cy="${SIDE / 2}" r="${(fix.sigmaM * scale).toFixed(1)}" fill="none" stroke="#c01818" stroke-dasharray="5 4"/>
<path d="M${SIDE / 2 - 7} ${SIDE / 2}h14M${SIDE / 2} ${SIDE / 2 - 7}v14" stroke="#c01818" stroke-width="2.5"/></svg>
<text x="0" y="${SIDE + 20}" font-weight="bold">${title}</text>${words.join("")}</g>`;
  };
  const [width, height] = [2 * SIDE + 3 * GAP, SIDE + FOOT + 40];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui,sans-serif" font-size="13" role="img">
<title>A fix and the venues around it</title><rect width="100%" height="100%" fill="#fff"/>
${panel("By distance alone", (venue) => venue.by_distance, GAP)}
${panel("With the prior of this place", (venue) => venue.probability, 2 * GAP + SIDE)}
<text x="${GAP}" y="${height - 14}" font-size="12" fill="#5c6675">Red: the fix and its standard deviation. A disc’s area is the venue’s probability. Map data © OpenStreetMap contributors, ODbL 1.0.</text>
</svg>
`;
}

const escapeXml = (text: string): string =>
  text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign] as string);
