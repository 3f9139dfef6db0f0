import type { Embedder } from "@loc2vec/encoder";

/** Tiles that are embedded at a time: more are no faster, and JavaScript waits meanwhile. */
const MOST = 32;
/** How long a tile waits for others to come, milliseconds. */
const WAIT_MS = 4;

export interface Batches {
  /** A tile's vector, float32. @param tile planar uint8 [channel, y, x] */
  embed(tile: Uint8Array): Promise<Float32Array>;
  /** Waits for what was given; nothing more is taken. */
  close(): Promise<void>;
}

interface Waiting {
  tile: Uint8Array;
  resolve(vector: Float32Array): void;
  reject(error: unknown): void;
}

/**
 * Embeds tiles of whoever asks together: those that come within {@link WAIT_MS} share a batch of at most {@link MOST}.
 *
 * @param size numbers of a vector
 * @param onBatch told how many tiles a batch had, and how long it took, milliseconds
 */
export function openBatches(
  embedder: Embedder,
  size: number,
  onBatch: (tiles: number, ms: number) => void,
): Batches {
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, MOST);
      waiting = waiting.slice(MOST);
      const begin = performance.now();
      try {
        const vectors = await embedder.embed(batch.map(({ tile }) => tile));
        for (const [i, { resolve }] of batch.entries()) resolve(vectors.slice(i * size, (i + 1) * size));
        onBatch(batch.length, performance.now() - begin);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      // Requests are heard between any two.
      await new Promise((resolve) => setImmediate(resolve));
    }
    running = undefined;
  };
  const start = (): void => {
    clearTimeout(timer);
    timer = undefined;
    running ??= run();
  };
  return {
    embed(tile) {
      return new Promise((resolve, reject) => {
        waiting.push({ tile, resolve, reject });
        if (running !== undefined) return;
        if (waiting.length >= MOST) start();
        else timer ??= setTimeout(start, WAIT_MS);
      });
    },
    async close() {
      start();
      await running;
    },
  };
}

/** Lets in so many at a time. */
export interface Gate {
  enter<T>(work: () => Promise<T>): Promise<T>;
  /** @throws what it refuses with, where so many more may not wait */
  check(more: number): void;
  /** How many wait. */
  waiting(): number;
}

/**
 * Lets so many in at a time; the others wait in turn.
 *
 * @param limit of those that wait
 * @param refuse makes the error for who would have to wait behind them
 */
export function openGate(places: number, limit: number, refuse: () => Error): Gate {
  let free = places;
  const queue: (() => void)[] = [];
  return {
    waiting: () => queue.length,
    check(more) {
      if (queue.length + more > limit) throw refuse();
    },
    async enter(work) {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => queue.push(resolve));
      try {
        return await work();
      } finally {
        const next = queue.shift();
        if (next === undefined) free++;
        else next();
      }
    },
  };
}
