import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { chartSvg, composeRgb, encodePng, type Line, sheet } from "@loc2vec/atlas";
import { type CheckpointChoice, formatDuration, type Progress } from "@loc2vec/core";
import {
  type Curve,
  type Evaluated,
  type Evaluation,
  evaluate as evaluateModels,
  type Labels,
} from "@loc2vec/evaluation";
import { machine, withServices } from "@loc2vec/farm";
import { channelsOfVenues, nearestVenues, type Profile } from "@loc2vec/gis";
import { openDataset } from "@loc2vec/shards";
import { openTiles } from "@loc2vec/trainer";
import { type Command, Option } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { checkpointOption, positive, seedOption, whole } from "../options.ts";

interface EvaluateOptions {
  dataset: string;
  model: string[];
  checkpoint: CheckpointChoice;
  locations: number;
  positives: number;
  labels: "map" | "none";
  within: number;
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
    .requiredOption("--model <names...>", "one or more; bars are held to the first")
    .addOption(checkpointOption())
    .option("--locations <n>", "of the held-out ones, at most so many", whole(20), 2000)
    .option("--positives <n>", "of each location", whole(1, 1000), 5)
    .addOption(
      new Option("--labels <source>", "of the linear probe: venues of the imported map")
        .choices(["map", "none"])
        .default("map"),
    )
    .option("--within <metres>", "farther venues do not count", positive, 100)
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
  await writeFile(curves, chartSvg("Losses and right triplets by step", evaluation.curves.flatMap(linesOf)));
  await writeFile(file, `${JSON.stringify(result, undefined, 2)}\n`);
  context.result({ ...result, files: [file, pairs, curves] }, [
    ...linesOfEvaluation(evaluation),
    `${folder}: evaluation.json, figure7.png, figure11.svg, ${formatDuration(result.seconds)}`,
  ]);
}

/** Evaluates with the labels that the options name: those of the map need its database. */
async function judge(
  context: CommandContext,
  { dataset, model, checkpoint, locations, positives, labels, within, seed }: EvaluateOptions,
  profile: Profile,
): Promise<Evaluation> {
  const { log, signal } = context;
  const run = (labelSource: Labels | undefined): Promise<Evaluation> => {
    let shown: { total: number; progress: Progress } | undefined;
    return evaluateModels({
      store: context.store(),
      dataset,
      models: model,
      checkpoint,
      locations,
      positives,
      seed,
      signal,
      log,
      labels: labelSource,
      progress(done, total) {
        if (shown?.total !== total)
          shown = { total, progress: context.progress({ label: "evaluate", total, unit: "images" }) };
        shown.progress.update(done);
        if (done === total) shown.progress.finish();
      },
    });
  };
  if (labels === "none") return run(undefined);
  return withServices(context, ["database"], ({ databaseUrl }) =>
    run({
      meaning: `class of the nearest venue within ${within} m`,
      of: (places) => nearestVenues({ databaseUrl, profile, places, withinM: within }),
      masked: channelsOfVenues(profile),
    }),
  );
}

function linesOfEvaluation(evaluation: Evaluation): string[] {
  const { locations, geography, positives, ground, labels } = evaluation;
  return [
    `${locations.evaluated} locations of ${locations.heldout} held out${elsewhere(geography)}, ${positives} positives each; trained near ${locations.train} others, the nearest ${distance(geography.nearest_trained_m)} away${geography.overlaps ? ": their tiles can show the same ground" : ""}`,
    ...table(evaluation.results),
    `who knows where every tile was taken: recall@1 ${percent(ground.recall_at_1)}, @10 ${percent(ground.recall_at_10)}; the nearest other location is ${evaluation.nearest_m.toFixed(0)} m away (median)`,
    ...(labels
      ? [
          `probe: ${labels.meaning}, without ${labels.masked.join(", ")}; ${labels.heldout} held out, most frequent class ${percent(labels.majority)}`,
        ]
      : []),
    ...evaluation.bars.map(
      ({ bar, value, least, met }) =>
        `${met ? "met   " : "MISSED"} ${bar}: ${value.toFixed(3)}, bar ${least.toFixed(3)}`,
    ),
  ];
}

/** Where models are judged, if not on squares of what they were trained on. */
function elsewhere({ kind, trained_on, seen }: Evaluation["geography"]): string {
  if (kind === "squares") return "";
  const names = [trained_on].flat().join(", ");
  return seen === undefined
    ? `, all of another data set than ${names}`
    : `, of another data set than ${names}, without ${seen} whose tiles can show ground that was trained on`;
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

const COLOURS = ["#1f5fa8", "#c2571a", "#2e7d4f", "#7b3fa0"] as const;

/** Figure 11: how loss and the share of right triplets went, in one chart for all models. */
function linesOf({ model, loss, points, heldout }: Curve, at: number): Line[] {
  const colour = COLOURS[at % COLOURS.length] as string;
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

const distance = (metres: number): string =>
  metres < 10_000 ? `${metres.toFixed(0)} m` : `${(metres / 1000).toFixed(0)} km`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function table(results: readonly Evaluated[]): string[] {
  const probes = Object.keys(results[0]?.probe ?? {});
  const head = [
    "",
    "size",
    "triplets",
    "hard",
    "recall@1",
    "@10",
    "rank",
    "align",
    "uniform",
    ...probes.map((count) => `probe ${count}`),
  ];
  const rows = results.map((result) => [
    result.kind === "model" ? `${result.name}, ${result.loss}, step ${result.step}` : result.name,
    String(result.size),
    percent(result.triplet_accuracy),
    percent(result.triplet_accuracy_hard),
    percent(result.recall_at_1),
    percent(result.recall_at_10),
    result.effective_rank.toFixed(2),
    result.alignment.toFixed(3),
    result.uniformity.toFixed(2),
    ...probes.map((count) => percent(result.probe?.[count]?.accuracy ?? 0)),
  ]);
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? "").length)),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
}
