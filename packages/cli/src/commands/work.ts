import { checkName, EXIT_CODES, type QueueName } from "@loc2vec/core";
import { withServices, work as workOn } from "@loc2vec/farm";
import type { WorkerSummary } from "@loc2vec/worker";
import { type Command, Option } from "commander";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { queueNames, whole } from "../options.ts";

interface WorkCommandOptions {
  dataset?: string;
  queues: QueueName[];
  /** Seconds. */
  lock?: number;
  until: "empty" | "forever";
  concurrency?: number;
  /** Seconds. */
  grace?: number;
}

export const work = defineCommand({
  usage: "work",
  description: "render queued shards and complete their data sets, or do other jobs",
  options: withWork,
  action: workCommand,
});

function withWork(command: Command): Command {
  return command
    .option("--queues <names>", "raster, finalize, train, embed, by commas", queueNames, [
      "raster",
      "finalize",
    ])
    .option("--dataset <name>", "with --until empty: wait for this one alone")
    .addOption(new Option("--until <when>", "when to end").choices(["empty", "forever"]).default("forever"))
    .option("--concurrency <n>", "shards at a time (default: FARM_WORKERS)", whole(1, 1024))
    .option("--grace <seconds>", "to finish shards after Ctrl-C or SIGTERM (default: 20)", whole(0, 3600))
    .option(
      "--lock <seconds>",
      "after which a dead worker's job goes to another (default: 60)",
      whole(1, 3600),
    );
}

async function workCommand(
  context: CommandContext,
  { grace, lock, ...options }: WorkCommandOptions,
): Promise<void> {
  if (options.dataset !== undefined) checkName("data set", options.dataset);
  const ms = (seconds: number | undefined): number | undefined => seconds && 1000 * seconds;
  const settings = { ...options, graceMs: grace === 0 ? 0 : ms(grace), lockMs: ms(lock) };
  const need = options.queues.includes("raster") ? (["redis", "database"] as const) : (["redis"] as const);
  const summary = await withServices<WorkerSummary, "redis" | "database">(context, need, (services) =>
    workOn(context, services, settings),
  );
  const rate = summary.tiles / summary.seconds;
  const { failed = 0, left = [] } = summary;
  context.result(summary, [
    `${summary.shards} shards, ${summary.tiles} tiles in ${summary.seconds.toFixed(1)} s (${rate.toFixed(0)} tiles/s), ${summary.empty} of them empty; ` +
      `${summary.skipped} there already, ${summary.failures} failed attempts, ${summary.handedBack} handed back`,
    ...(failed > 0
      ? [`${failed} jobs failed; pnpm farm:status --dataset NAME says why, farm:retry puts them back`]
      : []),
    ...left.map(
      ({ queue, dataset, jobs, reason }) => `data set ${dataset}: ${jobs} ${queue} jobs left: ${reason}`,
    ),
  ]);
  if (summary.interrupted && options.until === "empty") process.exitCode = EXIT_CODES.interrupted;
  else if (failed > 0 || left.length > 0) process.exitCode = EXIT_CODES.data;
}
