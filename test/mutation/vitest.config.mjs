import { defineConfig } from "vitest/config";
import { TARGETS } from "./targets.mjs";

const target = TARGETS.find(({ name }) => name === process.env.MUTATION_TARGET);

export default defineConfig({ test: { include: target?.tests ?? [], testTimeout: 20_000 } });
