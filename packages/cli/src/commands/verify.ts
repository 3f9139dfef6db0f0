import { checkSource, EXIT_CODES, shardCount } from "@loc2vec/core";
import { currentSource, withQueues, withServices } from "@loc2vec/farm";
import { verifyDataset } from "@loc2vec/producer";
import { openDataset } from "@loc2vec/shards";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";

export const verify = defineCommand({
  usage: "verify",
  description: "read a whole data set and compare every checksum",
  options: (command) =>
    command
      .requiredOption("--dataset <name>", "name of the data set")
      .option("--repair", "have what is missing or damaged rendered again"),
  action: verifyCommand,
});

async function verifyCommand(
  context: CommandContext,
  { dataset: name, repair = false }: { dataset: string; repair?: boolean },
): Promise<void> {
  const store = context.store();
  const { dataset } = await openDataset(store, name);
  const progress = context.progress({ label: "verify", total: shardCount(dataset), unit: "shards" });
  const options = {
    store,
    name,
    signal: context.signal,
    onShard: (done: number) => progress.update(done),
  };
  const verified = repair
    ? await withServices(context, ["redis", "database"], (services) =>
        withQueues(context, services, async (queues) => {
          const profile = await context.profile();
          const { source } = await currentSource(context, services.databaseUrl, profile);
          // Before a byte is read: what is rendered again here would be of another map.
          checkSource(dataset, source, "this farm");
          return verifyDataset({ ...options, repair: queues });
        }),
      )
    : await verifyDataset(options);
  progress.finish();
  const { shards, whole, missing, damaged, arrays } = verified;
  context.result(verified, [
    `data set ${name}: ${whole} of ${shards} shards whole, ${missing.length} missing, ${damaged.length} damaged`,
    ...damaged.map(({ shard, reason }) => `shard ${shard}: ${reason}`),
    ...arrays.map(({ array, reason }) => `array ${array}: ${reason}`),
    ...(verified.repair
      ? [`queued again: ${verified.repair.added + verified.repair.retried}; pnpm farm:work renders them`]
      : []),
    ...(!repair && whole < shards ? [`pnpm farm:verify --dataset ${name} --repair queues them again`] : []),
  ]);
  if (arrays.length > 0 || (whole < shards && !repair)) process.exitCode = EXIT_CODES.data;
}
