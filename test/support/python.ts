import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pythonEnvironment } from "@loc2vec/services";

const ROOT = resolve(import.meta.dirname, "../..");

/** The path of a Python with the packages of requirements.txt, kept beside the farm's other caches. */
export async function testPython(): Promise<string> {
  const lines = (await readFile(join(ROOT, "test/requirements.txt"), "utf8")).split("\n");
  return pythonEnvironment(
    join(ROOT, ".farm/cache"),
    lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")),
  );
}

/** A Python with TensorFlow: the one that `pnpm bench train` and `embed` make, so that both download it once. */
export function tensorflowPython(): Promise<string> {
  const project = process.arch === "arm64" ? "tensorflow" : "tensorflow-cpu";
  return pythonEnvironment(join(ROOT, ".farm/cache"), [`${project}==2.21.0`, "onnxruntime==1.32.0"]);
}

/** A Python with Schemathesis, which asks an API all that its OpenAPI text allows, and more. */
export function fuzzPython(): Promise<string> {
  return pythonEnvironment(join(ROOT, ".farm/cache"), ["schemathesis==4.32.5"]);
}
