import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CheckpointChoice } from "@loc2vec/core";
import { encodeOnnx, encodeSafetensors, kerasLoader, storedArchitecture } from "@loc2vec/encoder";
import { ROOT } from "@loc2vec/farm";
import { openCheckpoint } from "@loc2vec/trainer";
import { defineCommand } from "../command-line.ts";
import { checkpointOption } from "../options.ts";

const KERAS = "packages/encoder/python/loc2vec_keras.py";

interface ExportOptions {
  model: string;
  checkpoint: CheckpointChoice;
  out?: string;
}

export const exportModel = defineCommand({
  usage: "export",
  description: "write a model as ONNX and safetensors, with what loads it in Keras",
  options: (command) =>
    command
      .requiredOption("--model <name>", "name of the model")
      .addOption(checkpointOption())
      .option("--out <folder>", "default: exports/<model> in FARM_HOME"),
  async action(context, { model, checkpoint, out }: ExportOptions) {
    const { step, settings, weights } = await openCheckpoint(context.store(), model, checkpoint);
    const folder = resolve(out ?? join(context.config.home, "exports", model));
    const files = {
      "encoder.onnx": encodeOnnx(settings.architecture, weights),
      "weights.safetensors": encodeSafetensors(weights, {
        step: String(step),
        architecture: JSON.stringify(storedArchitecture(settings.architecture)),
      }),
      "loc2vec_keras.py": kerasLoader(await readFile(join(ROOT, KERAS), "utf8")),
    };
    await mkdir(folder, { recursive: true });
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    context.result({ model, step, folder, files: Object.keys(files) }, [
      `model ${model}, step ${step}: ${Object.keys(files).join(", ")} in ${folder}`,
    ]);
  },
});
