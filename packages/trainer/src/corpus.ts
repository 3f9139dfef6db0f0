import { type Dataset, FarmError, shardCount, shardOf, shardRange } from "@loc2vec/core";
import {
  type DatasetReader,
  listShards,
  type ObjectStore,
  openDataset,
  type ShardReader,
} from "@loc2vec/shards";
import { readRanges, writeRanges } from "./ranges.ts";

/**
 * One data set or several, as one: their shards and locations are numbered through, in the order of the data sets. Numbers
 * of the first are its own.
 */
export interface Corpus extends Pick<Dataset, "channels" | "pixels" | "samples"> {
  readonly readers: readonly DatasetReader[];
  readonly names: readonly string[];
  readonly shards: number;
  /** Which of the data sets a shard is of, as an index of `readers`. */
  setOf(shard: number): number;
  /** The locations [first, end) of a shard. */
  rangeOf(shard: number): { first: number; end: number };
  /** The shard that a location is in. */
  shardOf(location: number): number;
  shardKey(shard: number): string;
  openShard(shard: number, options?: { whole?: boolean }): Promise<CorpusShard | undefined>;
  /** The number here of a data set's own shard. */
  numberOf(set: number, own: number): number;
  /** What is numbered here, as its data set numbers it. */
  ownOf(row: Row): Row & { dataset: string };
}

/** A shard of which locations are numbered as in its {@link Corpus}. */
export type CorpusShard = Pick<ShardReader, "first" | "end" | "stored" | "isEmpty">;

/** A tile, by its numbers. */
interface Row {
  shard: number;
  location: number;
  sample: number;
}

/**
 * Opens the data sets of a training, in the order of their names: in which they are named makes no difference.
 *
 * @throws FarmError `usage` when one is named twice, or none is; `dataset-missing`; `dataset-mismatch` when they differ in what an
 *   encoder reads
 */
export async function openCorpus(store: ObjectStore, names: readonly string[]): Promise<Corpus> {
  const sorted = [...names].sort();
  const twice = sorted.find((name, i) => name === sorted[i + 1]);
  if (twice !== undefined || sorted.length === 0) {
    throw new FarmError(
      "usage",
      twice === undefined ? "no data set is named" : `data set ${twice} is named twice`,
      "name each data set once",
    );
  }
  return joinDatasets(await Promise.all(sorted.map((name) => openDataset(store, name))));
}

/** @throws FarmError `dataset-mismatch` naming two data sets and in what they differ */
export function joinDatasets(readers: readonly DatasetReader[]): Corpus {
  const [first, ...others] = readers as readonly [DatasetReader, ...DatasetReader[]];
  for (const other of others) checkAlike(first.dataset, other.dataset);
  const starts = [{ shard: 0, location: 0 }];
  for (const { dataset } of readers) {
    const { shard, location } = starts.at(-1) as (typeof starts)[number];
    starts.push({ shard: shard + shardCount(dataset), location: location + dataset.locations });
  }
  const end = starts.pop() as (typeof starts)[number];
  const find = (field: "shard" | "location", number: number) => {
    const set = starts.findLastIndex((start) => start[field] <= number);
    return { set, reader: readers[set] as DatasetReader, start: starts[set] as (typeof starts)[number] };
  };
  const { channels, pixels, samples } = first.dataset;
  return {
    ...{ readers, channels, pixels, samples, shards: end.shard },
    names: readers.map(({ dataset }) => dataset.name),
    setOf: (shard) => find("shard", shard).set,
    rangeOf(shard) {
      const { reader, start } = find("shard", shard);
      const { first, end } = shardRange(reader.dataset, shard - start.shard);
      return { first: start.location + first, end: start.location + end };
    },
    shardOf(location) {
      const { reader, start } = find("location", location);
      return start.shard + shardOf(reader.dataset, location - start.location);
    },
    shardKey(shard) {
      const { reader, start } = find("shard", shard);
      return reader.shardKey(shard - start.shard);
    },
    async openShard(shard, options) {
      const { reader, start } = find("shard", shard);
      const opened = await reader.openShard(shard - start.shard, options);
      return opened && renumber(opened, start.location);
    },
    numberOf: (set, own) => (starts[set] as (typeof starts)[number]).shard + own,
    ownOf({ shard, location, sample }) {
      const { reader, start } = find("shard", shard);
      const own = { shard: shard - start.shard, location: location - start.location, sample };
      return { dataset: reader.dataset.name, ...own };
    },
  };
}

