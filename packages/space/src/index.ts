export { analogy, interpolate, type Step, type Term } from "./arithmetic.ts";
export {
  type Arrangement,
  type ArrangeOptions,
  type ArrangeProgress,
  type Dimensions,
  MOST_ARRANGED,
} from "./arrangement.ts";
export { type KeptNeighbours, type KeptNeighboursOptions, openKeptNeighbours } from "./kept-index.ts";
export { fitLda, type LdaOptions } from "./lda.ts";
export {
  INDEXED_FROM,
  metresBetween,
  type NearestOptions,
  type Neighbour,
  type Neighbours,
  type NeighboursOptions,
  openNeighbours,
} from "./neighbours.ts";
export { applyProjection, fitPca, type Projection } from "./projection.ts";
export { findRegions, type Regions } from "./regions.ts";
export { trustworthiness } from "./trustworthiness.ts";
export { type TsneArrangement, type TsneOptions, tsne } from "./tsne.ts";
export { type UmapOptions, umap } from "./umap.ts";
export { gather, type Places } from "./vectors.ts";
export { type Jump, type WalkOptions, walk } from "./walk.ts";
