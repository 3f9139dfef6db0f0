import { footprint } from "@loc2vec/core";
import type { Neighbours } from "@loc2vec/space";
import type { City, EmbeddedCity } from "./drawing.ts";

/** Metres from which on the anchors of two places, however turned, share nothing of the map. */
export function apartOf({ dataset }: City): number {
  return 2 * footprint(dataset.radius, 0).reachM;
}

/** The neighbours of a city, but only those whose tiles can be shown. */
export function renderedNeighbours({ neighbours, isRendered }: EmbeddedCity): Neighbours {
  return {
    ...neighbours,
    nearest: (query, count, options = {}) =>
      neighbours.nearest(query, Math.min(count, neighbours.rows - 1), {
        ...options,
        allowed: (row) => isRendered(row) && (options.allowed?.(row) ?? true),
      }),
  };
}

/** What a figure lacks that needs some rendered locations; undefined where it has them. */
export function tooFew({ dataset, shuffled }: City, least: number, what: string): string | undefined {
  if (shuffled.length >= least) return undefined;
  return `${what} need ${least} rendered locations: data set ${dataset.name} has ${shuffled.length}. pnpm farm:work renders more.`;
}

/** A share in words. */
export const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** Metres in words. */
export function metresText(metres: number): string {
  return metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(1)} km`;
}
