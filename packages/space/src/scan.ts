/** Keeps the `count` least of the squares that it is offered; of equal ones, those of the least rows. */
export interface Least {
  /** What a square must be below to be kept; infinite while there is room. Squares of later rows alone may be compared with it. */
  limit(): number;
  /** Rows must be offered in ascending order. @param square below the limit */
  offer(row: number, square: number): void;
  /** Takes out all that are kept, in ascending order, rows deciding between equal ones. @returns how many */
  drain(rows: Int32Array, squares: Float64Array): number;
}

/** A heap of bounded size, whose top is the greatest that is kept (Williams 1964). @param count at least 1 */
export function createLeast(count: number): Least {
  const rows = new Int32Array(count);
  const squares = new Float64Array(count);
  let held = 0;
  const sink = (row: number, square: number): void => {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= held) break;
      if (
        child + 1 < held &&
        isAfter(rows, squares, child + 1, squares[child] as number, rows[child] as number)
      )
        child++;
      if (!isAfter(rows, squares, child, square, row)) break;
      rows[at] = rows[child] as number;
      squares[at] = squares[child] as number;
      at = child;
    }
    rows[at] = row;
    squares[at] = square;
  };
  const rise = (row: number, square: number): void => {
    let at = held++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isAfter(rows, squares, parent, square, row)) break;
      rows[at] = rows[parent] as number;
      squares[at] = squares[parent] as number;
      at = parent;
    }
    rows[at] = row;
    squares[at] = square;
  };
  return {
    limit: () => (held < count ? Number.POSITIVE_INFINITY : (squares[0] as number)),
    offer: (row, square) => (held < count ? rise(row, square) : sink(row, square)),
    drain(toRows, toSquares) {
      const all = held;
      while (held > 0) {
        const last = held - 1;
        toRows[last] = rows[0] as number;
        toSquares[last] = squares[0] as number;
        held = last;
        sink(rows[last] as number, squares[last] as number);
      }
      return all;
    },
  };
}

/** Whether the entry at `at` comes after (square, row). */
function isAfter(rows: Int32Array, squares: Float64Array, at: number, square: number, row: number): boolean {
  const own = squares[at] as number;
  return own > square || (own === square && (rows[at] as number) > row);
}

/** Numbers that are summed before it is looked whether a row is too far already. */
const STRIDE = 8;

/**
 * Offers all rows to a {@link Least} by their squared distances from a query.
 *
 * @param vectors float32 [n, size], C order
 * @param query float64 [size]
 * @param allowed leaves rows out; it is asked of near ones alone
 */
export function scan(
  vectors: Float32Array,
  size: number,
  query: Float64Array,
  least: Least,
  allowed?: (row: number) => boolean,
): void {
  let limit = least.limit();
  for (let at = 0, row = 0; at < vectors.length; at += size, row++) {
    let sum = 0;
    for (let from = 0; from < size && sum < limit; from += STRIDE) {
      const to = Math.min(size, from + STRIDE);
      for (let k = from; k < to; k++) {
        const difference = (vectors[at + k] as number) - (query[k] as number);
        sum += difference * difference;
      }
    }
    if (sum < limit && (allowed === undefined || allowed(row))) {
      least.offer(row, sum);
      limit = least.limit();
    }
  }
}
