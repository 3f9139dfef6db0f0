/** What is mutated, and the unit tests that have to notice. Paths are relative to the project. */
export const TARGETS = [
  {
    name: "geometry",
    sources: ["packages/core/src/geo.ts"],
    tests: ["packages/core/test/geo.test.ts", "packages/core/test/properties.test.ts"],
  },
  {
    name: "footprint",
    sources: ["packages/core/src/footprint.ts"],
    tests: ["packages/core/test/footprint.test.ts", "packages/core/test/properties.test.ts"],
  },
  {
    name: "loss",
    sources: ["packages/encoder/src/losses/*.ts"],
    tests: ["packages/encoder/test/losses.test.ts"],
  },
  {
    name: "sampler",
    sources: ["packages/trainer/src/batches.ts"],
    tests: ["packages/trainer/test/properties.test.ts"],
  },
  {
    name: "recipe",
    sources: ["packages/trainer/src/recipe.ts"],
    tests: ["packages/trainer/test/recipe.test.ts"],
  },
];
