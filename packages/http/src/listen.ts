import type { AddressInfo } from "node:net";
import { errorMessage, FarmError } from "@loc2vec/core";
import type { FastifyInstance } from "fastify";

/**
 * Begins to listen.
 *
 * @param name of the server, as in messages: `board`
 * @param port 0: any free one
 * @returns the server's URL
 * @throws FarmError `service` when the port is taken, or the address none of this machine's
 */
export async function listen(
  app: FastifyInstance,
  { name, host, port }: { name: string; host: string; port: number },
): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    throw new FarmError(
      "service",
      taken
        ? `the ${name}'s port ${port} on ${host} is taken`
        : `the ${name} on ${host}, port ${port}: ${errorMessage(error)}`,
      taken ? "end what listens there, or choose another port" : "choose another address or port",
      { cause: error },
    );
  }
  const shown = host.includes(":") ? `[${host}]` : host;
  return `http://${shown}:${(app.server.address() as AddressInfo).port}`;
}

/** One call at a time: who asks meanwhile gets the same answer, so that an outage piles nothing up. */
export function shared<T>(action: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= action().finally(() => {
      running = undefined;
    });
    return running;
  };
}
