import { squaredDistance } from "@loc2vec/numeric";

export interface Neighbour {
  index: number;
  /** Euclidean. */
  distance: number;
}

/** The `count` rows nearest to a row, itself left out, nearest first. @param allowed leaves rows out */
export function nearest(
  data: Float32Array,
  columns: number,
  row: number,
  count: number,
  allowed: (index: number) => boolean = () => true,
): Neighbour[] {
  const neighbours: Neighbour[] = [];
  for (let index = 0; index < data.length / columns; index++) {
    if (index === row || !allowed(index)) continue;
    const squared = squaredDistance(data, row * columns, data, index * columns, columns);
    neighbours.push({ index, distance: Math.sqrt(squared) });
  }
  return neighbours.sort((a, b) => a.distance - b.distance || a.index - b.index).slice(0, count);
}
