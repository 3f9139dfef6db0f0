import { once } from "node:events";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { FarmError } from "@loc2vec/core";
import { openQueues } from "@loc2vec/queue";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../test/support/ports.ts";
import { startRedis, stop } from "../../queue/test/helpers.ts";
import { startBoard } from "../src/index.ts";
import { ask, freshBoard, freshQueues, metricsOf, PASSWORD, STORE } from "./helpers.ts";

const PAGES = ["/", "/queue/raster", "/api/queues", "/static/favicon.ico", "/metrics"];
const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

test("every page but /healthz wants the password", async () => {
  const { url } = await freshBoard();
  for (const page of [...PAGES, "/nowhere", "/healthz/", "//healthz", "/metrics?x=/healthz"]) {
    const { status, headers, text } = await ask(url + page);
    expect(status, page).toBe(401);
    expect(headers["www-authenticate"]).toMatch(/^Basic realm=/);
    expect(text).toBe(`{"error":"the board's password, please"}`);
  }
  for (const authorization of [
    basic("me", "wrong"),
    basic(PASSWORD, ""),
    basic("", `${PASSWORD}x`),
    "Bearer wrong",
    `Digest ${PASSWORD}`,
  ])
    expect((await ask(url, { headers: { authorization } })).status, authorization).toBe(401);
  for (const page of PAGES) {
    for (const authorization of [basic("anyone", PASSWORD), basic("", PASSWORD), `Bearer ${PASSWORD}`])
      expect((await ask(url + page, { headers: { authorization } })).status, page).toBe(200);
  }
  expect(await ask(`${url}/healthz`)).toMatchObject({ status: 200, text: '{"ok":true}' });
});

test("ten wrong passwords a minute, then none is looked at", async () => {
  const { url } = await freshBoard();
  // Neither requests without a password nor right ones count.
  for (let i = 0; i < 15; i++) {
    expect((await ask(url)).status).toBe(401);
    expect((await ask(url, { as: PASSWORD })).status).toBe(200);
  }
  // Nor does it help to call oneself another.
  for (let i = 0; i < 10; i++)
    expect((await ask(url, { as: `${i}`, headers: { "x-forwarded-for": `10.0.0.${i}` } })).status).toBe(401);
  for (const as of ["wrong", PASSWORD]) {
    const { status, headers } = await ask(`${url}/metrics`, { as });
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("60");
  }
  expect((await ask(`${url}/healthz`)).status).toBe(200);
});

test("passwords tried at once on one connection are counted too", async () => {
  const { url } = await freshBoard();
  const guesses = Array.from({ length: 40 }, (_, i) => (i === 5 ? PASSWORD : `guess${i}`));
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const host = new URL(url).host;
  const requests = guesses.map((guess, i) =>
    [
      "GET /metrics HTTP/1.1",
      `Host: ${host}`,
      `Authorization: Bearer ${guess}`,
      ...(i === guesses.length - 1 ? ["Connection: close"] : []),
      "\r\n",
    ].join("\r\n"),
  );
  socket.write(requests.join(""));
  let text = "";
  for await (const chunk of socket) text += chunk;
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
  expect(statuses).toHaveLength(40);
  // The right one among them is not told.
  expect(statuses).not.toContain("200");
  expect(statuses.filter((status) => status === "401").length).toBeLessThanOrEqual(10);
});

test("behind a proxy that is believed, addresses are told apart", async () => {
  const { url } = await freshBoard({ proxies: ["127.0.0.1"] });
  const from = (address: string, as: string) => ask(url, { as, headers: { "x-forwarded-for": address } });
  for (let i = 0; i < 11; i++) await from("203.0.113.1", "wrong");
  expect((await from("203.0.113.1", PASSWORD)).status).toBe(429);
  expect((await from("203.0.113.2", PASSWORD)).status).toBe(200);
});

