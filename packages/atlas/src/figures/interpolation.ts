import { interpolate, metresBetween } from "@loc2vec/space";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Cell, tileGrid } from "../grid.ts";
import { apartOf, metresText, renderedNeighbours, tooFew } from "../near.ts";
import { type Cover, channelWords, coverOf, usualOf } from "../objects.ts";

const [WAYS, STEPS] = [4, 8] as const;
/** Tiles that ends are chosen among. */
const CANDIDATES = { full: 1500, quick: 300 } as const;
const LEAST = 20;

/** The fullest tile of a channel. */
interface End {
  location: number;
  channel: number;
}

/** Figure 21: the straight way between two embeddings. */
export const interpolation: FigureMaker<ModelDrawing> = {
  id: "interpolation",
  title: "From one place to another",
  number: "21",
  async draw(drawing) {
    const { shuffled, effort, signal, rgb, save } = drawing;
    const lacks = tooFew(drawing, LEAST, "Ways between places");
    if (lacks !== undefined) return { lacks };
    const ends = endsOf(await coverOf(drawing, shuffled.slice(0, CANDIDATES[effort]), signal));
    const ways = waysBetween(drawing, ends);
    const index = renderedNeighbours(drawing);
    const rows = await Promise.all(
      ways.map(async ([from, to]) => {
        const steps = interpolate(index, from.location, to.location, STEPS);
        const cells = steps.map(async ({ row, distance, t }, i): Promise<Cell> => {
          const end = i === 0 ? from : i === STEPS - 1 ? to : undefined;
          const where = `${Math.round(100 * t)} % of the way`;
          const before = i > 0 && steps[i - 1]?.row === row;
          const is =
            row === from.location || row === to.location ? "still the end" : before ? "the same" : "";
          return {
            picture: await rgb(row, 0),
            alt: end === undefined ? `${where}: location ${row}` : `End: location ${row}`,
            below:
              end === undefined
                ? [`${Math.round(100 * t)} %, off by ${distance.toFixed(2)}`, ...(is === "" ? [] : [is])]
                : [`most ${channelWords(drawing, end.channel)}`],
            ...(end === undefined ? {} : { frame: "#3a6fb0" }),
          };
        });
        return { cells: await Promise.all(cells) };
      }),
    );
    const far = ways.map(([from, to]) => metresBetween(drawing.places, from.location, to.location));
    const description = `${ways.length} rows of ${STEPS} tiles: at both ends places of quite another sort, between them the nearest tiles to equal steps of the straight way.`;
    return {
      caption: `The straight way through embedding space between two places (blue frames), in ${STEPS - 1} equal steps; at each step the tile whose embedding is nearest. Below it: how far along the way it is, and how far the tile lies off the way.`,
      look: "a change that is gradual: what the left end is full of grows less, what the right end is full of grows more. A tile that stands twice is the nearest to two steps: there, the city has no place in between.",
      made: `The ends are, of ${Math.min(shuffled.length, CANDIDATES[effort])} random places, those whose tiles have most of a channel, in the ${ways.length} pairs that lie farthest apart in the space (${far.map(metresText).join(", ")} on the ground). The tiles between are found among all that are rendered.`,
      pictures: [
        await save(
          "interpolation.svg",
          await tileGrid({ title: "From one place to another", description, rows }),
        ),
      ],
    };
  },
};

/** For each channel the tile that has most of it, unless it is that of another channel already. */
function endsOf(cover: Cover): End[] {
  const { deviations } = usualOf(cover);
  const ends: End[] = [];
  for (const [channel, deviation] of deviations.entries()) {
    if (deviation === 0) continue;
    const best = cover.shares.reduce(
      (at, shares, row) => ((shares[channel] as number) > (cover.shares[at]?.[channel] as number) ? row : at),
      0,
    );
    const location = cover.locations[best] as number;
    if (!ends.some((end) => end.location === location)) ends.push({ location, channel });
  }
  return ends;
}

/** Pairs of ends that lie farthest apart in the space; no end stands in two of them. */
function waysBetween(drawing: ModelDrawing, ends: readonly End[]): [End, End][] {
  const { neighbours, places } = drawing;
  const pairs = ends.flatMap((from, i) =>
    ends.slice(i + 1).flatMap((to) => {
      if (metresBetween(places, from.location, to.location) <= apartOf(drawing)) return [];
      const [a, b] = [neighbours.vector(from.location), neighbours.vector(to.location)];
      return [{ from, to, length: Math.hypot(...a.map((value, k) => value - (b[k] as number))) }];
    }),
  );
  const ways: [End, End][] = [];
  const used = new Set<End>();
  for (const { from, to } of pairs.sort((a, b) => b.length - a.length)) {
    if (ways.length === WAYS || used.has(from) || used.has(to)) continue;
    ways.push([from, to]);
    used.add(from).add(to);
  }
  return ways;
}
