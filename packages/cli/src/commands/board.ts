import { join } from "node:path";
import { startBoard } from "@loc2vec/board";
import { withServices } from "@loc2vec/farm";
import { onRedis, openQueues } from "@loc2vec/queue";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { whole } from "../options.ts";

interface BoardOptions {
  host: string;
  port: number;
  proxy?: string[];
}

export const board = defineCommand({
  usage: "board",
  description: "BullBoard, metrics and health over HTTP, until Ctrl-C",
  options: (command) =>
    command
      .option("--host <address>", "to listen on; any but loopback needs FARM_BOARD_PASSWORD", "127.0.0.1")
      .option("--port <n>", "to listen on", whole(0, 65535), 9400)
      .option("--proxy <address...>", "whose X-Forwarded-For is believed"),
  action: boardCommand,
});

/** Serves the board until the signal is given. */
async function boardCommand(context: CommandContext, { host, port, proxy }: BoardOptions): Promise<void> {
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
