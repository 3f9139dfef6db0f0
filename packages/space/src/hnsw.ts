import { setImmediate } from "node:timers/promises";
import { errorMessage, FarmError } from "@loc2vec/core";

/** Rows that are added before others get a turn. */
const PIECE = 1000;
/** Links of a node, and how many candidates are looked at when it is added and when it is searched for (Malkov & Yashunin 2018: M, efConstruction, ef). */
const [LINKS, WHEN_ADDED, WHEN_SEARCHED] = [16, 64, 96];

/** What an index follows from, beside the vectors and their order. */
export const HNSW_SETTINGS = { library: "usearch 2", links: LINKS, whenAdded: WHEN_ADDED } as const;

export interface BuildOptions {
  /** Rows done so far, of how many. */
  onProgress?: ((done: number, all: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Rows near a query, most of them the nearest, in no order to rely on. */
export type Approximate = (query: Float32Array, count: number) => Int32Array;

/** Native code, loaded when there is something to index. */
async function loadUsearch() {
  try {
    return (await import("usearch")).default;
  } catch (error) {
    throw new FarmError(
      "missing",
      `usearch does not load: ${errorMessage(error)}`,
      "npm run setup; without an index, ask for the method exact",
      { cause: error },
    );
  }
}

/**
 * A graph for approximate search (HNSW, by usearch). It is built by one thread, row by row: the same vectors give the same
 * graph on the same kind of CPU.
 *
 * @param vectors float32 [n, size], C order; they are copied
 */
export async function buildHnsw(
  vectors: Float32Array,
  size: number,
  options: BuildOptions,
): Promise<Approximate> {
  return searching(await fill(vectors, size, options));
}

/** Builds the same graph into a file, for {@link viewHnsw}. */
export async function saveHnsw(vectors: Float32Array, size: number, path: string): Promise<void> {
  (await fill(vectors, size, {})).save(path);
}

/**
 * Searches a graph in a file, of which only what is looked at is read. The file may be renamed or removed meanwhile, but not
 * written to.
 *
 * @throws Error where the file is no graph of so many rows of this size
 */
export async function viewHnsw(path: string, rows: number, size: number): Promise<Approximate> {
  const index = await createIndex(size);
  index.view(path);
  if (index.size() !== rows || index.dimensions() !== size)
    throw new Error(`${index.size()} rows of ${index.dimensions()} numbers, not ${rows} of ${size}`);
  return searching(index);
}

async function createIndex(size: number) {
  const usearch = await loadUsearch();
  return new usearch.Index({
    dimensions: size,
    metric: usearch.MetricKind.L2sq,
    quantization: usearch.ScalarKind.F32,
    connectivity: LINKS,
    expansion_add: WHEN_ADDED,
    expansion_search: WHEN_SEARCHED,
    multi: false,
  });
}

type Index = Awaited<ReturnType<typeof createIndex>>;

async function fill(
  vectors: Float32Array,
  size: number,
  { onProgress, signal }: BuildOptions,
): Promise<Index> {
  const index = await createIndex(size);
  const all = vectors.length / size;
  for (let from = 0; from < all; from += PIECE) {
    signal?.throwIfAborted();
    const to = Math.min(all, from + PIECE);
    const keys = BigUint64Array.from({ length: to - from }, (_, i) => BigInt(from + i));
    index.add(keys, vectors.subarray(from * size, to * size), 1);
    onProgress?.(to, all);
    await setImmediate();
  }
  return index;
}

const searching =
  (index: Index): Approximate =>
  (query, count) =>
    Int32Array.from(index.search(query, count, 1).keys, Number);
