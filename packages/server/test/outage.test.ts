import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openDataset } from "@loc2vec/shards";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../test/support/ports.ts";
import { farm } from "../../cli/test/farm.ts";
import { ask, get, LOCATIONS, serve, TOKEN, testWorld } from "./world.ts";

const world = testWorld("server_outage");

/** A way to a server that can be cut: connections break, and nobody listens. */
async function openWay(target: URL) {
  const port = await freePort();
  const sockets = new Set<Socket>();
  let server: NetServer | undefined;
  const up = async (): Promise<void> => {
    server = createServer((near) => {
      const far = connect(Number(target.port), target.hostname);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        from.on("error", () => to.destroy()).on("close", () => to.destroy());
        from.pipe(to);
      }
    }).listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  const cut = async (): Promise<void> => {
    server?.close();
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    if (server?.listening) await once(server, "close");
  };
  await up();
  onTestFinished(cut);
  const url = new URL(target);
  [url.hostname, url.port] = ["127.0.0.1", String(port)];
  return { url: url.href, up, cut };
}

test("while PostGIS is away spots are refused for the moment, and the rest is answered; then all is again", async () => {
  const way = await openWay(new URL(world.databaseUrl));
  const { url, lines } = await serve({ ...world, databaseUrl: way.url });
  const { lon, lat } = await get(`${url}/v1/locations/0`);
  const body = { lon, lat };
  const before = await get(`${url}/v1/embed`, { body });
  await way.cut();
  for (let i = 0; i < 3; i++) {
    const { status, headers, json } = await ask(`${url}/v1/embed`, { body });
    expect([status, headers.get("retry-after"), json.error.code]).toEqual([503, "5", "postgres"]);
    expect(JSON.stringify(json)).not.toContain(new URL(way.url).password || "no password");
  }
  const health = await ask(`${url}/healthz`, { token: "" });
  expect([health.status, health.json.ok]).toEqual([503, false]);
  expect((await ask(`${url}/v1/neighbours?location=1`)).status).toBe(200);
  expect((await ask(`${url}/v1/locations/1/tile.png`)).status).toBe(200);
  await way.up();
  await expect.poll(async () => (await ask(`${url}/healthz`)).status, { timeout: 20_000 }).toBe(200);
  expect(await get(`${url}/v1/embed`, { body })).toEqual(before);
  expect(lines.filter((line) => line.includes("waiting"))).not.toEqual([]);
});

test("at SIGTERM what is under way is answered, and farm serve ends well", { timeout: 180_000 }, async () => {
  const { lon, lat } = await (await openDataset(world.store, "city")).locations(0, LOCATIONS);
  const places = Array.from(lon, (each, i) => ({ lon: each, lat: lat[i] as number }));
  let answered: ReturnType<typeof ask> | undefined;
  const served = ["--dataset", "city", "--model", "pretrained", "--port", "0"];
  const ended = await farm(["serve", ...served], world.settings, (kill, stderr) => {
    let text = "";
    stderr.on("data", async (chunk: string) => {
      text += chunk;
      const url = /^serve: (http:.*)$/m.exec(text)?.[1];
      if (url === undefined || answered !== undefined) return;
      answered = readFile(join(world.home, "serve/token"), "utf8").then((token) =>
        ask(`${url}/v1/embed`, { body: { places }, token: token.trim() }),
      );
      answered.catch(() => {});
      await sleep(500);
      kill("SIGTERM");
    });
  });
  expect(ended).toMatchObject({ code: 0 });
  const { status, json } = await (answered as ReturnType<typeof ask>);
  expect(status).toBe(200);
  expect(json.vectors).toHaveLength(LOCATIONS);
  // The token of the settings, once there are some, and a word on what may not be.
  const open = await farm(["serve", ...served, "--host", "0.0.0.0"], world.settings);
  expect(open).toMatchObject({ code: 2 });
  expect(open.stderr).toContain("FARM_SERVE_TOKENS");
  const short = await farm(["serve", ...served], { ...world.settings, FARM_SERVE_TOKENS: `${TOKEN},short` });
  expect(short).toMatchObject({ code: 2 });
  expect(short.stderr).not.toContain(TOKEN);
});
