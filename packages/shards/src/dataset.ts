import { createHash, type Hash } from "node:crypto";
import {
  type Completion,
  checkName,
  checkSource,
  DATASET_VERSION,
  type Dataset,
  type DatasetIdentity,
  datasetSchema,
  FarmError,
  kindCode,
  type Location,
  locationTransforms,
  shardCount,
} from "@loc2vec/core";
import { canonicalJson } from "@loc2vec/numeric";
import { z } from "zod";
import { CHUNK_ROWS, createArray, openArray, type StoredArray } from "./array.ts";
import { DEFAULT_ZSTD_LEVEL } from "./compression.ts";
import { readLines, writeLines } from "./lines.ts";
import { describe, groupMetadata, readGroup, tilesMetadata, writeMetadata } from "./metadata.ts";
import { quarantinePrefix } from "./quarantine.ts";
import {
  checkShard,
  checkShardObject,
  encodeShard,
  openShard,
  type ShardReader,
  shardKey,
  type Tiles,
} from "./shard.ts";
import type { ObjectStore } from "./store.ts";

const completionSchema = z.object({
  shards: z.int(),
  tiles: z.int(),
  empty: z.int(),
  bytes: z.number(),
  quarantined: z.int(),
}) satisfies z.ZodType<Completion>;

/** The key under which a data set lies. */
export function datasetPrefix(name: string): string {
  return `datasets/${checkName("data set", name)}`;
}

/** What the group says of its locations, so that the same list can be told from another one. */
const LOCATIONS_HASH = "locations_sha256";

/**
 * Writes all of a data set but its tiles: coordinates, kinds, transforms, labels. The group's metadata come last: until
 * then the data set does not exist, and a creation that broke off is simply begun again.
 *
 * Creating the same data set again changes nothing. Locations are streamed: memory does not grow with their number
 * (labels are kept until the end).
 *
 * @throws FarmError `data` naming what differs, when there is another data set of that name
 * @throws FarmError `input` for a wrong number of locations, or one whose coordinates are not on the globe
 */
export async function createDataset(
  store: ObjectStore,
  dataset: Dataset,
  locations: AsyncIterable<Location> | Iterable<Location>,
): Promise<void> {
  const parsed = datasetSchema.parse(dataset);
  const prefix = datasetPrefix(parsed.name);
  const hash = createHash("sha256");
  const existing = await readGroup(store, prefix);
  if (existing !== undefined) {
    assertSame(store, parsed, existing);
    for await (const block of blocksOf(parsed, locations)) hashBlock(hash, block);
    assertSameLocations(store, parsed, existing, hash.digest("hex"));
    return;
  }
  await removeLeftovers(store, prefix, parsed.name);
  const labels = await writeLocations(store, prefix, parsed, locations, hash);
  if (labels.length > 0) await writeLines(store, `${prefix}/labels`, "label_byte", labels);
  await writeMetadata(store, `${prefix}/tiles`, tilesMetadata(parsed, DEFAULT_ZSTD_LEVEL));
  const digest = hash.digest("hex");
  const group = groupMetadata({ loc2vec: parsed, [LOCATIONS_HASH]: digest });
  if (await writeMetadata(store, prefix, group, true)) return;
  const winner = (await readGroup(store, prefix)) ?? {};
  assertSame(store, parsed, winner);
  assertSameLocations(store, parsed, winner, digest);
}

/** Locations as columns. */
export interface Coordinates {
  /** Degrees, WGS 84. */
  lon: Float64Array;
  lat: Float64Array;
  /** Index into core's LOCATION_KINDS. */
  kind: Uint8Array;
}

export interface DatasetReader {
  readonly dataset: Dataset;
  /** What tells it from any other, also from one made anew under its name. */
  readonly identity: DatasetIdentity;
  /** The locations [first, end). @throws FarmError `data` naming the chunk that is missing or damaged */
  locations(first: number, end: number): Promise<Coordinates>;
  /** The labels that locations were given, by index of the location. */
  labels(): Promise<Map<number, string>>;
  /** Set when all shards are there and checked. */
  readonly complete: Completion | undefined;
  /** Why locations could not be rendered, by index of the location, once the data set is complete. Their tiles are empty. */
  quarantine(): Promise<Map<number, string>>;
  shardKey(shard: number): string;
  /** See {@link openShard}. */
  openShard(shard: number, options?: { whole?: boolean }): Promise<ShardReader | undefined>;
}

