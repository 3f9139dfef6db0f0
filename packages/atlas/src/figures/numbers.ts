import { type Extremes, extremes } from "@loc2vec/insight";
import { mean } from "@loc2vec/numeric";
import { gather } from "@loc2vec/space";
import { diverging, dotMap } from "../dotmap.ts";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Cell, type Row, tileGrid } from "../grid.ts";
import { layOut } from "../ground.ts";
import { tooFew } from "../near.ts";
import { type Cover, channelWords, typicalCover } from "../objects.ts";
import { hex } from "../svg.ts";

/** Tiles at each end of a number. */
const ENDS = 4;
const LEAST = 20;
/** Correlation from which on a channel is named, and how many are at most. */
const [CLEAR, NAMED] = [0.2, 2] as const;

/** What each number of the embedding responds to. */
export const numbers: FigureMaker<ModelDrawing> = {
  id: "numbers",
  title: "What each number responds to",
  async draw(drawing) {
    const { embeddings, shuffled, save } = drawing;
    const lacks = tooFew(drawing, LEAST, "The ends of numbers");
    if (lacks !== undefined) return { lacks };
    const cover = await typicalCover(drawing);
    const ends = endsOf(drawing);
    const { size } = embeddings;
    const half = Math.ceil(size / 2);
    const rows = await Promise.all(
      ends.map((end, number) => drawEnds(drawing, end, number, wordsOf(drawing, cover, number))),
    );
    const pictures = [];
    for (const [from, to] of [
      [0, half],
      [half, size],
    ] as const) {
      if (from === to) continue;
      const description = `For each of the numbers ${from + 1} to ${to} the ${ENDS} places where it is lowest and the ${ENDS} where it is highest.`;
      const title = `Numbers ${from + 1} to ${to}`;
      const part = rows.slice(from, to);
      pictures.push(
        await save(`numbers-${from + 1}.svg`, await tileGrid({ title, description, rows: part })),
      );
    }
    return {
      caption: `For each of the ${size} numbers of an embedding the places where it is lowest (blue frames) and highest (red frames), and the channels whose cover it follows.`,
      look: "what the tiles of one end have in common and those of the other have not: water against houses, wide roads against footpaths. A number seldom means one thing; directions in between are as good as it.",
      made: `The ends are found among all ${shuffled.length} rendered places; those of one end lie two footprints apart. “More” and “less” name up to ${NAMED} channels each whose cover has a correlation with the number (Pearson’s r, in brackets) of at least ${CLEAR}, over ${cover.locations.length} random tiles.`,
      pictures,
    };
  },
};

/** Ends of each number, by location. */
function endsOf({ embeddings, dataset, places, shuffled }: ModelDrawing): Extremes[] {
  const { data, size } = embeddings;
  const rows = shuffled.toSorted((a, b) => a - b);
  const vectors = gather(data, size, rows);
  const at = rows.map((row) => ({ lon: places.lon[row] as number, lat: places.lat[row] as number }));
  const locations = (found: readonly number[]): number[] => found.map((row) => rows[row] as number);
  return extremes(vectors, size, { k: ENDS, seed: dataset.seed, places: at }).map(({ lowest, highest }) => ({
    lowest: locations(lowest),
    highest: locations(highest),
  }));
}

/** Channels that a number follows, in words. */
function wordsOf(drawing: ModelDrawing, cover: Cover, number: number): string {
  const { data, size } = drawing.embeddings;
  const values = cover.locations.map((row) => data[row * size + number] as number);
  const all = drawing.dataset.channels.map((_, channel) => ({
    channel,
    r: correlation(
      values,
      cover.shares.map((shares) => shares[channel] as number),
    ),
  }));
  const told = (sign: 1 | -1): string =>
    all
      .filter(({ r }) => sign * r >= CLEAR)
      .sort((a, b) => sign * (b.r - a.r))
      .slice(0, NAMED)
      .map(({ channel, r }) => `${channelWords(drawing, channel)} (${r.toFixed(2).replace("-", "−")})`)
      .join(", ");
  const [more, less] = [told(1), told(-1)];
  const said = [...(more === "" ? [] : [`more ${more}`]), ...(less === "" ? [] : [`less ${less}`])];
  return said.length === 0 ? "follows the cover of no channel" : said.join("; ");
}

