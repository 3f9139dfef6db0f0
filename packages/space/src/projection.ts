import { FarmError } from "@loc2vec/core";
import { principalAxes, project } from "@loc2vec/numeric";
import { countRows } from "./vectors.ts";

/** Axes that were fitted to some vectors, to look at these or others in. */
export interface Projection {
  /** Of the vectors that it was fitted to, float64 [size]. */
  mean: Float64Array;
  /** float64 [components, size], by falling share; the largest entry of each is positive. */
  axes: Float64Array;
  /** What each axis explains: of the variance for PCA, of that between classes for LDA. */
  explained: number[];
}

/**
 * Principal axes (numeric's `principalAxes`).
 *
 * @param vectors float32 [n, size], C order, at least one row
 * @param components 1 to `size`
 */
export function fitPca(vectors: Float32Array, size: number, components: number): Projection {
  if (countRows(vectors, size) === 0) throw new FarmError("input", "PCA of no vectors", "give at least one");
  checkComponents(components, size, `vectors have ${size} numbers`);
  return principalAxes(vectors, size, components);
}

/** @throws FarmError where an axis more is asked for than there can be */
export function checkComponents(components: number, most: number, why: string): void {
  if (!(Number.isInteger(components) && components >= 1 && components <= most))
    throw new FarmError("input", `${components} axes: ${why}`, `ask for 1 to ${most}`);
}

/**
 * Vectors in the axes of a projection: those that it was fitted to or others, so that two cities lie in one picture.
 *
 * @param vectors float32 [n, size], C order
 * @returns float64 [n, components]
 */
export function applyProjection(projection: Projection, vectors: Float32Array): Float64Array {
  countRows(vectors, projection.mean.length);
  return project(vectors, projection);
}
