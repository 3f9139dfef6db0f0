/** Every test of the project. */
export const ALL_TESTS: readonly string[] = ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"];

/**
 * The tests of vitest's project `unit`, which `pnpm -F @loc2vec/NAME test` runs: they need no Redis, no PostGIS, no S3 and
 * no Python, and those of a package take less than ten seconds together. All others are of the project `services`. What
 * is not in this list is safe: it is run with services by `npm test`. `architecture.test.ts` holds that none in it needs one.
 */
export const UNIT_TESTS: readonly string[] = [
  "packages/atlas/test/atlas.test.ts",
  "packages/board/test/access.test.ts",
  "packages/cli/test/doctor.test.ts",
  "packages/cli/test/node.test.ts",
  "packages/cli/test/training-options.test.ts",
  "packages/core/test/config.test.ts",
  "packages/core/test/footprint.test.ts",
  "packages/core/test/geo.test.ts",
  "packages/core/test/progress.test.ts",
  "packages/core/test/properties.test.ts",
  "packages/core/test/random.test.ts",
  "packages/core/test/secrets.test.ts",
  "packages/core/test/source.test.ts",
  "packages/core/test/tile.test.ts",
  "packages/encoder/test/encoder.test.ts",
  "packages/encoder/test/fixtures.test.ts",
  "packages/encoder/test/keras.test.ts",
  "packages/encoder/test/layers.test.ts",
  "packages/encoder/test/losses.test.ts",
  "packages/encoder/test/network.test.ts",
  "packages/evaluation/test/baselines.test.ts",
  "packages/evaluation/test/metrics.test.ts",
  "packages/evaluation/test/probe.test.ts",
  "packages/gis/test/locations.test.ts",
  "packages/gis/test/parquet.test.ts",
  "packages/gis/test/profile.test.ts",
  "packages/gis/test/properties.test.ts",
  "packages/postgres/test/url.test.ts",
  "packages/shards/test/file-store.test.ts",
  "packages/shards/test/properties.test.ts",
  "packages/shards/test/shard.test.ts",
  "packages/tensorflow/test/setup-cli.test.ts",
  "packages/tensorflow/test/tensorflow.test.ts",
  "packages/trainer/test/heldout.test.ts",
  "packages/trainer/test/overlap.test.ts",
  "packages/trainer/test/properties.test.ts",
  "packages/trainer/test/recipe.test.ts",
  "packages/trainer/test/step.test.ts",
  "test/architecture.test.ts",
  "test/faces.test.ts",
  "test/links.test.ts",
  "test/scale.test.ts",
];
