/** Rows of a mini-batch's embeddings. */
export interface Triplet {
  anchor: number;
  positive: number;
  negative: number;
}

/** How a mini-batch is built; a row is the index of an image, and of its embedding. */
export interface BatchStructure {
  /** The data set's index of the location that a row shows, by row: rows of one location are positives of one another. */
  locationOfRow: readonly number[];
  /** The rows that show their location as it is, without augmentation. */
  anchors: readonly number[];
  /** The triplets that were drawn. */
  triplets: readonly Triplet[];
}

/** What can be chosen of a loss. */
export interface LossOptions {
  /** τ, what distances or similarities are divided by, above 0: the lower, the more the nearest negatives alone count. */
  temperature: number;
}

/** A loss, and what is told of a mini-batch beside it. */
export interface LossResult {
  /** Mean over the triplets, or over the pairs of rows of one location. */
  loss: number;
  /** The loss differentiated by the embeddings, float32 [rows, size]. */
  gradient: Float32Array;
  /** Mean Euclidean distance of the positives: of the triplets, or of the pairs. The temperature has no part in it. */
  positive: number;
  /** Mean Euclidean distance that the negatives are told apart by, likewise. */
  negative: number;
  /** Share of the drawn triplets, 0 to 1, whose positive is nearer than their negative: of every loss, so that it compares. */
  accuracy: number;
}

/** A loss, one module each. */
export interface Loss {
  /** What it is, for `--help`: half a line. */
  about: string;
  /** Its temperature, unless another one is chosen. */
  temperature: number;
  /**
   * @param embeddings float32 [rows, size]
   * @param size numbers of an embedding
   * @param structure of at least two locations, and two rows of each, for a loss of the whole mini-batch
   */
  compute(
    embeddings: Float32Array,
    size: number,
    structure: BatchStructure,
    options: LossOptions,
  ): LossResult;
}

/**
 * The structure of a mini-batch from its rows.
 *
 * @param rows location and sample of each image; sample 0 is the anchor
 */
export function structureOf(
  rows: readonly { location: number; sample: number }[],
  triplets: readonly Triplet[],
): BatchStructure {
  return {
    locationOfRow: rows.map(({ location }) => location),
    anchors: rows.flatMap(({ sample }, row) => (sample === 0 ? [row] : [])),
    triplets,
  };
}
