import { checkName } from "@loc2vec/core";
import { withQueues, withServices } from "@loc2vec/farm";
import { retryFailed } from "@loc2vec/queue";
import { defineCommand } from "../command-line.ts";

export const retry = defineCommand({
  usage: "retry",
  description: "put the failed jobs of a data set back, with all their attempts",
  options: (command) => command.requiredOption("--dataset <name>", "name of the data set"),
  async action(context, { dataset }: { dataset: string }) {
    checkName("data set", dataset);
    const retried = await withServices(context, ["redis"], (services) =>
      withQueues(context, services, (queues) => retryFailed(queues, dataset)),
    );
    context.result({ dataset, retried }, [
      `data set ${dataset}: put back ${Object.entries(retried)
        .map(([queue, count]) => `${count} ${queue}`)
        .join(", ")}`,
    ]);
  },
});
