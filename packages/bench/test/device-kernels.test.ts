import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { pythonEnvironment } from "@loc2vec/services";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, test } from "vitest";
import { tensorflowPackages } from "../src/python.ts";

const SCRIPT = resolve(import.meta.dirname, "../python/device_kernels.py");

test("kernels are found by device and types; where there is none, it says which there are", async () => {
  const tensorflow = await loadTensorflow();
  const cache = resolve(import.meta.dirname, "../../../.farm/cache");
  const python = await pythonEnvironment(cache, tensorflowPackages(tensorflow));
  const look = (device: string, ops: object[]): { tensorflow: string; cuda: boolean; kernels: object[] } => {
    const input = `${JSON.stringify({ device, ops })}\n`;
    const { stdout } = spawnSync(python, [SCRIPT], { input, encoding: "utf8" });
    return JSON.parse(stdout);
  };
  const onCpu = look("CPU", [
    { op: "Conv2D", types: { T: "float32" } },
    { op: "Conv2D", types: { T: "uint8" } },
    // What it sums along may be given as the op's default, int32.
    { op: "Sum", types: { T: "bfloat16" } },
    { op: "Fly", types: {} },
  ]);
  expect(onCpu).toMatchObject({ tensorflow: tensorflow.version });
  expect(onCpu.kernels).toEqual([
    { found: true },
    { found: false, why: expect.stringMatching(/^kernels for CPU: .*T=DT_FLOAT/) },
    { found: true },
    { found: false, why: "no such op" },
  ]);
  if (tensorflow.device === "CPU") {
    expect(look("GPU", [{ op: "Conv2D", types: { T: "float32" } }])).toMatchObject({
      cuda: false,
      kernels: [{ found: false, why: "kernels for GPU: none" }],
    });
  }
}, 300_000);