/**
 * @throws FarmError `input` when there is no such data set
 * @throws FarmError `data` when it is damaged, or of another version
 */
export async function openDataset(store: ObjectStore, name: string): Promise<DatasetReader> {
  const prefix = datasetPrefix(name);
  const attributes = await readGroup(store, prefix);
  if (attributes === undefined) {
    throw new FarmError(
      "dataset-missing",
      `there is no data set ${name} in ${store.url}`,
      "make it with pnpm farm:enqueue",
    );
  }
  const dataset = parseDataset(store, name, attributes);
  const opened = new Map<string, Promise<StoredArray>>();
  const column = <T extends "float64" | "uint8">(which: string, dtype: T): Promise<StoredArray<T>> => {
    const array = opened.get(which) ?? requireArray(store, `${prefix}/${which}`, dtype, dataset.locations);
    opened.set(which, array);
    array.catch(() => opened.delete(which)); // so that a store that was away for a moment is asked again
    return array as Promise<StoredArray<T>>;
  };
  return {
    dataset,
    identity: {
      name,
      seed: dataset.seed,
      locationsSha256: z.string().parse(attributes[LOCATIONS_HASH]),
      source: dataset.source,
    },
    complete: completionSchema.safeParse(attributes.complete).data,
    async locations(first, end) {
      const [lon, lat, kind] = await Promise.all([
        column("lon", "float64").then((array) => array.rows(first, end)),
        column("lat", "float64").then((array) => array.rows(first, end)),
        column("kind", "uint8").then((array) => array.rows(first, end)),
      ]);
      return { lon, lat, kind };
    },
    labels: () => readLines(store, `${prefix}/labels`),
    quarantine: () => readLines(store, `${prefix}/quarantine`),
    shardKey: (shard) => shardKey(dataset.name, shard),
    openShard: (shard, options) => openShard(store, dataset, shard, options),
  };
}

/** A shard object. The same tiles always give the same one. */
export interface ShardFacts {
  tiles: number;
  /** Tiles of zeros only. */
  empty: number;
  /** Size of the object. */
  bytes: number;
  /** SHA-256 of the object, hex. */
  sha256: string;
}

export interface WrittenShard extends ShardFacts {
  encodeMs: number;
  writeMs: number;
}

/** Encodes tiles as they come (see {@link encodeShard}) and writes the shard object, replacing any that is there. */
export async function writeShard(
  store: ObjectStore,
  dataset: Dataset,
  shard: number,
  tiles: Tiles,
  level: number = DEFAULT_ZSTD_LEVEL,
): Promise<WrittenShard> {
  checkShard(dataset, shard);
  const { bytes, ...encoded } = await encodeShard(dataset, shard, tiles, level);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const started = performance.now();
  await store.put(shardKey(dataset.name, shard), bytes);
  return { ...encoded, bytes: bytes.length, sha256, writeMs: performance.now() - started };
}

/** The shards whose objects are there. */
export async function listShards(
  store: ObjectStore,
  dataset: Pick<Dataset, "name" | "locations" | "shardLocations">,
): Promise<Set<number>> {
  const prefix = `${datasetPrefix(dataset.name)}/tiles/c/`;
  const count = shardCount(dataset);
  const shards = new Set<number>();
  for await (const key of store.list(prefix)) {
    const match = /^(0|[1-9]\d*)\/0\/0\/0\/0$/.exec(key.slice(prefix.length));
    if (match !== null && Number(match[1]) < count) shards.add(Number(match[1]));
  }
  return shards;
}

/**
 * Reads a whole shard, in one request, and compares every checksum in it. Undefined when there is no such object.
 *
 * @throws FarmError `data` naming the object and the tile that is damaged
 */
