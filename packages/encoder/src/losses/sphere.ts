import { batchFigures, contrast, groupsOf, type Term } from "./contrast.ts";
import { distanceMatrix } from "./distances.ts";
import type { BatchStructure, LossOptions, LossResult } from "./loss.ts";

/** An embedding shorter than this has no direction: it gets no gradient. */
const SHORTEST = 1e-6;

/**
 * A {@link contrast} of cosines: on a copy of the embeddings that is brought to the unit sphere, s = cos / τ. The embeddings
 * themselves stay as they are, so their lengths are free; the gradient goes through the way to the sphere.
 *
 * @param embeddings float32 [rows, size]
 */
export function sphereLoss(
  embeddings: Float32Array,
  size: number,
  structure: BatchStructure,
  { temperature }: LossOptions,
  term: Term,
): LossResult {
  const groups = groupsOf(structure);
  const { units, lengths } = toSphere(embeddings, size);
  const similarity = cosines(units, size).map((cosine) => cosine / temperature);
  const { loss, bySimilarity } = contrast(similarity, groups, term);
  return {
    loss,
    gradient: throughSphere(units, lengths, size, bySimilarity, temperature),
    ...batchFigures(distanceMatrix(embeddings, size), groups, structure),
  };
}

function toSphere(embeddings: Float32Array, size: number): { units: Float64Array; lengths: Float64Array } {
  const lengths = new Float64Array(embeddings.length / size);
  for (let row = 0; row < lengths.length; row++) {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += (embeddings[row * size + k] as number) ** 2;
    lengths[row] = Math.sqrt(sum);
  }
  const units = new Float64Array(embeddings.length);
  for (let i = 0; i < units.length; i++)
    units[i] = (embeddings[i] as number) / Math.max(lengths[Math.floor(i / size)] as number, SHORTEST);
  return { units, lengths };
}

/** Of all rows with one another, float64 [rows, rows]. */
function cosines(units: Float64Array, size: number): Float64Array {
  const rows = units.length / size;
  const found = new Float64Array(rows * rows);
  for (let a = 0; a < rows; a++) {
    for (let b = a; b < rows; b++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += (units[a * size + k] as number) * (units[b * size + k] as number);
      found[a * rows + b] = sum;
      found[b * rows + a] = sum;
    }
  }
  return found;
}

/** The gradient by the embeddings: of x / |x| what lies along x itself is taken away, and the rest divided by |x|. */
function throughSphere(
  units: Float64Array,
  lengths: Float64Array,
  size: number,
  bySimilarity: Float64Array,
  temperature: number,
): Float32Array {
  const rows = lengths.length;
  const byUnit = new Float64Array(units.length);
  for (let a = 0; a < rows; a++) {
    for (let b = a + 1; b < rows; b++) {
      const slope =
        ((bySimilarity[a * rows + b] as number) + (bySimilarity[b * rows + a] as number)) / temperature;
      for (let k = 0; k < size; k++) {
        const [i, j] = [a * size + k, b * size + k];
        byUnit[i] = (byUnit[i] as number) + slope * (units[j] as number);
        byUnit[j] = (byUnit[j] as number) + slope * (units[i] as number);
      }
    }
  }
  const gradient = new Float32Array(units.length);
  for (let row = 0; row < rows; row++) {
    const length = lengths[row] as number;
    if (length < SHORTEST) continue;
    let along = 0;
    for (let i = row * size; i < (row + 1) * size; i++) along += (byUnit[i] as number) * (units[i] as number);
    for (let i = row * size; i < (row + 1) * size; i++)
      gradient[i] = ((byUnit[i] as number) - along * (units[i] as number)) / length;
  }
  return gradient;
}
