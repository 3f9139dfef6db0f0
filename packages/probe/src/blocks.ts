import {
  distanceM,
  FarmError,
  METRES_PER_DEGREE,
  nearestOf,
  type Place,
  Purpose,
  randomOf,
} from "@loc2vec/core";

export interface GroundOptions {
  /** Side of a block, metres. */
  blockM: number;
  /** Rows nearer than this to a row that is asked for are not learned from, metres. */
  borderM: number;
  folds: number;
  /** Of where the blocks begin, and which fold each goes to. */
  seed: number;
}

/** What is learned from, and what is asked for: indices of rows, rising. */
export interface Fold {
  learn: number[];
  ask: number[];
}

/**
 * Numbers the blocks of ground: squares of about `blockM`, bands of latitude that are cut into columns of that width in their
 * middle. The seed shifts where they begin.
 *
 * @returns of each place the number of its block, from 0 in the order in which they are met
 */
export function blocksOf(places: readonly Place[], blockM: number, seed: number): Int32Array {
  const random = randomOf(seed, Purpose.probe, 1);
  const [north, east] = [random.uniform(), random.uniform()];
  const perDegree = METRES_PER_DEGREE / blockM;
  const numbers = new Map<string, number>();
  return Int32Array.from(places, ({ lon, lat }) => {
    const band = Math.floor(lat * perDegree + north);
    const cos = Math.cos((((band + 0.5 - north) / perDegree) * Math.PI) / 180);
    const key = `${band} ${Math.floor(lon * perDegree * cos + east)}`;
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
}

/**
 * Splits places by ground: whole blocks are asked for together, each in one fold, and folds have about equally many rows. What
 * lies nearer than the border to any place that is asked for is not learned from, so that no tile shows ground of both.
 *
 * @throws FarmError `input` where there are fewer blocks than folds, or a fold has nothing to learn from
 */
export function splitGround(
  places: readonly Place[],
  { blockM, borderM, folds, seed }: GroundOptions,
): Fold[] {
  const blockOf = blocksOf(places, blockM, seed);
  const foldOf = shareOut(blockOf, folds, seed);
  if (foldOf === undefined)
    throw new FarmError(
      "input",
      `the labelled places lie in ${new Set(blockOf).size} blocks of ${blockM} m, fewer than the ${folds} folds`,
      "give labels of more ground, or a smaller --block or --folds",
    );
  return Array.from({ length: folds }, (_, fold) => {
    const ask = rowsWhere(places, (row) => foldOf[blockOf[row] as number] === fold);
    const others = rowsWhere(places, (row) => foldOf[blockOf[row] as number] !== fold);
    const learn = apartFrom(places, others, ask, borderM);
    if (learn.length === 0)
      throw new FarmError(
        "input",
        `fold ${fold + 1}: every labelled place lies within ${borderM} m of one that is asked for`,
        "give labels of more ground, or a larger --block",
      );
    return { learn, ask };
  });
}

/** Those of some rows that lie no nearer than a border to any of some others. */
export function apartFrom(
  places: readonly Place[],
  rows: readonly number[],
  others: readonly number[],
  borderM: number,
): number[] {
  if (borderM <= 0) return [...rows];
  const asked = others.map((row) => places[row] as Place);
  const nearest = nearestOf(asked);
  return rows.filter((row) => {
    // Within a little more: the index reckons with a slightly smaller Earth.
    const near = nearest(places[row] as Place, { withinM: 1.001 * borderM });
    return near === undefined || distanceM(asked[near.index] as Place, places[row] as Place) >= borderM;
  });
}

const rowsWhere = (places: readonly Place[], holds: (row: number) => boolean): number[] =>
  [...places.keys()].filter(holds);

/** The fold of each block: the largest blocks first, each to the fold with the fewest rows; undefined for too few blocks. */
export function shareOut(blockOf: Int32Array, folds: number, seed: number): Int32Array | undefined {
  const blocks = blockOf.reduce((most, block) => Math.max(most, block + 1), 0);
  const rows = new Int32Array(blocks);
  for (const block of blockOf) rows[block] = (rows[block] as number) + 1;
  if (rows.filter((count) => count > 0).length < folds) return undefined;
  const order = randomOf(seed, Purpose.probe, 2).shuffle([...rows.keys()]);
  order.sort((a, b) => (rows[b] as number) - (rows[a] as number));
  const sums = new Array<number>(folds).fill(0);
  const foldOf = new Int32Array(blocks);
  for (const block of order) {
    const fold = sums.indexOf(Math.min(...sums));
    foldOf[block] = fold;
    sums[fold] = (sums[fold] as number) + (rows[block] as number);
  }
  return foldOf;
}
