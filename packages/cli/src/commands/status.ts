import { setTimeout as sleep } from "node:timers/promises";
import { withQueues, withServices } from "@loc2vec/farm";
import { type DatasetStatus, datasetStatus } from "@loc2vec/producer";
import { untilNextLook } from "@loc2vec/queue";
import { openDataset } from "@loc2vec/shards";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { bar, eta, startLive } from "../live.ts";

export const status = defineCommand({
  usage: "status",
  description: "where a data set stands; on a terminal, live until nothing is left to do",
  options: (command) =>
    command.requiredOption("--dataset <name>", "name of the data set").option("--once", "look once"),
  action: statusCommand,
});

async function statusCommand(
  context: CommandContext,
  { dataset, once = false }: { dataset: string; once?: boolean },
): Promise<void> {
  const store = context.store();
  await openDataset(store, dataset); // before anything is started for it
  await withServices(context, ["redis"], (services) =>
    withQueues(
      context,
      services,
      async (queues) => {
        const look = (): Promise<DatasetStatus> => datasetStatus({ queues, store, name: dataset });
        let begin = performance.now();
        let state = await look();
        if (context.json || once || !process.stdout.isTTY) return context.result(state, statusLines(state));
        const live = startLive();
        live.draw(statusLines(state));
        while (isOpen(state) && !context.signal.aborted) {
          const pause = untilNextLook(performance.now() - begin, 1000);
          await sleep(pause, undefined, { signal: context.signal }).catch(() => {});
          begin = performance.now();
          state = await look();
          live.draw(statusLines(state));
        }
      },
      { writes: false },
    ),
  );
}

function isOpen({ waiting, active, delayed, stages }: DatasetStatus): boolean {
  const runs = stages.some(({ state }) => ["waiting", "active", "delayed", "prioritized"].includes(state));
  return waiting + active + delayed > 0 || runs;
}

function statusLines(status: DatasetStatus): string[] {
  const { dataset, shards, done, waiting, active, delayed, failed, lost, failures, rate, complete } = status;
  const begun = status.activeLocations / dataset.shardLocations;
  return [
    `data set ${dataset.name}: ${done} of ${shards} shards done, ${active} active, ${waiting} waiting, ${delayed} to be tried again, ${failed} failed, ${lost} not queued`,
    `${bar(Math.min(shards, done + begun) / shards)}${rate ? ` ${rate.tilesPerSecond.toFixed(0)} tiles/s` : ""}${eta(status.etaSeconds)}`,
    ...status.stages.map(({ queue, id, state, progress, reason }) => {
      const said = typeof progress === "object" && progress !== null ? ` ${JSON.stringify(progress)}` : "";
      return `${queue} ${id}: ${state}${state === "active" ? said : ""}${reason === "" || state === "completed" ? "" : `: ${reason}`}`;
    }),
    ...(complete
      ? [
          `complete: ${complete.tiles} tiles, ${complete.empty} of them empty, ${complete.bytes} bytes, ${complete.quarantined} locations set aside`,
        ]
      : []),
    ...status.quarantined.map(({ location, reason }) => `set aside: location ${location}: ${reason}`),
    ...failures.map((failure) => `shard ${failure.shard}, attempt ${failure.attempts}: ${failure.reason}`),
    ...(failed > 0 ? [`pnpm farm:retry --dataset ${dataset.name} puts what failed back`] : []),
    ...(lost > 0 ? ["pnpm farm:enqueue with the same options queues what is not queued"] : []),
  ];
}
