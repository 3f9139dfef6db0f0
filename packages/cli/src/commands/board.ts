import { join } from "node:path";
import { startBoard } from "@loc2vec/board";
import { type Context, withServices } from "../context.ts";
import { withQueues } from "../stages.ts";

export interface BoardOptions {
  host: string;
  port: number;
  proxy?: string[];
}

/** Serves the board until the signal is given. */
export async function boardCommand(context: Context, { host, port, proxy }: BoardOptions): Promise<void> {
  const { config, signal, log } = context;
  await withServices(context, ["redis"], (services) =>
    withQueues(context, services, async (queues) => {
      const board = await startBoard({
        queues,
        host,
        port,
        password: config.boardPassword,
        passwordFile: join(config.home, "board/password"),
        ...(proxy === undefined ? {} : { proxies: proxy }),
        log,
      });
      context.result({ url: board.url }, [`${board.url}; Ctrl-C ends it`]);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      await board.close();
    }),
  );
}
