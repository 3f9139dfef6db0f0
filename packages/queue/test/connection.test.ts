import { createServer } from "node:net";
import { FarmError } from "@loc2vec/core";
import { expect, inject, onTestFinished, test } from "vitest";
import { freePort } from "../../../test/support/ports.ts";
import { checkServer } from "../src/connection.ts";
import { closeRedis, connectRedis, openQueues } from "../src/index.ts";
import { startRedis, stop } from "./helpers.ts";

async function failure(action: Promise<unknown>): Promise<FarmError> {
  const error = await action.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(FarmError);
  expect((error as FarmError).line).not.toContain("\n");
  return error as FarmError;
}

test("connects to the tests' Redis", async () => {
  const client = await connectRedis(inject("redisUrl"));
  expect(await client.ping()).toBe("PONG");
  await closeRedis(client);
  expect(client.status).toBe("end");
});

test("a port nobody listens on fails at once, with the place and the mend", async () => {
  const port = await freePort();
  const begin = performance.now();
  const error = await failure(connectRedis(`redis://127.0.0.1:${port}`));
  expect(performance.now() - begin).toBeLessThan(2000);
  expect(error.kind).toBe("service");
  expect(error.message).toMatch(`Redis at redis://127.0.0.1:${port}: connect ECONNREFUSED`);
  expect(error.mend).toContain("FARM_REDIS_URL");
});

test("a server that never answers fails after the timeout", async () => {
  const port = await freePort();
  const sockets: { destroy(): void }[] = [];
  const server = createServer((socket) => sockets.push(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const error = await failure(connectRedis(`redis://127.0.0.1:${port}`, { timeoutMs: 300 }));
  expect(error.kind).toBe("service");
});

test("an address of another kind is refused and its password kept quiet", async () => {
  for (const url of ["http://me:secret@host:1", "localhost:6379", "redis//x", ""]) {
    const error = await failure(connectRedis(url));
    expect(error.kind).toBe("usage");
    expect(error.line).not.toContain("secret");
  }
});

test("a Redis that may evict keys is refused, as is a wrong password; the right one connects", async () => {
  const port = await freePort();
  const server = await startRedis(port, ["--maxmemory-policy", "allkeys-lru", "--requirepass", "sesame"]);
  onTestFinished(() => stop(server));
  const wrong = await failure(connectRedis(`redis://:open@127.0.0.1:${port}`));
  expect(wrong.message).toMatch(/WRONGPASS|invalid/);
  expect(wrong.line).not.toContain(":open@");
  expect(wrong.mend).toContain("password");
  const none = await failure(connectRedis(`redis://127.0.0.1:${port}`));
  expect(none.message).toMatch(/NOAUTH|Authentication/i);
  const evicting = await failure(connectRedis(`redis://:sesame@127.0.0.1:${port}`));
  expect(evicting.message).toContain("maxmemory-policy is allkeys-lru");
  expect(evicting.mend).toContain("noeviction");
});

test("rediss speaks TLS: a plain Redis is refused with a mend", async () => {
  const url = new URL(inject("redisUrl"));
  const error = await failure(connectRedis(`rediss://${url.host}`, { timeoutMs: 3000 }));
  expect(error.kind).toBe("service");
});

test("a Redis too old for the queue is refused", () => {
  expect(() => checkServer("Redis", "redis_version:5.0.14\r\nmaxmemory_policy:noeviction\r\n")).toThrow(
    "5.0.14",
  );
  checkServer("Redis", "redis_version:6.2.0\r\nmaxmemory_policy:noeviction\r\n");
});

test("an outage after the first connection is waited out", async () => {
  const port = await freePort();
  let server = await startRedis(port);
  onTestFinished(() => stop(server));
  const client = await connectRedis(`redis://127.0.0.1:${port}`);
  await stop(server);
  const answer = client.set("key", "value");
  server = await startRedis(port);
  expect(await answer).toBe("OK");
  await closeRedis(client);
});

test("a queue needs one of URL and connection, and a plain prefix", async () => {
  expect((await failure(openQueues({ prefix: "x" }))).kind).toBe("usage");
  const bad = await failure(openQueues({ prefix: "a:b", redisUrl: inject("redisUrl") }));
  expect(bad.message).toContain('"a:b"');
});
