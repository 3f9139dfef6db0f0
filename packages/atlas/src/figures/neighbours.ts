import { distanceM, footprint } from "@loc2vec/core";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Neighbour, nearest } from "../nearest.ts";
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
    const pictures: FigurePicture[] = [];
    for (const query of drawing.shuffled.slice(0, QUERIES))
      pictures.push(await drawStrip(drawing, query, findApart(drawing, query, apart)));
    return {
      title: "Nearest neighbours",
      caption: `A location (left) and those nearest to it in embedding space. Only places more than ${Math.round(apart)} m away, and as far from one another, are shown: nearer ones share parts of the map, and would be found by any method.`,
      pictures,
    };
  },
};

/** The rendered locations nearest to one in embedding space; on the ground more than `apart` metres from it, and from one another. */
function findApart(drawing: ModelDrawing, query: number, apart: number): Neighbour[] {
  const { dataset, embeddings, isRendered } = drawing;
  const chosen: Neighbour[] = [];
  for (const candidate of nearest(embeddings.data, embeddings.size, query, dataset.locations, isRendered)) {
    if (chosen.length === NEIGHBOURS) break;
    const others = [query, ...chosen.map(({ index }) => index)];
    if (others.every((other) => metresBetween(drawing, candidate.index, other) > apart))
      chosen.push(candidate);
  }
  return chosen;
}

async function drawStrip(
  drawing: ModelDrawing,
  query: number,
  near: readonly Neighbour[],
): Promise<FigurePicture> {
  const strip = await Promise.all(
    [query, ...near.map(({ index }) => index)].map((location) => drawing.rgb(location, 0)),
  );
  const distances = near.map(
    ({ index, distance }) => `${distance.toFixed(2)} (${Math.round(metresBetween(drawing, query, index))} m)`,
  );
  return {
    file: await drawing.save(`neighbours-${query}.png`, sheet([strip])),
    alt: `Location ${query} and its nearest neighbours`,
    below: `distances in embedding space (and on the ground): ${distances.join(", ")}`,
  };
}

function metresBetween({ places: { lon, lat } }: ModelDrawing, a: number, b: number): number {
  const place = (i: number) => ({ lon: lon[i] as number, lat: lat[i] as number });
  return distanceM(place(a), place(b));
}
