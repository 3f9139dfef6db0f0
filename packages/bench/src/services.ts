import { createServer } from "node:net";
import { benchConfig, type FarmContext, withServices } from "@loc2vec/farm";
import type { ServiceName, Services } from "@loc2vec/services";

/** As `withServices`, with the benches' own servers: the user's map, queues and store are neither used nor changed. */
export async function withBenchServices<T, Name extends ServiceName>(
  { config: usual, log }: FarmContext,
  need: readonly Name[],
  work: (services: Services<Name>) => Promise<T>,
): Promise<T> {
  const [redisPort, databasePort] = await freePorts();
  const config = { ...benchConfig(usual), redisPort, databasePort };
  return withServices({ config, log }, need, work);
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