export async function inspectShard(
  store: ObjectStore,
  dataset: Dataset,
  shard: number,
): Promise<ShardFacts | undefined> {
  checkShard(dataset, shard);
  const key = shardKey(dataset.name, shard);
  const object = await store.get(key);
  if (object === undefined) return undefined;
  const counts = checkShardObject(dataset, shard, object, `${key} in ${store.url}`);
  return { ...counts, bytes: object.length, sha256: createHash("sha256").update(object).digest("hex") };
}

interface Block extends Coordinates {
  lon: Float64Array<ArrayBuffer>;
  lat: Float64Array<ArrayBuffer>;
  kind: Uint8Array<ArrayBuffer>;
  first: number;
  /** (location, label) of those that have one. */
  labels: readonly (readonly [number, string])[];
}

/** Gathers locations into the blocks that are stored as one chunk. */
async function* blocksOf(
  dataset: Dataset,
  locations: AsyncIterable<Location> | Iterable<Location>,
): AsyncGenerator<Block> {
  const total = dataset.locations;
  let held: Location[] = [];
  let count = 0;
  for await (const location of locations) {
    if (count === total)
      throw new FarmError("input", `data set ${dataset.name}: more than ${total} locations`);
    const { lon, lat } = location;
    if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 90)) {
      throw new FarmError(
        "input",
        `data set ${dataset.name}, location ${count}: ${lon}, ${lat} is not on the globe`,
      );
    }
    held.push(location);
    count++;
    if (held.length < CHUNK_ROWS && count < total) continue;
    yield toBlock(held, count - held.length);
    held = [];
  }
  if (count < total)
    throw new FarmError("input", `data set ${dataset.name}: ${count} locations, not ${total}`);
}

function toBlock(locations: readonly Location[], first: number): Block {
  return {
    first,
    lon: Float64Array.from(locations, ({ lon }) => lon),
    lat: Float64Array.from(locations, ({ lat }) => lat),
    kind: Uint8Array.from(locations, ({ kind }) => kindCode(kind)),
    labels: locations.flatMap(({ label }, i) => (label === undefined ? [] : [[first + i, label] as const])),
  };
}

function hashBlock(hash: Hash, { lon, lat, kind, labels }: Block): void {
  hash.update(lon).update(lat).update(kind).update(JSON.stringify(labels));
}

/** Writes the arrays of locations and transforms. Returns the labels. */
async function writeLocations(
  store: ObjectStore,
  prefix: string,
  dataset: Dataset,
  locations: AsyncIterable<Location> | Iterable<Location>,
  hash: Hash,
): Promise<Block["labels"][number][]> {
  const { locations: n, samples: s } = dataset;
  const perLocation = { shape: [n], dimensionNames: ["location"] };
  const lon = createArray(store, `${prefix}/lon`, {
    ...perLocation,
    dtype: "float64",
    attributes: { units: "degrees_east", crs: "EPSG:4326" },
  });
  const lat = createArray(store, `${prefix}/lat`, {
    ...perLocation,
    dtype: "float64",
    attributes: { units: "degrees_north", crs: "EPSG:4326" },
  });
  const kind = createArray(store, `${prefix}/kind`, {
    ...perLocation,
    dtype: "uint8",
    attributes: { flag_values: [0, 1], flag_meanings: "visit transport" },
  });
  const rotation = createArray(store, `${prefix}/rotation`, {
    shape: [n, s],
    dtype: "float32",
    dimensionNames: ["location", "sample"],
    attributes: { units: "degrees clockwise" },
  });
  const offset = createArray(store, `${prefix}/offset`, {
    shape: [n, s, 2],
    dtype: "float32",
    dimensionNames: ["location", "sample", "axis"],
    attributes: { units: "m", axis: ["east", "north"] },
  });
  const labels: Block["labels"][number][] = [];
  for await (const block of blocksOf(dataset, locations)) {
    hashBlock(hash, block);
    for (const label of block.labels) labels.push(label);
    const index = block.first / CHUNK_ROWS;
    const transforms = transformsOf(dataset, block.first, block.lon.length);
    await Promise.all([
      lon.chunk(index, block.lon),
      lat.chunk(index, block.lat),
      kind.chunk(index, block.kind),
      rotation.chunk(index, transforms.rotation),
      offset.chunk(index, transforms.offset),
    ]);
  }
  await Promise.all([lon, lat, kind, rotation, offset].map((array) => array.finish()));
  return labels;
}

