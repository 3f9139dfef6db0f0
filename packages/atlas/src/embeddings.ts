import { checkName, datasetIdentitySchema, describeIdentity, FarmError, sameDataset } from "@loc2vec/core";
import { type DatasetReader, type ObjectStore, readArray, readGroup } from "@loc2vec/shards";

/** Vectors of all locations of a data set. */
export interface Embeddings {
  /** Float32 [locations, size], C order. */
  data: Float32Array;
  /** Length of a vector. */
  size: number;
  /** SHA-256 of the weights that made them, hex; undefined where it was not written down. */
  weightsSha256: string | undefined;
}

/**
 * Reads what a model made of a data set.
 *
 * @param trained whether the model was trained in that store
 * @throws FarmError `embeddings-missing` when there are none, `model-missing` when there is no such model either;
 *   `dataset-mismatch` when they are of what had the data set's
 *   name before; `damaged` when they are not of all locations
 */
export async function readEmbeddings(
  store: ObjectStore,
  reader: DatasetReader,
  model: string,
  trained: boolean,
): Promise<Embeddings> {
  const { dataset } = reader;
  const prefix = `models/${checkName("model", model)}/embeddings/${dataset.name}`;
  const mend = `pnpm farm:embed --model ${model} --dataset ${dataset.name}`;
  // The group is written last: until then not all vectors are there.
  const group = await readGroup(store, prefix);
  const vectors = group && (await readArray(store, `${prefix}/embedding`, "float32"));
  if (vectors === undefined && !trained)
    throw new FarmError(
      "model-missing",
      `there is no model ${model} in ${store.url}`,
      "make it with pnpm farm:train",
    );
  if (vectors === undefined)
    throw new FarmError(
      "embeddings-missing",
      `model ${model} has not embedded data set ${dataset.name}`,
      mend,
    );
  const { data: embedded } = datasetIdentitySchema.safeParse(group?.dataset_identity);
  if (embedded === undefined || !sameDataset(embedded, reader.identity)) {
    const was = embedded === undefined ? "another data set of that name" : describeIdentity(embedded);
    throw new FarmError(
      "dataset-mismatch",
      `model ${model} has embedded ${was}; what has that name now is ${describeIdentity(reader.identity)}`,
      mend,
    );
  }
  const [rows, size] = vectors.shape as [number, number];
  if (rows !== dataset.locations)
    throw new FarmError(
      "damaged",
      `${prefix}: ${rows} embeddings for ${dataset.locations} locations`,
      "pnpm farm:embed again",
    );
  const { weights_sha256: weights } = group ?? {};
  return { data: vectors.data, size, weightsSha256: typeof weights === "string" ? weights : undefined };
}
