import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // The suites that need a live Redis or PostGIS join when the services package starts them for the tests.
    include: ["packages/{core,tensorflow,encoder}/test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
