import { metresBetween } from "@loc2vec/space";
import { type Colours, colourOf } from "../colours.ts";
import type { EmbeddedCity, ModelDrawing } from "../drawing.ts";
import { type Row, tileGrid } from "../grid.ts";
import { apartOf } from "../near.ts";
import type { Svg } from "../svg.ts";

/** Tiles along an axis. */
const KEYS = 8;
const AXES = ["Red", "Green", "Blue"] as const;

/** A location of one of the cities, and where it lies on the axes. */
interface Candidate {
  city: EmbeddedCity;
  location: number;
  /** Of all of its city: see {@link Colours}. */
  shares: Float64Array;
}

/** Tiles along each axis of the colours, dark to bright, of whichever city has them. */
export async function drawKey(drawing: ModelDrawing, { explained, shares }: Colours): Promise<Svg> {
  const cities: readonly EmbeddedCity[] = [drawing, ...drawing.cities];
  const candidates = cities.flatMap((city): Candidate[] => {
    const own = shares(city);
    return city.shuffled.map((location) => ({ city, location, shares: own }));
  });
  const rows = await Promise.all(
    explained.map(async (part, axis): Promise<Row> => {
      const cells = chooseAlong(candidates, axis).map(async ({ city, location, shares: own }) => {
        const name = cities.length > 1 ? `${city.dataset.name} ${location}` : `location ${location}`;
        return {
          picture: await city.rgb(location, 0),
          alt: `${name}, ${(own[3 * location + axis] as number).toFixed(2)} of ${AXES[axis]}`,
          below: [name],
          key: colourOf(own, location),
          frame: colourOf(own, location),
        };
      });
      const heading = `${AXES[axis]}, dark to bright: ${(100 * part).toFixed(0)} % of the variance`;
      return { heading, cells: await Promise.all(cells) };
    }),
  );
  const description = `Tiles from the dark to the bright end of ${explained.length} colours, framed in their own.`;
  return tileGrid({ title: "Key to the colours", description, rows });
}

/** Locations from one end of an axis to the other, in the middle of the others; no two of them share ground. */
function chooseAlong(candidates: readonly Candidate[], axis: number): Candidate[] {
  const chosen: Candidate[] = [];
  for (let i = 0; i < KEYS; i++) {
    const free = candidates.filter((candidate) => chosen.every((other) => isApart(candidate, other)));
    const nearest = nearestTo(free, axis, i / (KEYS - 1));
    if (nearest !== undefined) chosen.push(nearest);
  }
  return chosen;
}

function isApart({ city, location }: Candidate, other: Candidate): boolean {
  if (city !== other.city) return true;
  return metresBetween(city.places, location, other.location) > apartOf(city);
}

/** The one nearest to a place on one axis and to the middle of the others; of equal ones the first. */
function nearestTo(candidates: readonly Candidate[], axis: number, target: number): Candidate | undefined {
  let [nearest, least]: [Candidate | undefined, number] = [undefined, Number.POSITIVE_INFINITY];
  for (const candidate of candidates) {
    let far = 0;
    for (let k = 0; k < 3; k++) {
      const off = (candidate.shares[3 * candidate.location + k] as number) - (k === axis ? target : 0.5);
      far += (k === axis ? 4 : 1) * off * off;
    }
    if (far < least) [nearest, least] = [candidate, far];
  }
  return nearest;
}
