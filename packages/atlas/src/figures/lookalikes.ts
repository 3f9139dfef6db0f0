import { distanceM } from "@loc2vec/core";
import { lookalikes as findPairs, histogramsOf } from "@loc2vec/evaluation";
import { gather } from "@loc2vec/space";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { tileGrid } from "../grid.ts";
import { filledOf } from "../picture.ts";

const PAIRS = 7;
/** Locations whose histograms are compared, pair by pair. */
const ROWS = { full: 2000, quick: 500 } as const;
/** Channels that a tile must have something in: tiles of little are alike, and nobody wonders. */
const FEWEST_FILLED = 5;
/** Tiles that are read at a time. */
const BATCH = 64;

/** Figure 7: tiles whose histograms are alike and whose embeddings are not. */
export const lookalikes: FigureMaker<ModelDrawing> = {
  id: "lookalikes",
  title: "Alike by histogram, apart by embedding",
  number: "7",
  async draw(drawing) {
    const { dataset, places, shuffled, embeddings, save, rgb } = drawing;
    const { rows, histograms } = await readHistograms(drawing, shuffled.slice(0, ROWS[drawing.effort]));
    const placeOf = (row: number) => {
      const location = rows[row] as number;
      return { lon: places.lon[location] as number, lat: places.lat[location] as number };
    };
    const apart = (a: number, b: number): boolean => distanceM(placeOf(a), placeOf(b)) >= 2 * dataset.radius;
    const vectors = gather(embeddings.data, embeddings.size, rows);
    const pairs = findPairs(histograms, dataset.channels.length, vectors, PAIRS, apart);
    if (pairs.length === 0)
      return {
        lacks: `Of data set ${dataset.name} no two of ${rows.length} rendered locations with something in ${FEWEST_FILLED} channels lie ${2 * dataset.radius} m apart. pnpm farm:work renders more; pnpm farm:enqueue makes a data set with more.`,
      };
    const cell = async (row: number, below: string[]) => {
      const location = rows[row] as number;
      return { picture: await rgb(location, 0), alt: `Location ${location}`, below };
    };
    const upper = pairs.map(({ a }) => cell(a, [`location ${rows[a]}`]));
    const lower = pairs.map(({ b, chi2, distance, farther_than: farther }) =>
      cell(b, [
        `location ${rows[b]}`,
        `χ² ${chi2.toFixed(4)}`,
        `distance ${distance.toFixed(2)}`,
        `farther than ${(100 * farther).toFixed(farther > 0.99 ? 1 : 0)} %`,
      ]),
    );
    const grid = await tileGrid({
      title: "Alike by histogram, apart by embedding",
      description: `${pairs.length} pairs of tiles, one above the other, with nearly equal histograms and distant embeddings.`,
      rows: [{ cells: await Promise.all(upper) }, { cells: await Promise.all(lower) }],
      side: 144,
    });
    return {
      caption:
        "Each column is a pair of places whose tiles have nearly the same histograms (χ² near 0; 1 would be nothing in common), and whose embeddings lie far apart. The last line says of how many of all pairs the embeddings are nearer.",
      look: "what a histogram cannot see: as much of everything, but arranged otherwise. A method that counts pixels takes the two for one kind of place.",
      made: `Histograms of 16 levels in each channel, of ${rows.length} locations drawn by the data set’s seed that have something in ${FEWEST_FILLED} channels or more. χ² is ½ Σ (x − y)² / (x + y), the mean of the channels. Of the most alike pairs (one in 10,000, ${2 * dataset.radius} m or more apart) those with the greatest distance of embeddings are shown.`,
      pictures: [await save("lookalikes.svg", grid)],
    };
  },
};

interface Histograms {
  /** Locations whose tiles are full enough. */
  rows: number[];
  /** float32 [rows, channel, bin]. */
  histograms: Float32Array;
}

async function readHistograms(
  { dataset, tile, progress, signal }: ModelDrawing,
  locations: readonly number[],
): Promise<Histograms> {
  const channels = dataset.channels.length;
  const { describe, size } = histogramsOf(channels);
  const histograms = new Float32Array(locations.length * size);
  const rows: number[] = [];
  const shown = progress("histograms", locations.length, "tiles");
  for (let first = 0; first < locations.length; first += BATCH) {
    signal.throwIfAborted();
    const batch = locations.slice(first, first + BATCH);
    const tiles = await Promise.all(batch.map((location) => tile(location, 0)));
    const described = await describe(tiles);
    for (const [i, location] of batch.entries()) {
      if (filledOf(tiles[i] as Uint8Array, channels) < Math.min(FEWEST_FILLED, channels)) continue;
      histograms.set(described.subarray(i * size, (i + 1) * size), rows.length * size);
      rows.push(location);
    }
    shown.update(first + batch.length);
  }
  shown.finish();
  return { rows, histograms: histograms.subarray(0, rows.length * size) };
}
