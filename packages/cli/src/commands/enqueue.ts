import { type CheckpointChoice, checkName, FarmError, type Levels } from "@loc2vec/core";
import {
  currentSource,
  describeDataset,
  enqueue as enqueueDataset,
  type LocationChoice,
  openLocations,
  withQueues,
  withServices,
} from "@loc2vec/farm";
import type { Follow } from "@loc2vec/queue";
import { checkTrainable } from "@loc2vec/trainer";
import { type Command, Option } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { checkpointOption, kind, levels, ratio, seedOption, whole } from "../options.ts";
import { refuseTraining, type TrainingOptions, trainingOf, withQueuedTraining } from "../training-options.ts";

interface EnqueueOptions extends TrainingOptions, LocationChoice {
  dataset: string;
  positives: number;
  shardLocations: number;
  levels: Levels;
  train?: string;
  steps?: number;
  embed?: boolean;
  checkpoint: CheckpointChoice;
}

export const enqueue = defineCommand({
  usage: "enqueue",
  description: "describe a data set and queue its shards",
  options: (command) => withDataset(withQueuedTraining(command)),
  action: enqueueCommand,
});

function withDataset(command: Command): Command {
  return command
    .requiredOption("--dataset <name>", "name of the data set")
    .option(
      "--locations <file>",
      "CSV, GeoJSON, NDJSON or Parquet of lon, lat and optionally kind, weight, label",
    )
    .option("--table <name>", "a table or view of FARM_DATABASE_URL with geom, or lon and lat")
    .option("--skip-bad <n>", "leave out at most so many rows that cannot be used", whole(0), 0)
    .option("--sample <n>", "sample so many from the map instead", whole(1))
    .option("--kinds <visits:transport>", "shares of sampled locations", ratio, { visit: 2, transport: 1 })
    .option("--kind <kind>", "of locations in the file that name none", kind, "visit")
    .option("--positives <n>", "per location", whole(0, 1000), 20)
    .option("--shard-locations <n>", "locations per shard", whole(1, 100_000), 64)
    .addOption(
      new Option("--levels <n>", "of intensity, 16 or 256: 16 takes half the space")
        .argParser(levels)
        .default(16),
    )
    .addOption(seedOption("of sampling and augmentation"))
    .option("--train <model>", "once the data set is complete, train this model on it")
    .option("--steps <n>", "of that training", whole(1))
    .option("--embed", "then embed the data set with it")
    .addOption(checkpointOption("to embed with: "));
}

async function enqueueCommand(context: CommandContext, options: EnqueueOptions): Promise<void> {
  checkName("data set", options.dataset);
  const named = [options.locations, options.table, options.sample].filter((choice) => choice !== undefined);
  if (named.length !== 1) {
    throw new FarmError(
      "usage",
      "locations come from a file, from a table or from the map",
      "give one of --locations FILE, --table NAME and --sample N",
    );
  }
  const follow = followOf(options);
  const profile = await context.profile();
  const result = await withServices(context, ["redis", "database"], (services) =>
    // Opened first: what Redis or the store refuses is said before a long list is read.
    withQueues(context, services, async (queues) => {
      const { databaseUrl } = services;
      const { map, source } = await currentSource(context, databaseUrl, profile);
      const { count, bad, outside, read } = await openLocations(context, options, databaseUrl, map);
      const dataset = describeDataset(profile, source, count, { ...options, name: options.dataset });
      const queued = await enqueueDataset(context, queues, dataset, read(), follow);
      return { locations: count, skipped: bad.count, outside: outside.count, ...queued };
    }),
  );
  const { locations, skipped, outside } = result;
  context.result({ dataset: options.dataset, ...result }, [
    `data set ${options.dataset}: ${result.shards} shards, ${result.added} queued, ${result.retried} retried, ${result.queued} waiting already, ${result.present} there`,
    ...(skipped + outside > 0
      ? [`${locations} locations, ${outside} of them beyond the map; ${skipped} bad rows left out`]
      : []),
    "pnpm farm:work renders them",
  ]);
}

/** What the options say shall follow. */
function followOf(options: EnqueueOptions): Follow {
  const { dataset, train: model, steps, embed = false, checkpoint } = options;
  if (model === undefined) {
    refuseTraining(options);
    if (!embed && steps === undefined) return {};
    throw new FarmError("usage", "--steps and --embed are of a model that is trained", "add --train MODEL");
  }
  checkTrainable(model);
  if (steps === undefined) throw new FarmError("usage", `model ${model}: how many steps?`, "add --steps N");
  return { train: { dataset, model, steps, ...trainingOf(options) }, embed, checkpoint };
}
