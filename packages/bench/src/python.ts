import { spawn } from "node:child_process";
import { join } from "node:path";
import { FarmError } from "@loc2vec/core";
import { type FarmContext, ROOT } from "@loc2vec/farm";
import { pythonEnvironment } from "@loc2vec/services";
import type { Tensorflow } from "@loc2vec/tensorflow";

/** TensorFlow of the version that we are bound to, and ONNX Runtime. */
export const tensorflowPackages = ({ version, device }: Tensorflow): readonly string[] => [
  device === "GPU" ? `tensorflow[and-cuda]==${version}` : `tensorflow-cpu==${version}`,
  "onnxruntime==1.32.0",
];
/** PyPI's wheel has CUDA's kernels as well, and wants their libraries: 5.4 GB, once. It computes on a CPU without a card. */
export const TORCH_PACKAGES: readonly string[] = ["torch==2.15.0", "numpy==2.4.6"];

/**
 * Runs one of the benches' Python scripts with packages from PyPI.
 *
 * @param requirements the lines of a requirements.txt
 * @param task what the script reads as a line of JSON
 * @returns what it prints last, as JSON
 */
export async function runPython<T>(
  { config, log }: { config: Pick<FarmContext["config"], "home">; log: FarmContext["log"] },
  requirements: readonly string[],
  script: string,
  task: object,
): Promise<T> {
  const python = await pythonEnvironment(join(config.home, "cache"), requirements, log);
  const child = spawn(python, [join(ROOT, "packages/bench/python", script)], {
    env: { ...process.env, PYTHONPATH: join(ROOT, "packages/encoder/python") },
    stdio: ["pipe", "pipe", "inherit"],
  });
  // It stays open as long as this process lives: with its end the script ends too.
  child.stdin.write(`${JSON.stringify(task)}\n`);
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) output += chunk;
  const line = output.trim().split("\n").at(-1) ?? "";
  if (line === "") throw new FarmError("internal", `${script} ended without a result`);
  return JSON.parse(line) as T;
}
