import { footprint } from "@loc2vec/core";
import { metresBetween } from "@loc2vec/space";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Row, tileGrid } from "../grid.ts";

const QUERIES = 6;
const NEIGHBOURS = 7;

/** Some locations, and those nearest to each in embedding space that show other ground. */
export const neighbours: FigureMaker<ModelDrawing> = {
  id: "neighbours",
  title: "Nearest neighbours",
  async draw(drawing) {
    const { dataset, shuffled, save } = drawing;
    if (shuffled.length < 2)
      return {
        lacks: `Neighbours need two rendered locations: data set ${dataset.name} has ${shuffled.length}. pnpm farm:work renders more.`,
      };
    // Windows of one size about places this far apart share nothing of the map.
    const apart = 2 * footprint(dataset.radius, 0).reachM;
    const rows = await Promise.all(
      shuffled.slice(0, QUERIES).map((query) => drawStrip(drawing, query, apart)),
    );
    const description = `${rows.length} locations, and beside each those nearest to it in embedding space.`;
    const title = "Nearest neighbours";
    return {
      caption: `A location (left), and those nearest to it in embedding space. Below each: how far away it is there, and on the ground.`,
      look: "the same sort of place at the other end of town: rows of houses by rows of houses, a park’s edge by a park’s edge. What differs may be turned: the network was taught not to care.",
      made: `Locations are drawn by the data set’s seed; the nearest are found by looking at all ${dataset.locations} vectors. Only places more than ${Math.round(apart)} m away, and as far from one another, are shown: nearer ones share parts of the map, and would be found by any method.`,
      pictures: [await save("neighbours.svg", await tileGrid({ title, description, rows }))],
    };
  },
};

async function drawStrip(drawing: ModelDrawing, query: number, apart: number): Promise<Row> {
  const { neighbours: index, places, isRendered, rgb } = drawing;
  const count = Math.min(NEIGHBOURS, index.rows - 1);
  const near = index.nearest(query, count, { allowed: isRendered, minDistanceM: apart });
  const found = near.map(async ({ row, distance }) => ({
    picture: await rgb(row, 0),
    alt: `Location ${row}, at a distance of ${distance.toFixed(2)}`,
    below: [`${distance.toFixed(2)}, ${metresText(metresBetween(places, query, row))}`],
  }));
  const own = {
    ...{ picture: await rgb(query, 0), alt: `Location ${query}`, below: [`location ${query}`] },
    frame: "#3a6fb0",
  };
  return { cells: [own, ...(await Promise.all(found))] };
}

function metresText(metres: number): string {
  return metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(1)} km`;
}
