import { errorMessage, onceAMinute } from "@loc2vec/core";
import { type FarmQueues, onRedis, openQueues, placeOf } from "@loc2vec/queue";
import type { Services } from "@loc2vec/services";
import { storeIdentity } from "@loc2vec/shards";
import type { FarmContext } from "./context.ts";

/**
 * Runs `work` with the queues of the context's store, and closes them whatever happens.
 *
 * @param writes whether a Redis that refuses to be written is refused at once
 */
export async function withQueues<T>(
  context: FarmContext,
  { redisUrl }: Pick<Services, "redisUrl">,
  work: (queues: FarmQueues) => Promise<T>,
  { writes = true }: { writes?: boolean } = {},
): Promise<T> {
  const prefix = context.config.queuePrefix;
  const store = await storeIdentity(context.store());
  const queues = await openQueues({ redisUrl, prefix, store, writes });
  const tell = onceAMinute((line) => context.log(`waiting: ${placeOf(queues.connection)}: ${line}`));
  queues.connection.on("error", (error) => tell(errorMessage(error)));
  try {
    return await onRedis(queues, () => work(queues));
  } finally {
    await queues.close();
  }
}