/** Pearson's; 0 where one does not vary. */
function correlation(x: readonly number[], y: readonly number[]): number {
  const [mx, my] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [i, value] of x.entries()) {
    const [dx, dy] = [value - mx, (y[i] as number) - my];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : 0;
}

async function drawEnds(
  { rgb, embeddings: { data, size } }: ModelDrawing,
  { lowest, highest }: Extremes,
  number: number,
  told: string,
): Promise<Row> {
  const cell = async (row: number, end: "lowest" | "highest"): Promise<Cell> => ({
    picture: await rgb(row, 0),
    alt: `Number ${number + 1} at its ${end}: location ${row}`,
    below: [(data[row * size + number] as number).toFixed(2).replace("-", "−")],
    frame: hex(diverging(end === "lowest" ? 0 : 1)),
  });
  const fill = (cells: Cell[]): (Cell | undefined)[] => [
    ...cells,
    ...Array.from({ length: ENDS - cells.length }, () => undefined),
  ];
  const [low, high] = await Promise.all([
    Promise.all(lowest.map((row) => cell(row, "lowest"))),
    Promise.all(highest.map((row) => cell(row, "highest"))),
  ]);
  return { heading: `${number + 1}: ${told}`, cells: [...fill(low), ...fill(high)] };
}

/** Columns of small maps, their pixels to one of CSS, and bytes of all together, before they are written as text. */
const [COLUMNS, DENSITY, MOST_BYTES] = [4, 1.25, 200_000] as const;

/** A small map of the city for each number. */
export const numberMaps: FigureMaker<ModelDrawing> = {
  id: "number-maps",
  title: "Each number on the map",
  async draw(drawing) {
    const { dataset, embeddings, shuffled, places, save } = drawing;
    const lacks = tooFew(drawing, LEAST, "Maps of numbers");
    if (lacks !== undefined) return { lacks };
    const { data, size } = embeddings;
    const side = 256;
    const layout = layOut(places, dataset.radius);
    const cells = Array.from({ length: size }, (_, number): Cell => {
      const ranks = ranksOf(shuffled.map((row) => data[row * size + number] as number));
      const colours = Uint8Array.from([...ranks].flatMap((rank) => [...diverging(rank)]));
      const radius = shuffled.length > 2500 ? 2 : 4;
      return {
        picture: dotMap(layout, shuffled, colours, { side: DENSITY * side, radius }),
        alt: `Map of number ${number + 1}: blue where it is low, red where it is high`,
        below: [`number ${number + 1}`],
        most: MOST_BYTES / size,
      };
    });
    const rows = Array.from({ length: Math.ceil(size / COLUMNS) }, (_, row) => ({
      cells: cells.slice(row * COLUMNS, (row + 1) * COLUMNS),
    }));
    const description = `${size} small maps of ${drawing.dataset.name}, one for each number of the embedding.`;
    const title = "Each number on the map";
    return {
      caption: `Each of the ${size} numbers on the map of ${drawing.dataset.name}: blue where it is among the lowest, pale about its median, red where it is among the highest.`,
      look: "patches of one colour: the number knows something that neighbours share, such as a river, a centre or a forest. A map that looks like salt and pepper is of a number that tells of single streets.",
      made: `All ${shuffled.length} rendered locations as dots, coloured by the rank of the number among them. North is on top.`,
      pictures: [await save("number-maps.svg", await tileGrid({ title, description, rows, side, gap: 16 }))],
    };
  },
};

/** Ranks as shares of 0 to 1. */
function ranksOf(values: readonly number[]): Float64Array {
  const order = [...values.keys()].sort((a, b) => (values[a] as number) - (values[b] as number));
  const ranks = new Float64Array(values.length);
  for (const [rank, row] of order.entries()) ranks[row] = rank / Math.max(1, values.length - 1);
  return ranks;
}
