import { LOCATION_KINDS } from "@loc2vec/core";
import { type Drawing, type FigureMaker, placeText } from "../drawing.ts";
import { tileGrid } from "../grid.ts";

const SHOWN = 8;

/** Figure 4: anchors of some locations, in the colours of a map. */
export const locations: FigureMaker<Drawing> = {
  id: "locations",
  title: "Locations",
  number: "4",
  async draw(drawing) {
    const { dataset, places, chosen, rgb, save } = drawing;
    const shown = chosen.slice(0, SHOWN);
    const cells = await Promise.all(
      shown.map(async (location) => {
        const kind = LOCATION_KINDS[places.kind[location] as number] as string;
        return {
          picture: await rgb(location, 0),
          alt: `Map around location ${location}, a ${kind}`,
          below: [`${location}, ${kind}`, placeText(drawing, location)],
        };
      }),
    );
    const rows = [cells.slice(0, SHOWN / 2), cells.slice(SHOWN / 2)].filter(({ length }) => length > 0);
    const description = `Maps of what lies within ${dataset.radius} m of ${shown.length} locations.`;
    const picture = await tileGrid({
      ...{ title: "Locations", description, side: 256, gap: 16 },
      rows: rows.map((row) => ({ cells: row })),
    });
    return {
      caption: `What lies within ${dataset.radius} m of ${shown.length} locations, in the colours of a map; below each its number, its kind, latitude and longitude.`,
      look: "how much one glance tells: a harbour, a square, a housing estate. That glance is what the network is to learn.",
      made: `Of 40 random locations those whose tiles have something in most channels. All ${dataset.channels.length} channels are painted over one another, for people only: the network sees them apart.`,
      pictures: [await save("locations.svg", picture)],
    };
  },
};
