import { findRegions } from "@loc2vec/space";
import { PALETTE } from "../dotmap.ts";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Cell, tileGrid } from "../grid.ts";
import { inView, layOut, mapSvg, paintGround } from "../ground.ts";
import { apartOf, percent, renderedNeighbours, tooFew } from "../near.ts";
import { beyondUsual, type Cover, channelWords, typicalCover, usualOf } from "../objects.ts";
import { hex, type Svg } from "../svg.ts";

const COUNT = 8;
const LEAST = 3 * COUNT;
/** Tiles that are shown of each region. */
const SHOWN = 6;
/** Deviations beyond which a channel is named, and how many are at most. */
const [BEYOND, NAMED] = [0.25, 3] as const;
/** The share of a region's tiles that must have something of a channel for it to be named. */
const OFTEN = 0.4;

interface Region {
  name: string;
  /** Of all rows. */
  share: number;
  colour: readonly [number, number, number];
  centre: Float32Array;
}

/** Regions of the space on the map of the city. */
export const regions: FigureMaker<ModelDrawing> = {
  id: "regions",
  title: "Regions of the space",
  async draw(drawing) {
    const { embeddings, save } = drawing;
    const lacks = tooFew(drawing, LEAST, "Regions");
    if (lacks !== undefined) return { lacks };
    const found = findRegions(embeddings.data, embeddings.size, COUNT, drawing.random("regions"));
    const cover = await typicalCover(drawing);
    const all = found.sizes.map(
      (rows, number): Region => ({
        name: nameOf(drawing, cover, found.regions, number),
        share: rows / found.regions.length,
        colour: PALETTE[number] as Region["colour"],
        centre: found.centres[number] as Float32Array,
      }),
    );
    const description = all.map(({ name, share }, i) => `${i + 1}: ${name}, ${percent(share)}`).join("; ");
    return {
      caption: `The ${COUNT} regions that the space falls into when its points are divided by k-means, on the map of ${drawing.dataset.name} and by their most typical tiles. Each is named by what its tiles have more of than is usual here.`,
      look: "sorts of neighbourhoods that lie together on the ground, though nothing was said of where a place is: a centre, estates around it, an industrial belt, water and woods.",
      made: `k-means with k-means++ on all ${found.regions.length} embeddings. A name lists up to ${NAMED} channels that cover the tiles of the region by more than a quarter of a standard deviation beyond the mean of ${cover.locations.length} random tiles, and stand in two of five of them or more; the greatest first. Below the map, of each region the tiles nearest to its centre that show different ground.`,
      pictures: [
        await save("regions-map.svg", await drawMap(drawing, all, found.regions, description)),
        await save("regions-tiles.svg", await drawTiles(drawing, all)),
      ],
    };
  },
};

/** What the tiles of a region have more of than is usual, in words. */
function nameOf(drawing: ModelDrawing, cover: Cover, numbers: Uint16Array, number: number): string {
  const rows = cover.locations.flatMap((location, row) => (numbers[location] === number ? [row] : []));
  if (rows.length === 0) return "seldom seen";
  const beyond = beyondUsual(cover, rows, usualOf(cover));
  const often = (channel: number): boolean =>
    rows.filter((row) => (cover.shares[row]?.[channel] as number) > 0).length > OFTEN * rows.length;
  const order = [...beyond.entries()].sort(([, a], [, b]) => b - a);
  const words = (channels: readonly (readonly [number, number])[]): string =>
    channels.map(([channel]) => channelWords(drawing, channel)).join(", ");
  const named = order.filter(([channel, deviations]) => deviations > BEYOND && often(channel));
  if (named.length > 0) return words(named.slice(0, NAMED));
  return `little of anything but ${words(order.slice(0, 2))}`;
}

async function drawMap(
  city: ModelDrawing,
  all: readonly Region[],
  numbers: Uint16Array,
  description: string,
): Promise<Svg> {
  const layout = layOut(city.places, city.dataset.radius);
  const seen = city.shuffled.filter((location) => inView(layout, location));
  const dots = seen.map((location) => ({
    location,
    colour: hex((all[numbers[location] as number] as Region).colour),
  }));
  const keys = all.map(({ name, share, colour }, i) => ({
    colour: hex(colour),
    name: `${i + 1} ${name}: ${percent(share)}`,
  }));
  const beyond = city.shuffled.length - seen.length;
  const note = `${city.dataset.name}, ${seen.length} locations${beyond > 0 ? `; ${beyond} lie beyond the map’s edge` : ""}`;
  // Nothing lies under the dots: the regions are to be seen.
  const ground = await paintGround(city, layout, [], () => {});
  return mapSvg({ title: "Regions on the map", description, layout, ground, dots, note, keys });
}

async function drawTiles(drawing: ModelDrawing, all: readonly Region[]): Promise<Svg> {
  const index = renderedNeighbours(drawing);
  const rows = await Promise.all(
    all.map(async ({ name, colour, centre }, i) => {
      const near = index.nearest(centre, SHOWN, { minDistanceM: apartOf(drawing) });
      const cells = near.map(
        async ({ row }): Promise<Cell> => ({
          picture: await drawing.rgb(row, 0),
          alt: `Region ${i + 1}, ${name}: location ${row}`,
          frame: hex(colour),
        }),
      );
      return { heading: `${i + 1} ${name}`, cells: await Promise.all(cells) };
    }),
  );
  const description = `${SHOWN} typical tiles of each of ${all.length} regions.`;
  return tileGrid({ title: "Typical tiles of the regions", description, rows });
}
