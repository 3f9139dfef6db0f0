import { basename, extname, join } from "node:path";
import { type CheckpointChoice, DEFAULT_HOLDOUT, formatDuration } from "@loc2vec/core";
import { machine, type ProbeOutcome, probe as probePlaces, withServices } from "@loc2vec/farm";
import { describeLeftOut, tableOf } from "@loc2vec/probe";
import type { Command } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { checkpointOption, notNegative, positive, seedOption, whole } from "../options.ts";

interface ProbeOptions {
  labels: string;
  column: string;
  log?: boolean;
  model: string;
  checkpoint: CheckpointChoice;
  dataset?: string;
  within: number;
  skipBad: number;
  limit: number;
  block: number;
  border: number;
  folds: number;
  seeds: number;
  most: number;
  seed: number;
  save?: string;
  out?: string;
}

export const probe = defineCommand({
  usage: "probe",
  description: "how well a model's vectors tell labels of your own on other ground, beside rivals",
  options: withProbing,
  action: probeCommand,
});

function withProbing(command: Command): Command {
  return command
    .requiredOption("--labels <file>", "of labelled places: CSV, GeoJSON, NDJSON or Parquet")
    .requiredOption("--column <name>", "that holds the labels: words are classes, numbers a quantity")
    .requiredOption("--model <name>", "whose vectors are probed")
    .addOption(checkpointOption())
    .option("--log", "learn the logarithm of a column of numbers, as of prices")
    .option(
      "--dataset <name>",
      "label its locations by the nearest point; default: places of the file are drawn",
    )
    .option("--within <metres>", "with --dataset: points farther away do not count", positive, 100)
    .option(
      "--skip-bad <n>",
      "leave out at most so many rows that cannot be used or lie beyond the map",
      whole(0),
      0,
    )
    .option("--limit <n>", "draw at most so many rows of the file", whole(20), 20_000)
    .option(
      "--block <metres>",
      "side of the blocks of ground that are kept from learning together",
      positive,
      2000,
    )
    .option(
      "--border <metres>",
      "what is learned from lies so far from what is asked for; two footprints, so that no tile shows ground of both",
      notNegative,
      DEFAULT_HOLDOUT.borderM,
    )
    .option("--folds <n>", "of the cross-validation", whole(2, 20), 5)
    .option("--seeds <n>", "how often the ground is split anew", whole(1, 50), 3)
    .option("--most <n>", "labels that are learned from, at most", whole(10), 1000)
    .addOption(seedOption("of all draws"))
    .option("--save <name>", "write what was learned of all rows, for farm serve: POST /v1/predict/<name>")
    .option("--out <folder>", "of the page; default: probes/<file>-<column>-<model> in FARM_HOME");
}

/** Judges, writes the page, and prints the table. */
async function probeCommand(context: CommandContext, options: ProbeOptions): Promise<void> {
  const { labels, column, model, log: isLogarithm = false, block, border, out, ...rest } = options;
  const begin = performance.now();
  const file = basename(labels, extname(labels)).replace(/\W+/g, "-");
  const folder =
    out ?? join(context.config.home, "probes", `${file}-${column.replace(/\W+/g, "-")}-${model}`);
  const found = await withServices(context, ["database"], ({ databaseUrl }) =>
    probePlaces(context, databaseUrl, {
      ...{ ...rest, labels, column, model, isLogarithm },
      ...{ blockM: block, borderM: border, out: folder },
    }),
  );
  const seconds = Math.round((performance.now() - begin) / 1000);
  context.result({ ...found, seconds, machine: machine() }, [
    ...linesOfProbe(found),
    `${folder}: index.html and its pictures, ${formatDuration(seconds)}`,
  ]);
}

/** What a probe found, as lines for people. */
function linesOfProbe({
  meaning,
  model,
  step,
  rows,
  places,
  classes,
  judgement,
  left_out,
  saved,
}: ProbeOutcome): string[] {
  const { folds, seeds, border_m: border } = judgement;
  const told =
    classes === undefined
      ? []
      : [
          `classes: ${Object.entries(classes)
            .map(([name, count]) => `${name} (${count})`)
            .join(", ")}`,
        ];
  return [
    `${meaning}, by ${model} after step ${step}: ${rows} labels at ${places} places; ${folds} folds × ${seeds} seeds, ${border} m apart`,
    ...told,
    ...(left_out.length === 0 ? [] : [`left out: ${describeLeftOut(left_out)}`]),
    ...tableOf(judgement),
    ...(saved === undefined ? [] : [`saved as ${saved}: pnpm farm:serve --model ${model} offers it`]),
  ];
}
