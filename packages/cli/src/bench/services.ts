import { createServer } from "node:net";
import { join } from "node:path";
import type { Config } from "@loc2vec/core";
import type { ServiceName, Services } from "@loc2vec/services";
import { type Context, withServices } from "../context.ts";

/** The settings of the benches' own servers: private ones with data of their own, whatever servers the user has. */
export function benchConfig(config: Config): Config {
  const home = join(config.home, "bench");
  return { ...config, home, store: `file://${home}/store`, redisUrl: undefined, databaseUrl: undefined };
}

/** As `withServices`, with the benches' own servers: the user's map, queues and store are neither used nor changed. */
export async function withBenchServices<T, Name extends ServiceName>(
  context: Context,
  need: readonly Name[],
  work: (services: Services<Name>) => Promise<T>,
): Promise<T> {
  const [redisPort, databasePort] = await freePorts();
  const config = { ...benchConfig(context.config), redisPort, databasePort };
  return withServices({ ...context, config }, need, work);
}

/** Two ports of loopback that nobody listens on: the usual ones belong to the user's servers. */
async function freePorts(): Promise<[number, number]> {
  const servers = await Promise.all(
    [createServer(), createServer()].map(
      (server) =>
        new Promise<typeof server>((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports as [number, number];
}
