import { defineConfig } from "vitest/config";
import { ALL_TESTS, UNIT_TESTS } from "./test/unit-tests.ts";

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: "unit", include: [...UNIT_TESTS] } },
      {
        extends: true,
        test: {
          name: "services",
          include: [...ALL_TESTS],
          exclude: ["**/node_modules/**", ...UNIT_TESTS],
          globalSetup: ["test/global-setup.ts"],
        },
      },
    ],
  },
});
