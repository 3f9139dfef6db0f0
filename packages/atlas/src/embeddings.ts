import { checkName, datasetIdentitySchema, describeIdentity, FarmError, sameDataset } from "@loc2vec/core";
import { type DatasetReader, type ObjectStore, openArray, readGroup } from "@loc2vec/shards";

/** What a model made of a data set, to be read piece by piece. */
export interface EmbeddingsReader {
  /** Length of a vector. */
  size: number;
  /** Step of the checkpoint that made them. */
  step: number;
  /** SHA-256 of its weights' file, hex. */
  weightsSha256: string;
  /** Vectors of the locations [first, end), float32 [end - first, size], C order. @throws FarmError `damaged` */
  rows(first: number, end: number): Promise<Float32Array>;
}

/** Vectors of all locations of a data set. */
export interface Embeddings extends Omit<EmbeddingsReader, "rows"> {
  /** Float32 [locations, size], C order. */
  data: Float32Array;
}

/**
 * Opens what a model made of a data set.
 *
 * @throws FarmError `embeddings-missing`; `dataset-mismatch` when they are of what had the data set's name before;
 *   `damaged` when they are not of all locations, or do not say what made them
 */
export async function openEmbeddings(
  store: ObjectStore,
  reader: DatasetReader,
  model: string,
): Promise<EmbeddingsReader> {
  const { dataset } = reader;
  const prefix = `models/${checkName("model", model)}/embeddings/${dataset.name}`;
  const mend = `pnpm farm:embed --model ${model} --dataset ${dataset.name}`;
  // The group is written last: until then not all vectors are there.
  const group = await readGroup(store, prefix);
  const vectors = group && (await openArray(store, `${prefix}/embedding`, "float32"));
  if (group === undefined || vectors === undefined)
    throw new FarmError(
      "embeddings-missing",
      `model ${model} has not embedded data set ${dataset.name}`,
      mend,
    );
  const { data: embedded } = datasetIdentitySchema.safeParse(group.dataset_identity);
  if (embedded === undefined || !sameDataset(embedded, reader.identity)) {
    const was = embedded === undefined ? "another data set of that name" : describeIdentity(embedded);
    throw new FarmError(
      "dataset-mismatch",
      `model ${model} has embedded ${was}; what has that name now is ${describeIdentity(reader.identity)}`,
      mend,
    );
  }
  const [rows, size] = vectors.shape as [number, number];
  const { step, weights_sha256: weightsSha256 } = group;
  if (rows !== dataset.locations)
    throw new FarmError("damaged", `${prefix}: ${rows} embeddings for ${dataset.locations} locations`, mend);
  if (typeof step !== "number" || typeof weightsSha256 !== "string")
    throw new FarmError("damaged", `${prefix}: it does not say which checkpoint made the embeddings`, mend);
  return { size, step, weightsSha256, rows: vectors.rows };
}

/** Reads all that a model made of a data set. @throws FarmError as {@link openEmbeddings} */
export async function readEmbeddings(
  store: ObjectStore,
  reader: DatasetReader,
  model: string,
): Promise<Embeddings> {
  const { rows, ...facts } = await openEmbeddings(store, reader, model);
  return { ...facts, data: await rows(0, reader.dataset.locations) };
}
