import { pca, project } from "@loc2vec/numeric";
import type { Representation } from "./representation.ts";

/**
 * The first principal components of another representation's vectors.
 *
 * @param vectors float32 [rows, size] of the representation, to learn the axes from
 * @param components at most as many as its vectors have numbers
 */
export function reduced(of: Representation, vectors: Float32Array, components: number): Representation {
  const axes = pca(vectors, of.size, components);
  return {
    name: `${of.name}, PCA-${components}`,
    size: components,
    async describe(tiles) {
      return Float32Array.from(project(await of.describe(tiles), axes));
    },
    dispose: () => {},
  };
}