test("any address may ask often, not endlessly", async () => {
  const { url } = await freshBoard();
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  onTestFinished(() => agent.destroy());
  const statuses = await Promise.all(
    Array.from({ length: 1300 }, async () => {
      const [response] = await once(get(`${url}/nowhere`, { agent }), "response");
      response.resume();
      return response.statusCode as number;
    }),
  );
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
  expect(statuses.filter((status) => status === 401)).toHaveLength(1200);
});

test("on this machine, a name that only points here is refused", async () => {
  const { url } = await freshBoard();
  const { port } = new URL(url);
  for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "10.0.0.1"])
    for (const page of ["/", "/healthz", "/nowhere"])
      expect((await ask(url + page, { as: PASSWORD, headers: { host } })).status, host).toBe(421);
  for (const host of [`localhost:${port}`, "board.localhost", `[::1]:${port}`])
    expect((await ask(url, { as: PASSWORD, headers: { host } })).status, host).toBe(200);
});

test("elsewhere any name will do, but the password must be good", async () => {
  const queues = await freshQueues();
  const error = await startBoard({
    queues,
    host: "0.0.0.0",
    port: 0,
    password: "short",
    log: () => {},
  }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(FarmError);
  expect((error as FarmError).kind).toBe("usage");
  expect((error as FarmError).line).toContain("FARM_BOARD_PASSWORD");
  const { url } = await freshBoard({ queues, host: "0.0.0.0" });
  const here = url.replace("0.0.0.0", "127.0.0.1");
  const headers = { host: "farm.example" };
  expect((await ask(here, { headers })).status).toBe(401);
  expect((await ask(here, { headers, as: PASSWORD })).status).toBe(200);
});

test("another site's page changes nothing", async () => {
  const { url, queues } = await freshBoard();
  const pause = `${url}/api/queues/raster/pause`;
  for (const headers of [
    {},
    { origin: "https://evil.example" },
    { origin: "null" },
    { "sec-fetch-site": "cross-site", origin: url },
    { "sec-fetch-site": "same-site" },
  ]) {
    expect((await ask(pause, { method: "PUT", as: PASSWORD, headers })).status).toBe(403);
    expect((await ask(`${url}/nowhere`, { method: "POST", as: PASSWORD, headers })).status).toBe(403);
  }
  expect(await queues.raster.isPaused()).toBe(false);
  expect((await ask(pause, { method: "PUT", headers: { origin: url } })).status).toBe(401);
  expect((await ask(pause, { method: "PUT", as: PASSWORD, headers: { origin: url } })).status).toBe(200);
  expect(await queues.raster.isPaused()).toBe(true);
});

test("no page is kept, framed, or tells what serves it", async () => {
  const { url } = await freshBoard();
  for (const page of [...PAGES, "/nowhere", "/healthz"]) {
    const { headers } = await ask(url + page, { as: PASSWORD });
    expect(headers["cache-control"], page).toBe("no-store");
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["x-frame-options"]).toBe("DENY");
    expect(headers["referrer-policy"]).toBe("no-referrer");
    expect(headers["x-powered-by"]).toBeUndefined();
    expect(headers.server).toBeUndefined();
    const policy = headers["content-security-policy"] as string;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe-(inline|eval)/);
  }
});

test("while Redis is away nothing hangs, and afterwards all is well", { timeout: 90_000 }, async () => {
  const port = await freePort();
  let server = await startRedis(port);
  onTestFinished(() => stop(server));
  const queues = await openQueues({ redisUrl: `redis://127.0.0.1:${port}`, prefix: "board" });
  onTestFinished(() => queues.close());
  const { url } = await freshBoard({ queues });
  expect((await ask(`${url}/healthz`)).status).toBe(200);
  // A Redis that hangs, then one that is gone.
  for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
    server.kill(signal);
    await sleep(100);
    const begin = performance.now();
    const [health, metrics] = await Promise.all([
      ask(`${url}/healthz`).then((answer) => ({ ...answer, ms: performance.now() - begin })),
      ask(`${url}/metrics`, { as: PASSWORD }),
    ]);
    expect(health).toMatchObject({ status: 503, text: '{"ok":false}' });
    expect(health.ms).toBeLessThan(3000);
    expect(metrics).toMatchObject({ status: 503, text: '{"error":"Redis does not answer"}' });
    expect(performance.now() - begin).toBeLessThan(6500);
  }
  expect((await ask(`${url}/api/queues`, { as: PASSWORD })).status).toBe(503);
  server = await startRedis(port);
  await expect.poll(async () => (await ask(`${url}/healthz`)).status, { timeout: 15_000 }).toBe(200);
  expect((await ask(`${url}/metrics`, { as: PASSWORD })).status).toBe(200);
  expect((await ask(`${url}/api/queues`, { as: PASSWORD })).status).toBe(200);
});

