import { FarmError } from "@loc2vec/core";

/** Where rows lie on the globe: degrees, WGS 84, one of each for a row. */
export interface Places {
  lon: ArrayLike<number>;
  lat: ArrayLike<number>;
}

/**
 * How many rows there are.
 *
 * @param vectors float32 [n, size], C order
 * @throws FarmError where numbers are no whole rows, or a row has one that is not finite
 */
export function countRows(vectors: Float32Array, size: number): number {
  if (!(Number.isInteger(size) && size > 0 && vectors.length % size === 0))
    throw new FarmError(
      "input",
      `vectors: ${vectors.length} numbers are no whole rows of ${size}`,
      "give all rows, one after another, and how many numbers a row has",
    );
  const bad = vectors.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new FarmError(
      "data",
      `vectors, row ${Math.floor(bad / size)}: ${vectors[bad]} is no finite number`,
      "embed the data set again, or leave the row out",
    );
  return vectors.length / size;
}

/** @throws FarmError where there is no such row */
export function checkRow(row: number, rows: number): number {
  if (!(Number.isInteger(row) && row >= 0 && row < rows))
    throw new FarmError("input", `row ${row}: there are ${rows} rows`, `name one of 0 to ${rows - 1}`);
  return row;
}

/** Some rows of vectors, one after another. @returns float32 [rows, size] */
export function gather(vectors: Float32Array, size: number, rows: ArrayLike<number>): Float32Array {
  const gathered = new Float32Array(rows.length * size);
  for (let i = 0; i < rows.length; i++) {
    const at = (rows[i] as number) * size;
    gathered.set(vectors.subarray(at, at + size), i * size);
  }
  return gathered;
}

/** @throws FarmError for what is no whole number from 0 on */
export function checkCount(count: number, subject: string): void {
  if (!(Number.isInteger(count) && count >= 0))
    throw new FarmError("input", `${count} ${subject}`, "give a whole number from 0 on");
}
