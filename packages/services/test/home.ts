import { once } from "node:events";
import { chmod, mkdtemp } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Config, type FarmError, readConfig } from "@loc2vec/core";
import { onTestFinished } from "vitest";
import { guardHome } from "./guard.ts";

/** A TCP server that is neither Redis nor PostgreSQL. */
export async function listen(greeting = "220 welcome\r\n"): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    if (greeting !== "") socket.end(greeting);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as { port: number }).port };
}

export async function freePort(): Promise<number> {
  const { server, port } = await listen();
  server.close();
  await once(server, "close");
  return port;
}

/** A farm's home of the test's own; servers and files are gone after the test. */
export async function freshConfig(mode = 0o755): Promise<Config> {
  const home = await mkdtemp(join(tmpdir(), "services-"));
  onTestFinished(guardHome(home));
  await chmod(home, mode); // With 755 PostgreSQL's own user may get in.
  return readConfig("/", {
    FARM_HOME: home,
    FARM_REDIS_PORT: String(await freePort()),
    FARM_DATABASE_PORT: String(await freePort()),
  });
}

/** What a FarmError says; fails when `action` does not. */
export async function failure(action: Promise<unknown>): Promise<FarmError> {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown as FarmError,
  );
  if (error?.name !== "FarmError") throw error ?? new Error("it did not fail");
  if (error.line.includes("\n") || error.mend === "") throw new Error(`not a line and a mend: ${error.line}`);
  return error;
}
