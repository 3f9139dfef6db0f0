import { footprint } from "@loc2vec/core";
import { metresBetween, type Neighbour, openNeighbours } from "@loc2vec/space";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import type { FigurePicture } from "../page.ts";
import { sheet } from "../picture.ts";

const QUERIES = 6;
const NEIGHBOURS = 8;

/** Some locations, and those nearest to each in embedding space that show other ground. */
export const neighbours: FigureMaker<ModelDrawing> = {
  subject: "neighbours",
  async draw(drawing) {
    // Windows of one size about places this far apart share nothing of the map.
    const apart = 2 * footprint(drawing.dataset.radius, 0).reachM;
    const { embeddings, places, isRendered } = drawing;
    // So few queries are no reason to build an index.
    const index = await openNeighbours(embeddings.data, embeddings.size, { places, method: "exact" });
    const count = Math.min(NEIGHBOURS, index.rows - 1);
    const asked = { allowed: isRendered, minDistanceM: apart };
    const pictures: FigurePicture[] = [];
    for (const query of drawing.shuffled.slice(0, QUERIES)) {
      const near = count > 0 ? index.nearest(query, count, asked) : [];
      pictures.push(await drawStrip(drawing, query, near));
    }
    return {
      title: "Nearest neighbours",
      caption: `A location (left) and those nearest to it in embedding space. Only places more than ${Math.round(apart)} m away, and as far from one another, are shown: nearer ones share parts of the map, and would be found by any method.`,
      pictures,
    };
  },
};

async function drawStrip(
  drawing: ModelDrawing,
  query: number,
  near: readonly Neighbour[],
): Promise<FigurePicture> {
  const strip = await Promise.all(
    [query, ...near.map(({ row }) => row)].map((location) => drawing.rgb(location, 0)),
  );
  const distances = near.map(
    ({ row, distance }) =>
      `${distance.toFixed(2)} (${Math.round(metresBetween(drawing.places, query, row))} m)`,
  );
  return {
    file: await drawing.save(`neighbours-${query}.png`, sheet([strip])),
    alt: `Location ${query} and its nearest neighbours`,
    below: `distances in embedding space (and on the ground): ${distances.join(", ")}`,
  };
}
