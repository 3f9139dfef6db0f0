import { metresBetween, walk } from "@loc2vec/space";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Cell, tileGrid } from "../grid.ts";
import { apartOf, metresText, renderedNeighbours, tooFew } from "../near.ts";

const [WALKS, JUMPS, AMONG] = [4, 8, 10] as const;
/** Rendered locations that it needs. */
const LEAST = 12;

/** Figure 20: random walks through the space. */
export const walks: FigureMaker<ModelDrawing> = {
  id: "walks",
  title: "Random walks",
  number: "20",
  async draw(drawing) {
    const { shuffled, rgb, save, places } = drawing;
    const lacks = tooFew(drawing, LEAST, "Random walks");
    if (lacks !== undefined) return { lacks };
    const apart = apartOf(drawing);
    const random = drawing.random("walks");
    const index = renderedNeighbours(drawing);
    const starts = shuffled.slice(0, WALKS);
    const rows = await Promise.all(
      starts
        .map((start) => walk(index, start, JUMPS, { random, among: AMONG, minDistanceM: apart }))
        .map(async (way) => ({
          cells: await Promise.all(
            way.map(
              async ({ row, distance, metres = 0 }, i): Promise<Cell> => ({
                picture: await rgb(row, 0),
                alt:
                  i === 0
                    ? `Start at location ${row}`
                    : `Jump ${i} of ${metresText(metres)}, to location ${row}`,
                below: i === 0 ? ["start"] : [metresText(metres), `in space ${distance.toFixed(2)}`],
                ...(i === 0 ? { frame: "#3a6fb0" } : {}),
              }),
            ),
          ),
          whole: way.reduce((sum, { metres = 0 }) => sum + metres, 0),
          ends: metresBetween(places, way[0]?.row as number, way.at(-1)?.row as number),
        })),
    );
    const description = `${WALKS} rows of tiles: a location, and ${JUMPS} jumps from it, each to one of the ${AMONG} nearest.`;
    const longest = rows.reduce((most, { whole }) => Math.max(most, whole), 0);
    return {
      caption: `${WALKS} walks: from the location at the left, ${JUMPS} jumps, each to a random one of the ${AMONG} places nearest in embedding space. Below each tile: how far the jump goes on the ground, and in the space.`,
      look: `a walk that crosses the city (up to ${metresText(longest)} in all) while each tile looks like the one before it. After some jumps the sort of place may have changed, as a word does that is whispered from ear to ear.`,
      made: `Starts and jumps are drawn by the data set’s seed. No place is visited twice, and each lies more than ${Math.round(apart)} m from all that the walk has visited, so that no two tiles of a walk show the same ground.`,
      pictures: [
        await save("walks.svg", await tileGrid({ title: "Random walks", description, rows, side: 112 })),
      ],
    };
  },
};
