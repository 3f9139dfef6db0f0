import { FarmError } from "@loc2vec/core";
import { squaredDistance } from "@loc2vec/numeric";
import { createLeast, scan } from "./scan.ts";
import { countRows } from "./vectors.ts";

/**
 * Whether what is near in an arrangement is near in the vectors, too (Venna & Kaski 2001): 1 where the `count` nearest of every row
 * in the arrangement are those of its vector, less the farther away they really are. As scikit-learn's `trustworthiness`. It
 * compares each row with each other: 2,000 rows take a second or so, 20,000 minutes.
 *
 * @param vectors float32 [n, size], C order
 * @param positions float32 [n, dimensions]
 * @param count of neighbours, fewer than half as many as there are rows
 */
export function trustworthiness(
  vectors: Float32Array,
  size: number,
  positions: Float32Array,
  dimensions: number,
  count = 5,
): number {
  const rows = countRows(vectors, size);
  if (countRows(positions, dimensions) !== rows)
    throw new FarmError(
      "input",
      `${positions.length / dimensions} positions of ${rows} vectors`,
      "give the arrangement of these vectors",
    );
  if (!(Number.isInteger(count) && count >= 1 && count < rows / 2))
    throw new FarmError(
      "input",
      `trustworthiness with ${count} neighbours of ${rows} rows`,
      "take fewer than half as many neighbours as there are rows",
    );
  const least = createLeast(count);
  const [near, unused] = [new Int32Array(count), new Float64Array(count)];
  const squares = new Float64Array(rows);
  let penalty = 0;
  for (let row = 0; row < rows; row++) {
    const position = Float64Array.from(positions.subarray(row * dimensions, (row + 1) * dimensions));
    scan(positions, dimensions, position, least, (other) => other !== row);
    least.drain(near, unused);
    distancesFrom(vectors, size, row, squares);
    for (const other of near) penalty += Math.max(0, rankOf(squares, row, other) - count);
  }
  return 1 - (penalty * 2) / (rows * count * (2 * rows - 3 * count - 1));
}

function distancesFrom(vectors: Float32Array, size: number, row: number, squares: Float64Array): void {
  for (let other = 0; other < squares.length; other++) {
    squares[other] = squaredDistance(vectors, other * size, vectors, row * size, size);
  }
}

/** The place of `other` among all rows but `row` by their distances, from 1; of equal ones the lower row comes first. */
function rankOf(squares: Float64Array, row: number, other: number): number {
  const own = squares[other] as number;
  let rank = 1;
  for (let i = 0; i < squares.length; i++) {
    const square = squares[i] as number;
    if (i !== row && (square < own || (square === own && i < other))) rank++;
  }
  return rank;
}