/** A shard's locations numbered from `start` on. */
function renumber(shard: ShardReader, start: number): CorpusShard {
  return {
    first: start + shard.first,
    end: start + shard.end,
    stored: (location, sample) => shard.stored(location - start, sample),
    isEmpty: (location, sample) => shard.isEmpty(location - start, sample),
  };
}

/** Numbers of the shards that are rendered, ascending. */
export async function listRendered(store: ObjectStore, corpus: Corpus): Promise<number[]> {
  const bySet = await Promise.all(corpus.readers.map(({ dataset }) => listShards(store, dataset)));
  return bySet.flatMap((own, set) => [...own].sort((a, b) => a - b).map((id) => corpus.numberOf(set, id)));
}

/** Shards as settings keep them: the data set's own ids as ranges; of several data sets, a list of these. */
export function writeShards(corpus: Corpus, shards: readonly number[]): string | string[] {
  const bySet = corpus.readers.map((_, set) =>
    writeRanges(
      shards.filter((shard) => corpus.setOf(shard) === set).map((shard) => shard - corpus.numberOf(set, 0)),
    ),
  );
  return oneOrAll(bySet);
}

/** Undoes {@link writeShards}. */
export function readShards(corpus: Corpus, kept: string | readonly string[]): number[] {
  const bySet = [kept].flat();
  return corpus.readers.flatMap((_, set) =>
    readRanges(bySet[set] ?? "").map((own) => corpus.numberOf(set, own)),
  );
}

/** As settings keep what each data set of a training has: with one data set, that; with several, a list. */
export function oneOrAll<T>(all: readonly T[]): T | T[] {
  const [only] = all;
  return all.length === 1 ? (only as T) : [...all];
}

/** Names for people: `data set city`, `data sets city and suburbs`. */
export function describeNames(names: readonly string[]): string {
  return `data set${names.length > 1 ? "s" : ""} ${names.join(", ").replace(/, (?=[^,]*$)/, " and ")}`;
}

const DRAWN_ALIKE = "enqueue one of them anew with the other's profile and renderer";

/** What an encoder reads, and data sets of one training have in common: how it is told, and what mends a difference. */
const COMMON: readonly {
  of: (dataset: Dataset) => unknown;
  text: (dataset: Dataset) => string;
  mend: string;
}[] = [
  {
    of: ({ channels }) => channels.join(),
    text: ({ channels }) => `the channels ${channels.join(", ")}`,
    mend: DRAWN_ALIKE,
  },
  {
    of: ({ pixels }) => pixels,
    text: ({ pixels }) => `tiles of ${pixels} pixels`,
    mend: "render one of them anew with tiles of that size",
  },
  {
    of: ({ radius }) => radius,
    text: ({ radius }) => `tiles that reach ${radius} m`,
    mend: "render one of them anew with tiles of that reach",
  },
  {
    of: ({ samples }) => samples,
    text: ({ samples }) => `${samples - 1} positives of each location`,
    mend: "enqueue one of them anew with as many --positives as the other has",
  },
  {
    of: ({ source }) => source.styleHash,
    text: ({ source }) => `the cartography ${source.styleHash.slice(0, 12)}…, by ${source.renderer}`,
    mend: DRAWN_ALIKE,
  },
];

/** @throws FarmError `dataset-mismatch` when no encoder can be trained on both */
function checkAlike(a: Dataset, b: Dataset): void {
  const difference = COMMON.find(({ of }) => of(a) !== of(b));
  if (difference === undefined) return;
  const { text, mend } = difference;
  throw new FarmError(
    "dataset-mismatch",
    `data sets ${a.name} and ${b.name} cannot be trained on together: ${a.name} has ${text(a)}, ${b.name} has ${text(b)}`,
    mend,
  );
}