/** float32 [count, sample] and [count, sample, (east, north)]. */
function transformsOf(
  dataset: Dataset,
  first: number,
  count: number,
): { rotation: Float32Array; offset: Float32Array } {
  const rotation = new Float32Array(count * dataset.samples);
  const offset = new Float32Array(2 * rotation.length);
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (const transform of locationTransforms(dataset, first + i)) {
      rotation[at] = transform.rotation;
      offset[2 * at] = transform.dx;
      offset[2 * at + 1] = transform.dy;
      at++;
    }
  }
  return { rotation, offset };
}

/** Removes what an earlier creation, or a data set that was removed by half, left under the prefix. */
async function removeLeftovers(store: ObjectStore, prefix: string, name: string): Promise<void> {
  for (const prefixToRemove of [`${prefix}/`, quarantinePrefix(name)]) {
    for await (const key of store.list(prefixToRemove)) await store.remove(key);
  }
}

async function requireArray<T extends "float64" | "uint8">(
  store: ObjectStore,
  prefix: string,
  dtype: T,
  rows: number,
): Promise<StoredArray<T>> {
  const array = await openArray(store, prefix, dtype);
  if (array === undefined) throw new FarmError("damaged", `${prefix} in ${store.url}: the array is missing`);
  if (array.shape.length !== 1 || array.shape[0] !== rows) {
    throw new FarmError("damaged", `${prefix} in ${store.url}: shape ${array.shape}, not ${rows}`);
  }
  return array;
}

function parseDataset(
  store: ObjectStore,
  name: string,
  attributes: Readonly<Record<string, unknown>>,
): Dataset {
  const described = z.object({ version: z.number() }).safeParse(attributes.loc2vec);
  const parsed = datasetSchema.safeParse(attributes.loc2vec);
  const refuse = (why: string): never => {
    throw new FarmError(
      "data",
      `data set ${name} in ${store.url}: ${why}`,
      "make it again under another name",
    );
  };
  if (described.success && described.data.version !== DATASET_VERSION)
    return refuse(
      `it is of version ${described.data.version}, and this farm reads version ${DATASET_VERSION}`,
    );
  if (!parsed.success) return refuse(`its attributes do not fit: loc2vec.${describe(parsed.error)}`);
  if (parsed.data.name !== name) refuse(`it says that its name is ${parsed.data.name}`);
  return parsed.data;
}

const ANOTHER_NAME = "choose another name, or remove the data set";

function assertSame(
  store: ObjectStore,
  dataset: Dataset,
  attributes: Readonly<Record<string, unknown>>,
): void {
  const existing = parseDataset(store, dataset.name, attributes);
  checkSource(existing, dataset.source, "the new one");
  const { source: _, ...fields } = datasetSchema.shape;
  for (const field of Object.keys(fields) as (keyof Dataset)[]) {
    const [was, is] = [canonicalJson(existing[field]), canonicalJson(dataset[field])];
    if (was === is) continue;
    throw new FarmError(
      "dataset-mismatch",
      `data set ${dataset.name} exists in ${store.url} with ${field} ${was}, not ${is}`,
      ANOTHER_NAME,
    );
  }
}

function assertSameLocations(
  store: ObjectStore,
  dataset: Dataset,
  attributes: Readonly<Record<string, unknown>>,
  digest: string,
): void {
  if (attributes[LOCATIONS_HASH] === digest) return;
  throw new FarmError(
    "dataset-mismatch",
    `data set ${dataset.name} exists in ${store.url} with other locations`,
    ANOTHER_NAME,
  );
}
