import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { ALL_TESTS, UNIT_TESTS } from "./test/unit-tests.ts";

/** Those that take minutes begin first: one that began last would run on alone, and leave a core idle. */
const LONGEST = [
  "test/chaos/chaos.test.ts",
  "test/infra/chart.test.ts",
  "packages/cli/test/commands.test.ts",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((file) => moduleId.endsWith(file));
      return at < 0 ? LONGEST.length : at;
    };
    return sorted.sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    sequence: { sequencer: LongestFirst },
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
