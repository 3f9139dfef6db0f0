import { resolve } from "node:path";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, test } from "vitest";
import { runPython, tensorflowPackages } from "../src/python.ts";

interface Found {
  tensorflow: string;
  cuda: boolean;
  kernels: object[];
}

test("kernels are found by device and types; where there is none, it says which there are", async () => {
  const tensorflow = await loadTensorflow();
  const config = { home: resolve(import.meta.dirname, "../../../.farm") };
  const look = (device: string, ops: object[]): Promise<Found> =>
    runPython({ config, log: () => {} }, tensorflowPackages(tensorflow), "device_kernels.py", {
      device,
      ops,
    });
  const onCpu = await look("CPU", [
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
    expect(await look("GPU", [{ op: "Conv2D", types: { T: "float32" } }])).toMatchObject({
      cuda: false,
      kernels: [{ found: false, why: "kernels for GPU: none" }],
    });
  }
}, 300_000);
