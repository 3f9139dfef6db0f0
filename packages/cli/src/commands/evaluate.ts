import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { chart, composeRgb, encodePng, LINE_COLOURS, type Line, sheet } from "@loc2vec/atlas";
import { type CheckpointChoice, formatDuration, type Progress } from "@loc2vec/core";
import { TURNS, type Turns } from "@loc2vec/encoder";
import { type Curve, type Evaluation, evaluate as evaluateModels, type Labels } from "@loc2vec/evaluation";
import { machine, withServices } from "@loc2vec/farm";
import type { Profile } from "@loc2vec/gis";
import { openDataset } from "@loc2vec/shards";
import { openTiles } from "@loc2vec/trainer";
import { type Command, Option } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { linesOfEvaluation } from "../evaluation-view.ts";
import { parseSources, readFileLabels, venueLabels } from "../label-sources.ts";
import { checkpointOption, positive, seedOption, whole } from "../options.ts";

interface EvaluateOptions {
  dataset: string;
  model: string[];
  checkpoint: CheckpointChoice;
  turns?: string[];
  locations: number;
  positives: number;
  labels: string[];
  within: number;
  logLabels?: string[];
  skipBad: number;
  seed: number;
  out?: string;
}

export const evaluate = defineCommand({
  usage: "evaluate",
  description: "judge models on geography kept from training, beside baselines",
  options: withEvaluation,
  action: evaluateCommand,
});

function withEvaluation(command: Command): Command {
  return command
    .requiredOption("--dataset <name>", "one that they were trained on, or one of another city")
    .requiredOption(
      "--model <names...>",
      "one or more; bars are held to the first, and those that differ from it in the seed alone",
    )
    .addOption(checkpointOption())
    .addOption(
      new Option(
        "--turns <n...>",
        "of a tile that an embedding is the mean of, one or more numbers to judge each model with; default: the model's own",
      ).choices(TURNS.map(String)),
    )
    .option("--locations <n>", "of the held-out ones, at most so many", whole(20), 2000)
    .option("--positives <n>", "of each location", whole(1, 1000), 5)
    .option(
      "--labels <sources...>",
      "of linear probes, one or more: map, for the venues of the imported map; FILE:COLUMN, for points of a file with lon, lat and that column, of words (classes) or of numbers; or none",
      ["map"],
    )
    .option("--within <metres>", "farther venues and points do not count", positive, 100)
    .option("--log-labels <columns...>", "of numbers, whose logarithm is to be learned")
    .option("--skip-bad <n>", "leave out at most so many rows of a file that cannot be used", whole(0), 0)
    .addOption(seedOption("of all draws"))
    .option("--out <folder>", "default: evaluations/<dataset>-<model> in FARM_HOME");
}

/** Judges models on what they never saw, beside baselines, and writes all that it found as JSON. */
async function evaluateCommand(context: CommandContext, options: EvaluateOptions): Promise<void> {
  const { config } = context;
  const { dataset, model, out } = options;
  const begin = performance.now();
  const profile = await context.profile();
  const evaluation = await judge(context, options, profile);
  const folder = resolve(out ?? join(config.home, "evaluations", `${dataset}-${model[0]}`));
  const file = join(folder, "evaluation.json");
  const seconds = Math.round((performance.now() - begin) / 1000);
  const result = { ...evaluation, seconds, machine: machine() };
  await mkdir(folder, { recursive: true });
  const pairs = join(folder, "figure7.png");
  await writeFile(pairs, await drawPairs(context, profile, evaluation));
  const curves = join(folder, "figure11.svg");
  const lines = evaluation.curves.flatMap(linesOf);
  const title = "Losses and right triplets by step";
  await writeFile(curves, chart({ title, description: `${title} of ${model.join(", ")}.`, lines }).text);
  await writeFile(file, `${JSON.stringify(result, undefined, 2)}\n`);
  context.result({ ...result, files: [file, pairs, curves] }, [
    ...linesOfEvaluation(evaluation),
    `${folder}: evaluation.json, figure7.png, figure11.svg, ${formatDuration(result.seconds)}`,
  ]);
}

/** Evaluates with the labels that the options name: those of files are read first, and those of the map need its database. */
async function judge(
  context: CommandContext,
  options: EvaluateOptions,
  profile: Profile,
): Promise<Evaluation> {
  const { log, signal } = context;
  const { dataset, model, checkpoint, locations, positives, seed } = options;
  const turns = options.turns?.map((text) => Number(text) as Turns);
  const { labels, within, logLabels = [], skipBad } = options;
  const run = (sources: readonly Labels[]): Promise<Evaluation> => {
    let shown: { total: number; progress: Progress } | undefined;
    return evaluateModels({
      store: context.store(),
      dataset,
      models: model,
      checkpoint,
      turns,
      locations,
      positives,
      seed,
      signal,
      log,
      labels: sources,
      progress(done, total) {
        if (shown?.total !== total)
          shown = { total, progress: context.progress({ label: "evaluate", total, unit: "images" }) };
        shown.progress.update(done);
        if (done === total) shown.progress.finish();
      },
    });
  };
  const { isMap, files } = parseSources(labels);
  const read = await readFileLabels(context, files, { within, logLabels, skipBad });
  if (!isMap) return run(read);
  return withServices(context, ["database"], ({ databaseUrl }) =>
    run([venueLabels(databaseUrl, profile, within), ...read]),
  );
}

/** Figure 7: in each column two tiles whose histograms are nearly equal, and whose embeddings are far apart. */
async function drawPairs(
  context: CommandContext,
  profile: Profile,
  { dataset, lookalikes }: Evaluation,
): Promise<Buffer> {
  const tiles = openTiles(await openDataset(context.store(), dataset));
  const rows = await Promise.all(
    (["a", "b"] as const).map(async (which) => {
      const anchors = lookalikes.map(({ [which]: location }) => ({ location, sample: 0 }));
      return (await tiles.read(anchors)).map((tile) => composeRgb(tile, profile));
    }),
  );
  return encodePng(sheet(rows), 2);
}

/** Figure 11: how loss and the share of right triplets went, in one chart for all models. */
function linesOf({ model, loss, points, heldout }: Curve, at: number): Line[] {
  const colour = LINE_COLOURS[at % LINE_COLOURS.length] as string;
  const judged: Line = {
    name: `${model} (${loss}): triplets right at held-out locations`,
    colour,
    width: 1,
    dashed: true,
    points: heldout.map(({ step, accuracy }) => [step, accuracy]),
  };
  return [
    ...(heldout.length > 0 ? [judged] : []),
    {
      name: `${model} (${loss}): triplets right`,
      colour,
      width: 1,
      points: points.map(({ step, accuracy }) => [step, accuracy]),
    },
    {
      name: `${model} (${loss}): loss`,
      colour,
      width: 2.5,
      points: points.map((point) => [point.step, point.loss]),
    },
  ];
}
