import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type CheckpointChoice, FarmError } from "@loc2vec/core";
import { encodeOnnx, encodeSafetensors, kerasLoader, storedArchitecture } from "@loc2vec/encoder";
import { EXPORT_FORMATS, type ExportFormat } from "@loc2vec/exports";
import { type ExportSettings, exportVectors, ROOT, withServices } from "@loc2vec/farm";
import { openCheckpoint } from "@loc2vec/trainer";
import { Option } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { checkpointOption, whole } from "../options.ts";

const KERAS = "packages/encoder/python/loc2vec_keras.py";
const DEFAULT_FORMAT: ExportFormat = "geoparquet";

interface ExportOptions {
  model: string;
  dataset?: string;
  format?: ExportFormat;
  sample?: number;
  table?: string;
  checkpoint?: CheckpointChoice;
  out?: string;
}

export const exports = defineCommand({
  usage: "export",
  description:
    "write a model as ONNX and safetensors, with what loads it in Keras; or with --dataset the vectors that it made, for other programs",
  options: (command) =>
    command
      .requiredOption("--model <name>", "name of the model")
      .option("--dataset <name>", "write the vectors of this data set, and not the model")
      .addOption(
        new Option(
          "--format <name>",
          `of the vectors, ${DEFAULT_FORMAT} unless told: ${describeFormats()}`,
        ).choices(Object.keys(EXPORT_FORMATS)),
      )
      .option("--sample <n>", "vectors of so many locations, spread evenly; default: all", whole(1))
      .option("--table <name>", "of pgvector, or schema.name; default: embeddings_<dataset>_<model>")
      .addOption(checkpointOption("of the model, best unless told: ").default(undefined))
      .option(
        "--out <path>",
        "a folder for the model or the Projector, else a file; default: exports/<model>… in FARM_HOME",
      ),
  action: (context, options: ExportOptions) =>
    options.dataset === undefined
      ? exportModel(context, options)
      : exportEmbeddings(context, { ...options, dataset: options.dataset }),
});

function describeFormats(): string {
  return Object.entries(EXPORT_FORMATS)
    .map(([name, about]) => `${name} (${about})`)
    .join("; ");
}

async function exportModel(
  context: CommandContext,
  { model, checkpoint, out, format, sample, table }: ExportOptions,
): Promise<void> {
  for (const [name, value] of Object.entries({ format, sample, table }))
    if (value !== undefined)
      throw new FarmError(
        "usage",
        `--${name} is for the vectors of a data set`,
        "add --dataset NAME; without it the model is written, as ONNX and safetensors",
      );
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
}

async function exportEmbeddings(
  context: CommandContext,
  {
    model,
    dataset,
    checkpoint,
    format = DEFAULT_FORMAT,
    sample,
    table,
    out,
  }: ExportOptions & { dataset: string },
): Promise<void> {
  const refuse = (option: string, why: string, mend: string): never => {
    throw new FarmError("usage", `--${option}: ${why}`, mend);
  };
  if (checkpoint !== undefined)
    refuse(
      "checkpoint",
      "vectors are of the one that embedded",
      "leave it out, or pnpm farm:embed with it first",
    );
  if (table !== undefined && format !== "pgvector")
    refuse("table", `${format} has none`, "leave it out, or --format pgvector");
  if (out !== undefined && format === "pgvector")
    refuse("out", "pgvector writes into FARM_DATABASE_URL", "leave it out; --table names the table");
  const asked: ExportSettings = { format, sample, table, out };
  const made = await (format === "pgvector"
    ? withServices(context, ["database"], ({ databaseUrl }) =>
        exportVectors(context, { dataset, model }, asked, databaseUrl),
      )
    : exportVectors(context, { dataset, model }, asked));
  const { rows, locations, step, place, kept, attribution } = made;
  const share = rows === locations ? `${rows} locations` : `${rows} of ${locations} locations`;
  const there = kept ? `${place} has them already` : place;
  context.result(made, [
    `vectors of ${share} of ${dataset}, by ${model} after step ${step}: ${there}`,
    attribution,
  ]);
}
