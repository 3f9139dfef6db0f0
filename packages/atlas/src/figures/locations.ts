import { LOCATION_KINDS } from "@loc2vec/core";
import type { Coordinates } from "@loc2vec/shards";
import type { Drawing, FigureMaker } from "../drawing.ts";

const SHOWN = 6;

/** Figure 4: anchors of some locations, in the colours of a map. */
export const locations: FigureMaker<Drawing> = {
  subject: "locations",
  async draw({ dataset, places, chosen, rgb, save }) {
    const shown = chosen.slice(0, SHOWN);
    return {
      title: "Locations (figure 4)",
      caption: `What lies within ${dataset.radius} m of ${shown.length} locations, in the colours of a map. For people only: the network sees the channels.`,
      pictures: await Promise.all(
        shown.map(async (location) => ({
          file: await save(`location-${location}.png`, await rgb(location, 0), 2),
          alt: `Map around location ${location}`,
          below: describePlace(places, location),
        })),
      ),
    };
  },
};

function describePlace({ lon, lat, kind }: Coordinates, location: number): string {
  const degrees = [lon[location], lat[location]].map((value) => (value as number).toFixed(5)).join(", ");
  return `${location}: ${LOCATION_KINDS[kind[location] as number]}, ${degrees}`;
}
