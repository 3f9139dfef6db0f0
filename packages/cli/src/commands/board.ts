import { join } from "node:path";
import { startBoard } from "@loc2vec/board";
import { onRedis, openQueues } from "@loc2vec/queue";
import { type Context, withServices } from "../context.ts";

export interface BoardOptions {
  host: string;
  port: number;
  proxy?: string[];
}

/** Serves the board until the signal is given. */
export async function boardCommand(context: Context, { host, port, proxy }: BoardOptions): Promise<void> {
  const { config, signal, log } = context;
  await withServices(context, ["redis"], async ({ redisUrl }) => {
    // It also shows a Redis that refuses to be written, and the jobs of every store.
    const queues = await openQueues({ redisUrl, prefix: config.queuePrefix, writes: false });
    try {
      const board = await onRedis(queues, () =>
        startBoard({
          queues,
          host,
          port,
          password: config.boardPassword,
          passwordFile: join(config.home, "board/password"),
          ...(proxy === undefined ? {} : { proxies: proxy }),
          log,
        }),
      );
      context.result({ url: board.url }, [`${board.url}; Ctrl-C ends it`]);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      await board.close();
    } finally {
      await queues.close();
    }
  });
}
