/** Where random numbers come from: the same ones give the same centres. */
export interface Draws {
  /** A whole number of 0 … below − 1. */
  int(below: number): number;
  /** A number from 0 up to, but not including, 1. */
  uniform(): number;
}

/** Times that rows are given to centres, and centres moved into their middle. */
const ROUNDS = 20;

/**
 * Lloyd's algorithm (1982), begun as k-means++ does (Arthur & Vassilvitskii 2007).
 *
 * @param rows vectors of one length, at least one
 * @returns `count` centres; some are equal where there are fewer different rows
 */
export function kMeans(rows: readonly Float32Array[], count: number, random: Draws): Float32Array[] {
  const centres = chooseFirst(rows, count, random);
  for (let round = 0; round < ROUNDS; round++) moveToMiddle(centres, rows);
  return centres;
}

/** A row at random, then more: the farther from all that were chosen (squared), the likelier. */
function chooseFirst(rows: readonly Float32Array[], count: number, random: Draws): Float32Array[] {
  const centres = [(rows[random.int(rows.length)] as Float32Array).slice()];
  const distances = new Float64Array(rows.length).fill(Number.POSITIVE_INFINITY);
  while (centres.length < count) {
    let total = 0;
    for (const [i, row] of rows.entries()) {
      distances[i] = Math.min(distances[i] as number, distanceWithin(row, centres.at(-1) as Float32Array));
      total += distances[i] as number;
    }
    let rest = random.uniform() * total;
    const chosen = distances.findIndex((distance) => {
      rest -= distance;
      return rest < 0;
    });
    centres.push((rows[Math.max(0, chosen)] as Float32Array).slice());
  }
  return centres;
}

/** Puts each centre into the middle of the rows that are closest to it; one that has none stays where it is. */
function moveToMiddle(centres: readonly Float32Array[], rows: readonly Float32Array[]): void {
  const sums = centres.map((centre) => new Float64Array(centre.length));
  const sizes = new Float64Array(centres.length);
  for (const row of rows) {
    const index = closestCentre(centres, row);
    const sum = sums[index] as Float64Array;
    for (let k = 0; k < row.length; k++) sum[k] = (sum[k] as number) + (row[k] as number);
    sizes[index] = (sizes[index] as number) + 1;
  }
  for (const [i, centre] of centres.entries()) {
    if ((sizes[i] as number) > 0)
      centre.set((sums[i] as Float64Array).map((sum) => sum / (sizes[i] as number)));
  }
}

/** Index of the centre that a row is closest to, the first of equals. */
export function closestCentre(centres: readonly Float32Array[], row: Float32Array): number {
  let [closest, least] = [0, Number.POSITIVE_INFINITY];
  for (let index = 0; index < centres.length; index++) {
    const distance = distanceWithin(centres[index] as Float32Array, row, least);
    if (distance < least) [closest, least] = [index, distance];
  }
  return closest;
}

/** The squared distance, or something above `limit` when it is farther than that: it need not be summed to the end. */
function distanceWithin(a: Float32Array, b: Float32Array, limit = Number.POSITIVE_INFINITY): number {
  let sum = 0;
  for (let k = 0; k < a.length && sum <= limit; k++) sum += ((a[k] as number) - (b[k] as number)) ** 2;
  return sum;
}
