import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { NETWORKS } from "@loc2vec/encoder";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, test } from "vitest";
import { gpuDocument } from "../src/benches/gpu-ready.ts";
import { nameOf, recordGpuOps } from "../src/gpu-ops.ts";

test("docs/gpu.md lists what steps and embeddings run (pnpm -s bench gpu-ready > docs/gpu.md looks for kernels, and writes it)", async () => {
  const document = readFileSync(resolve(import.meta.dirname, "../../../docs/gpu.md"), "utf8");
  const [, version = ""] = /PyPI's `tensorflow` ([\d.]+),/.exec(document) ?? [];
  const ops = recordGpuOps(await loadTensorflow());
  expect(gpuDocument(version, ops, [])).toBe(document);
  const names = ops.map(nameOf);
  expect(names).toEqual([...new Set(names)]);
  expect(names).toContain("Conv2D (T = bfloat16)");
  // What only a CPU has is not asked of a GPU.
  expect(names.join()).not.toContain("Mkl");
});

test("an op without a kernel is named in the document, with the reason", () => {
  const ops = [
    { op: "Add", types: { T: "float32" }, uses: ["embedding" as const], networks: ["paper"] },
    { op: "Sub", types: {}, uses: ["float32 step" as const], networks: Object.keys(NETWORKS) },
  ];
  const document = gpuDocument("9.9.9", ops, ["Sub: kernels for GPU: none"]);
  expect(document).toContain("**Of these 2, 1 have no kernel for GPUs: Sub: kernels for GPU: none.**");
  expect(document).toContain("| Add | T = float32 | embedding | paper |\n| Sub |  | float32 step | all |");
});
