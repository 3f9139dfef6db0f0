import { applyProjection, fitPca, gather, type Projection } from "@loc2vec/space";
import type { EmbeddedCity, ModelDrawing } from "./drawing.ts";
import { hex } from "./svg.ts";

/** Rows of each city that axes are fitted to, at most. */
const MOST_ROWS = 20_000;
/** Ends of the colours: what lies beyond, of the rows fitted to, is as bright or dark as what lies at them. */
const [LOW, HIGH] = [0.02, 0.98] as const;

/** One way from embeddings to colours, for all cities of a drawing. */
export interface Colours {
  /** Share of the variance that each axis explains. */
  explained: readonly number[];
  /** Where each row lies on each axis, 0 (dark) to 1 (bright), clipped: float64 [rows, 3]. */
  shares(city: EmbeddedCity): Float64Array;
}

/**
 * The first three principal axes of all cities' embeddings as red, green and blue, each stretched from its 2nd to its 98th
 * percentile. Cities count alike: as many rows are drawn of each.
 */
export function commonColours(drawing: ModelDrawing): Colours {
  const { size } = drawing.embeddings;
  const cities: readonly EmbeddedCity[] = [drawing, ...drawing.cities];
  const count = Math.min(MOST_ROWS, ...cities.map(({ embeddings }) => embeddings.data.length / size));
  const random = drawing.random("colours");
  const fitted = new Float32Array(cities.length * count * size);
  for (const [i, { embeddings }] of cities.entries()) {
    const rows = random.shuffle(Array.from({ length: embeddings.data.length / size }, (_, row) => row));
    fitted.set(gather(embeddings.data, size, rows.slice(0, count)), i * count * size);
  }
  const projection = fitPca(fitted, size, Math.min(3, size));
  const ends = endsOf(projection, fitted);
  const shares = ({ embeddings }: EmbeddedCity): Float64Array => {
    const scores = applyProjection(projection, embeddings.data);
    const axes = ends.length;
    const rows = scores.length / axes;
    const stretched = new Float64Array(3 * rows).fill(0.5);
    for (let row = 0; row < rows; row++) {
      for (const [axis, [low, high]] of ends.entries()) {
        const share = high > low ? ((scores[row * axes + axis] as number) - low) / (high - low) : 0.5;
        stretched[3 * row + axis] = Math.min(1, Math.max(0, share));
      }
    }
    return stretched;
  };
  return { explained: projection.explained, shares };
}

function endsOf(projection: Projection, fitted: Float32Array): [number, number][] {
  const scores = applyProjection(projection, fitted);
  const axes = projection.explained.length;
  const rows = scores.length / axes;
  return projection.explained.map((_, axis) => {
    const sorted = Float64Array.from(
      { length: rows },
      (_, row) => scores[row * axes + axis] as number,
    ).sort();
    return [sorted[Math.floor(LOW * (rows - 1))] as number, sorted[Math.ceil(HIGH * (rows - 1))] as number];
  });
}

/** A row's colour, `#rrggbb`. @param shares see {@link Colours} */
export function colourOf(shares: Float64Array, row: number): string {
  return hex([0, 1, 2].map((axis) => Math.round(255 * (shares[3 * row + axis] as number))));
}
