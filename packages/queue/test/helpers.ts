import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, inject } from "vitest";
import { openRasterQueue, type RasterQueue } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

const opened: RasterQueue[] = [];

/** A queue of its own on the tests' Redis, removed after the test. */
export async function freshQueue(retryDelayMs = 10): Promise<RasterQueue> {
  const raster = await openRasterQueue({
    redisUrl: inject("redisUrl"),
    prefix: `test-${randomUUID()}`,
    retryDelayMs,
  });
  opened.push(raster);
  return raster;
}

afterEach(async () => {
  for (const raster of opened.splice(0)) {
    await raster.queue.obliterate({ force: true });
    await raster.close();
  }
});

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A Redis server of the test's own, up when this returns. */
export async function startRedis(port: number, args: readonly string[] = []): Promise<ChildProcess> {
  const server = spawn(
    "redis-server",
    ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no", ...args],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  for await (const chunk of server.stdout) {
    if (String(chunk).includes("Ready to accept connections")) break;
  }
  return server;
}

export async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill("SIGKILL");
  await once(server, "exit");
}
