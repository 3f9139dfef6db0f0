import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { chartSvg, composeRgb, encodePng, type Line, sheet } from "@loc2vec/atlas";
import { type CheckpointChoice, formatDuration, startProgress } from "@loc2vec/core";
import { type Curve, type Evaluated, type Evaluation, evaluate, type Labels } from "@loc2vec/evaluation";
import { channelsOfVenues, nearestVenues, type Profile } from "@loc2vec/gis";
import { openDataset } from "@loc2vec/shards";
import { openTiles } from "@loc2vec/trainer";
import { machine } from "../bench/harness.ts";
import { type Context, withServices } from "../context.ts";

export interface EvaluateCommandOptions {
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

/** Judges models on what they never saw, beside baselines, and writes all that it found as JSON. */
export async function evaluateCommand(context: Context, options: EvaluateCommandOptions): Promise<void> {
  const { config, log, quiet, signal } = context;
  const { dataset, model, checkpoint, locations, positives, labels, within, seed } = options;
  const begin = performance.now();
  const run = async (given: Labels | undefined) => {
    let shown: { total: number; progress: ReturnType<typeof startProgress> } | undefined;
    return evaluate({
      ...{
        store: context.store(),
        dataset,
        models: model,
        checkpoint,
        locations,
        positives,
        seed,
        signal,
        log,
      },
      labels: given,
      progress(done, total) {
        if (shown?.total !== total)
          shown = { total, progress: startProgress({ label: "evaluate", total, unit: "images", quiet }) };
        shown.progress.update(done);
        if (done === total) shown.progress.finish();
      },
    });
  };
  const profile = await context.profile();
  const found =
    labels === "none"
      ? await run(undefined)
      : await withServices(context, ["database"], ({ databaseUrl }) =>
          run({
            meaning: `class of the nearest venue within ${within} m`,
            of: (places) => nearestVenues({ databaseUrl, profile, places, withinM: within }),
            masked: channelsOfVenues(profile),
          }),
        );
  const folder = resolve(options.out ?? join(config.home, "evaluations", `${dataset}-${model[0]}`));
  const file = join(folder, "evaluation.json");
  const result = { ...found, seconds: Math.round((performance.now() - begin) / 1000), machine: machine() };
  await mkdir(folder, { recursive: true });
  const pairs = join(folder, "figure7.png");
  await writeFile(pairs, await drawPairs(context, profile, found));
  const curves = join(folder, "figure11.svg");
  await writeFile(curves, chartSvg("Losses and right triplets by step", found.curves.flatMap(linesOf)));
  await writeFile(file, `${JSON.stringify(result, undefined, 2)}\n`);
  context.result({ ...result, files: [file, pairs, curves] }, [
    `${found.locations.evaluated} locations of ${found.locations.heldout} held out${found.geography.kind === "elsewhere" ? `, all of another data set than ${found.geography.trained_on}` : ""}, ${positives} positives each; trained near ${found.locations.train} others, the nearest ${distance(found.geography.nearest_trained_m)} away${found.geography.overlaps ? ": their tiles can show the same ground" : ""}`,
    ...table(found.results),
    `who knows where every tile was taken: recall@1 ${percent(found.ground.recall_at_1)}, @10 ${percent(found.ground.recall_at_10)}; the nearest other location is ${found.nearest_m.toFixed(0)} m away (median)`,
    ...(found.labels
      ? [
          `probe: ${found.labels.meaning}, without ${found.labels.masked.join(", ")}; ${found.labels.heldout} held out, most frequent class ${percent(found.labels.majority)}`,
        ]
      : []),
    ...found.bars.map(
      ({ bar, value, least, met }) =>
        `${met ? "met   " : "MISSED"} ${bar}: ${value.toFixed(3)}, bar ${least.toFixed(3)}`,
    ),
    `${folder}: evaluation.json, figure7.png, figure11.svg, ${formatDuration(result.seconds)}`,
  ]);
}

/** Figure 7: in each column two tiles whose histograms are nearly equal, and whose embeddings are far apart. */
async function drawPairs(
  context: Context,
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
      points: points.map((each) => [each.step, each.loss]),
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
  const rows = results.map((each) => [
    each.kind === "model" ? `${each.name}, ${each.loss}, step ${each.step}` : each.name,
    String(each.size),
    percent(each.triplet_accuracy),
    percent(each.triplet_accuracy_hard),
    percent(each.recall_at_1),
    percent(each.recall_at_10),
    each.effective_rank.toFixed(2),
    each.alignment.toFixed(3),
    each.uniformity.toFixed(2),
    ...probes.map((count) => percent(each.probe?.[count]?.accuracy ?? 0)),
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
