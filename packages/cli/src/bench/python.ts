import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FarmError } from "@loc2vec/core";
import { pythonEnvironment } from "@loc2vec/services";
import type { Tensorflow } from "@loc2vec/tensorflow";
import { type Context, ROOT } from "../context.ts";

const ONNXRUNTIME = "onnxruntime==1.32.0";

/**
 * Runs one of the benches' Python scripts with TensorFlow of the version that we are bound to, and ONNX Runtime, from PyPI.
 *
 * @param given what the script reads as JSON
 * @returns what it prints last, as JSON
 */
export async function runPython<T>(
  { config, log }: Context,
  { version, device }: Tensorflow,
  script: string,
  given: object,
): Promise<T> {
  const project = device === "GPU" ? `tensorflow[and-cuda]==${version}` : `tensorflow-cpu==${version}`;
  const python = await pythonEnvironment(join(config.home, "cache"), [project, ONNXRUNTIME], log);
  const child = spawn(python, [join(ROOT, "packages/cli/python", script)], {
    env: { ...process.env, PYTHONPATH: join(ROOT, "packages/encoder/python") },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(JSON.stringify(given));
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) output += chunk;
  const line = output.trim().split("\n").at(-1) ?? "";
  if (line === "") throw new FarmError("internal", `${script} ended without a result`);
  return JSON.parse(line) as T;
}

/** A folder for the while. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
