import { readEmbeddings } from "@loc2vec/atlas";
import { type CheckpointChoice, checkName, type Dataset, FarmError } from "@loc2vec/core";
import { type ObjectStore, openDataset } from "@loc2vec/shards";
import { type Checkpoint, checkCartography, openCheckpoint, openTiles } from "@loc2vec/trainer";

/** A data set that a model has embedded, as it is explored. */
export interface Embedded {
  readonly dataset: Dataset;
  /** SHA-256 of its locations, hex. */
  readonly locationsSha256: string;
  readonly model: string;
  /** That made the vectors. */
  readonly checkpoint: Checkpoint;
  /** Numbers of a vector. */
  readonly size: number;
  /** float32 [locations, size], C order. */
  readonly vectors: Float32Array;
  /** Degrees, WGS 84; `kind` is an index into core's LOCATION_KINDS. */
  readonly places: { lon: Float64Array; lat: Float64Array; kind: Uint8Array };
  readonly labels: ReadonlyMap<number, string>;
  /** Anchors of locations, planar uint8 [channel, y, x] each. @throws FarmError `shards-missing`, `damaged` */
  tiles(locations: readonly number[]): Promise<Uint8Array[]>;
}

/**
 * Opens a data set that a model has embedded, from the store alone.
 *
 * @throws FarmError `dataset-missing`, `model-missing`, `embeddings-missing`; `cartography-mismatch` where the model reads other
 *   channels than the data set has
 */
export async function openEmbedded(
  store: ObjectStore,
  name: string,
  model: string,
  choice?: CheckpointChoice,
): Promise<Embedded> {
  const reader = await openDataset(store, name);
  const { dataset } = reader;
  const opened = await openCheckpoint(store, checkName("model", model), choice);
  const { settings, weightsSha256, step } = opened;
  checkCartography(model, settings, dataset);
  const vectors = await readEmbeddings(store, reader, model);
  if (vectors.weightsSha256 !== weightsSha256)
    throw new FarmError(
      "embeddings-missing",
      `model ${model} has embedded data set ${dataset.name} with other weights than those of step ${step}`,
      `pnpm farm:embed --model ${model} --dataset ${dataset.name}`,
    );
  const [places, labels] = await Promise.all([reader.locations(0, dataset.locations), reader.labels()]);
  const tiles = openTiles(reader, { whole: false });
  return {
    ...{ dataset, locationsSha256: reader.identity.locationsSha256, model, checkpoint: opened },
    ...{ size: vectors.size, vectors: vectors.data, places, labels },
    tiles: (locations) => tiles.read(locations.map((location) => ({ location, sample: 0 }))),
  };
}
