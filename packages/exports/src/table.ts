import { openEmbeddings } from "@loc2vec/atlas";
import { FarmError, LOCATION_KINDS } from "@loc2vec/core";
import { type ObjectStore, openDataset } from "@loc2vec/shards";
import { gather } from "@loc2vec/space";

/** Rows that are held at a time, and that formats with groups of rows put into one. */
const BLOCK_ROWS = 65_536;

/** What the vectors of a table are of; all formats that can say it do. */
export interface Origin {
  dataset: string;
  /** SHA-256 of the data set's locations, hex. */
  locationsSha256: string;
  model: string;
  /** Of the checkpoint. */
  step: number;
  weightsSha256: string;
  /** Whom the map is owed to. */
  attribution: string;
}

/** Rows of a table, as columns. */
export interface TableBlock {
  /** Numbers of the locations in their data set, from 0, ascending. */
  location: Int32Array;
  /** Degrees, WGS 84. */
  lon: Float64Array;
  lat: Float64Array;
  /** `visit` or `transport`. */
  kind: readonly string[];
  /** Null where a location has none. All are where the table has no labels. */
  label: readonly (string | null)[];
  /** Float32 [rows, size], C order. */
  vectors: Float32Array;
}

/** Embeddings with where and what they are of, a location a row; read block by block. */
export interface EmbeddingTable {
  readonly rows: number;
  /** Numbers of a vector. */
  readonly size: number;
  /** Whether any location has a label. */
  readonly labelled: boolean;
  readonly origin: Origin;
  /** In the order of the locations. @throws FarmError `damaged`, naming what is */
  blocks(): AsyncIterable<TableBlock>;
}

export interface TableOptions {
  /** So many locations, spread evenly over the data set's list. Default: all. */
  sample?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Rows done so far, of how many: a block is done when the next one is asked for. */
  onProgress?: ((done: number, all: number) => void) | undefined;
}

/**
 * Opens what a model made of a data set as a table. A block is held at a time, and the labels.
 *
 * @throws FarmError `embeddings-missing`; `dataset-mismatch`; `damaged`; `dataset-missing`; `input` for more rows than there are
 */
export async function openTable(
  store: ObjectStore,
  dataset: string,
  model: string,
  { sample, signal, onProgress }: TableOptions = {},
): Promise<EmbeddingTable> {
  const reader = await openDataset(store, dataset);
  const embeddings = await openEmbeddings(store, reader, model);
  const labels = await reader.labels();
  const n = reader.dataset.locations;
  const rows = sample ?? n;
  if (!(Number.isInteger(rows) && rows >= 1 && rows <= n))
    throw new FarmError(
      "input",
      `a sample of ${rows}: data set ${dataset} has ${n} locations`,
      `ask for 1 to ${n}`,
    );
  const { size, step, weightsSha256 } = embeddings;
  return {
    ...{ rows, size, labelled: labels.size > 0 },
    origin: {
      ...{ dataset, locationsSha256: reader.identity.locationsSha256, model, step, weightsSha256 },
      attribution: reader.dataset.attribution,
    },
    async *blocks() {
      let done = 0;
      for (let first = 0; first < n; first += BLOCK_ROWS) {
        signal?.throwIfAborted();
        const end = Math.min(n, first + BLOCK_ROWS);
        const chosen = sampleWithin(first, end, rows, n);
        if (chosen.length === 0) continue;
        const [{ lon, lat, kind }, vectors] = await Promise.all([
          reader.locations(first, end),
          embeddings.rows(first, end),
        ]);
        const all = { lon, lat, vectors, kindOf: (i: number) => LOCATION_KINDS[kind[i] as number] as string };
        yield toBlock(chosen, { ...all, first, labelOf: (location) => labels.get(location) }, size);
        done += chosen.length;
        onProgress?.(done, rows);
      }
    },
  };
}

/** Which locations of [first, end) belong to a sample of `rows` of all `n`: row i is location ⌊i n / rows⌋. */
function sampleWithin(first: number, end: number, rows: number, n: number): Int32Array {
  const [from, to] = [Math.ceil((first * rows) / n), Math.ceil((end * rows) / n)];
  return Int32Array.from({ length: to - from }, (_, i) => Math.floor(((from + i) * n) / rows));
}

/** Columns of the locations from `first` on, all that are there. */
export interface Columns {
  first: number;
  lon: Float64Array;
  lat: Float64Array;
  vectors: Float32Array;
  /** By place in the columns. */
  kindOf(i: number): string;
  /** By number of the location. */
  labelOf(location: number): string | undefined;
}

/** Some locations of columns that have them all. */
export function toBlock(locations: Int32Array, columns: Columns, size: number): TableBlock {
  const { first, lon, lat, vectors, kindOf, labelOf } = columns;
  return {
    location: locations,
    lon: Float64Array.from(locations, (location) => lon[location - first] as number),
    lat: Float64Array.from(locations, (location) => lat[location - first] as number),
    kind: Array.from(locations, (location) => kindOf(location - first)),
    label: Array.from(locations, (location) => labelOf(location) ?? null),
    vectors: gather(
      vectors,
      size,
      locations.map((location) => location - first),
    ),
  };
}