test("on a Redis that takes no writes the board shows what there is, and says what it refuses", async () => {
  const port = await freePort();
  const server = await startRedis(port);
  onTestFinished(() => stop(server));
  const redisUrl = `redis://127.0.0.1:${port}`;
  const writing = await openQueues({ redisUrl, prefix: "board" });
  onTestFinished(() => writing.close());
  await writing.raster.add("shard", { store: STORE, dataset: "city", shard: 0 });
  await writing.connection.config("SET", "min-replicas-to-write", "1");
  await expect(openQueues({ redisUrl, prefix: "board" })).rejects.toThrow("NOREPLICAS");
  const queues = await openQueues({ redisUrl, prefix: "board", writes: false });
  onTestFinished(() => queues.close());
  const board = await freshBoard({ queues });
  expect((await ask(`${board.url}/healthz`)).status).toBe(200);
  expect((await metricsOf(board)).get('loc2vec_jobs{queue="raster",state="waiting"}')).toBe(1);
  const headers = { "sec-fetch-site": "same-origin" };
  const paused = await ask(`${board.url}/api/queues/raster/pause`, { method: "PUT", as: PASSWORD, headers });
  expect(paused).toMatchObject({ status: 500, text: expect.stringContaining("NOREPLICAS") });
});

test("a board ends within a second, open connections and a dead Redis or not", async () => {
  const port = await freePort();
  const server = await startRedis(port);
  onTestFinished(() => stop(server));
  const queues = await openQueues({ redisUrl: `redis://127.0.0.1:${port}`, prefix: "board" });
  onTestFinished(() => queues.close());
  const options = { queues, port: 0, password: PASSWORD, log: () => {} };
  for (const dead of [false, true]) {
    const board = await startBoard(options);
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    const [response] = await once(get(`${board.url}/healthz`, { agent }), "response");
    response.resume();
    await once(response, "end");
    if (dead) {
      await stop(server);
      await sleep(300);
    }
    const begin = performance.now();
    await board.close();
    expect(performance.now() - begin).toBeLessThan(1000);
    await expect(ask(`${board.url}/healthz`)).rejects.toThrow("ECONNREFUSED");
  }
});

test("a taken port is named, and nothing stays behind", async () => {
  const { url, queues } = await freshBoard();
  const port = Number(new URL(url).port);
  const listeners = async (): Promise<number> =>
    String(await queues.connection.client("LIST"))
      .split("\n")
      .filter((line) => line.includes(queues.prefix)).length;
  await expect.poll(listeners).toBe(4);
  const error = await startBoard({ queues, port, password: PASSWORD, log: () => {} }).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(FarmError);
  expect(error).toMatchObject({ kind: "service" });
  expect((error as FarmError).message).toContain(String(port));
  expect((error as FarmError).mend).toContain("another port");
  await sleep(200);
  await expect.poll(listeners).toBe(4);
});

test("the password is nowhere to be read", async () => {
  const { url, lines } = await freshBoard();
  await ask(url, { as: "a-wrong-password" });
  const pages = await Promise.all([...PAGES, "/nowhere"].map((page) => ask(url + page, { as: PASSWORD })));
  for (const text of [...lines, ...pages.map((page) => JSON.stringify(page.headers) + page.text)]) {
    expect(text).not.toContain(PASSWORD);
    expect(text).not.toContain("a-wrong-password");
  }
  expect(lines).toContain(`board: ${url}`);
});
