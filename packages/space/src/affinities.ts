import { createLeast, scan } from "./scan.ts";

/** Halvings of the interval of a row's precision, and how exact its entropy must be, as in scikit-learn. */
const STEPS = 100;
const TOLERANCE = 1e-5;
/** Sum below which a row's affinities count as none. */
const TINY = 1e-300;

/** Nearest rows of each row, and how much each of them belongs to it. */
export interface Conditional {
  /** Int32 [n, count]. */
  neighbours: Int32Array;
  /** Float64 [n, count]: p(neighbour | row); a row's sum is 1. */
  shares: Float64Array;
}

/** Affinities of pairs, symmetric; the sum of all is 1. In compressed sparse rows. */
export interface Affinities {
  /** Int32 [n + 1]: where each row begins in the others. */
  starts: Int32Array;
  others: Int32Array;
  values: Float64Array;
}

/**
 * Conditional affinities of the rows from … to − 1: Gaussians about each, as wide as makes the perplexity of its neighbours the
 * one that is asked for (van der Maaten & Hinton 2008, §2).
 *
 * @param vectors float32 [n, size], C order
 * @param target receives them, all rows' arrays
 */
export function findConditional(
  vectors: Float32Array,
  size: number,
  perplexity: number,
  { from, to, count }: { from: number; to: number; count: number },
  target: Conditional,
): void {
  const least = createLeast(count);
  const squares = new Float64Array(count);
  for (let row = from; row < to; row++) {
    const query = Float64Array.from(vectors.subarray(row * size, (row + 1) * size));
    scan(vectors, size, query, least, (other) => other !== row);
    const at = row * count;
    least.drain(target.neighbours.subarray(at, at + count), squares);
    spread(squares, perplexity, target.shares.subarray(at, at + count));
  }
}

/** Shares exp(−β d²) / Σ, with the β whose entropy is log(perplexity), found by halving. @param squares ascending */
export function spread(squares: Float64Array, perplexity: number, shares: Float64Array): void {
  const wanted = Math.log(perplexity);
  const nearest = squares[0] as number;
  let [beta, low, high] = [1, 0, Number.POSITIVE_INFINITY];
  for (let step = 0; step < STEPS; step++) {
    let [sum, weighted] = [0, 0];
    for (let i = 0; i < squares.length; i++) {
      // Measured from the nearest, which changes no share, the sum is at least 1.
      const square = (squares[i] as number) - nearest;
      const value = Math.exp(-square * beta);
      shares[i] = value;
      sum += value;
      weighted += square * value;
    }
    const entropy = Math.log(sum) + (beta * weighted) / sum;
    for (let i = 0; i < squares.length; i++) shares[i] = (shares[i] as number) / sum;
    if (Math.abs(entropy - wanted) <= TOLERANCE) return;
    if (entropy > wanted) low = beta;
    else high = beta;
    beta = high === Number.POSITIVE_INFINITY ? beta * 2 : (low + high) / 2;
  }
}

/** p(i, j) = (p(j | i) + p(i | j)) / 2 n. The others of a row are in ascending order. */
export function symmetrize({ neighbours, shares }: Conditional, count: number): Affinities {
  const rows = neighbours.length / count;
  // Each pair stands in both its rows, and if both name each other, twice: those are joined afterwards.
  const places = new Int32Array(rows + 1);
  for (let i = 0; i < neighbours.length; i++) {
    bump(places, Math.floor(i / count) + 1);
    bump(places, (neighbours[i] as number) + 1);
  }
  for (let row = 0; row < rows; row++)
    places[row + 1] = (places[row + 1] as number) + (places[row] as number);
  const [doubles, halves] = [new Int32Array(2 * neighbours.length), new Float64Array(2 * neighbours.length)];
  const next = places.slice();
  const put = (row: number, other: number, share: number): void => {
    const at = next[row] as number;
    [doubles[at], halves[at], next[row]] = [other, share, at + 1];
  };
  for (let i = 0; i < neighbours.length; i++) {
    const [row, other] = [Math.floor(i / count), neighbours[i] as number];
    put(row, other, shares[i] as number);
    put(other, row, shares[i] as number);
  }
  return join(places, doubles, halves);
}

function bump(counts: Int32Array, at: number): void {
  counts[at] = (counts[at] as number) + 1;
}

/** Adds up what stands twice in a row, and divides all by their sum. */
function join(places: Int32Array, doubles: Int32Array, halves: Float64Array): Affinities {
  const rows = places.length - 1;
  const starts = new Int32Array(rows + 1);
  const [others, values] = [new Int32Array(doubles.length), new Float64Array(doubles.length)];
  let [at, total] = [0, 0];
  for (let row = 0; row < rows; row++) {
    const order = Array.from(
      { length: (places[row + 1] as number) - (places[row] as number) },
      (_, i) => (places[row] as number) + i,
    ).sort((a, b) => (doubles[a] as number) - (doubles[b] as number) || a - b);
    for (const from of order) {
      const other = doubles[from] as number;
      if (at > (starts[row] as number) && others[at - 1] === other)
        values[at - 1] = (values[at - 1] as number) + (halves[from] as number);
      else [others[at], values[at], at] = [other, halves[from] as number, at + 1];
      total += halves[from] as number;
    }
    starts[row + 1] = at;
  }
  const scale = 1 / Math.max(TINY, total);
  return {
    starts,
    others: others.slice(0, at),
    values: values.subarray(0, at).map((value) => value * scale),
  };
}
