export { mean, median } from "./averages.ts";
export { canonicalJson } from "./canonical-json.ts";
export { cholesky, solveLower, solveTransposed } from "./cholesky.ts";
export { columnMeans, covariance } from "./covariance.ts";
export { crc32c } from "./crc32c.ts";
export { squaredDistance } from "./distance.ts";
export { type Eigen, eigen } from "./eigen.ts";
export { closestCentre, type Draws, kMeans } from "./kmeans.ts";
export { type Axes, type Pca, pca, principalAxes, project } from "./pca.ts";
