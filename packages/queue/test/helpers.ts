import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { QUEUE_NAMES } from "@loc2vec/core";
import { afterEach, inject, onTestFinished } from "vitest";
import { freePort } from "../../../test/support/ports.ts";
import { type FarmQueues, openQueues } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

const opened: FarmQueues[] = [];

/** Identity of the tests' object store. */
export const STORE = "0123456789abcdef";

/** Queues of its own on the tests' Redis, removed after the test. */
export async function freshQueues(retryDelayMs = 10): Promise<FarmQueues> {
  const queues = await openQueues({
    redisUrl: inject("redisUrl"),
    prefix: `test-${randomUUID()}`,
    store: STORE,
    retryDelayMs,
  });
  opened.push(queues);
  return queues;
}

afterEach(async () => {
  for (const queues of opened.splice(0)) {
    for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
    await queues.close();
  }
});

/** A Redis server of the test's own, up when this returns: it has logged what `ready` says. */
export async function startRedis(
  port: number,
  args: readonly string[] = [],
  ready = "Ready to accept connections",
): Promise<ChildProcess> {
  const server = spawn(
    "redis-server",
    [...args, "--port", String(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  for await (const chunk of server.stdout) {
    if (String(chunk).includes(ready)) break;
  }
  return server;
}

/** Starts a Redis server of this test's own, which goes with it. @returns its URL */
export async function ownRedis(args: readonly string[] = []): Promise<string> {
  const port = await freePort();
  const server = await startRedis(port, args);
  onTestFinished(() => stop(server));
  return `redis://127.0.0.1:${port}`;
}

export async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill("SIGKILL");
  await once(server, "exit");
}
