// Takes most of a minute: the whole demo, map, tiles, training and pictures, and a second one that is stopped.

import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fetchDemoMap } from "@loc2vec/gis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../../test/support/ports.ts";
import { farm } from "./farm.ts";

let home: string;
let pbf: string;
let settings: Record<string, string>;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "demo-"));
  await chmod(home, 0o755); // PostgreSQL's own user must get in
  pbf = (await fetchDemoMap({ home: resolve(import.meta.dirname, "../../../.farm") })).path;
  settings = {
    FARM_HOME: home,
    FARM_REDIS_PORT: String(await freePort()),
    FARM_DATABASE_PORT: String(await freePort()),
  };
});
afterAll(async () => {
  await farm(["down"], settings);
  await rm(home, { recursive: true, force: true });
});

const SMALL = ["--locations", "60", "--steps", "6", "--json"];

test("a real city through every part, from nothing but a map; again, only the pictures are drawn", {
  timeout: 300_000,
}, async () => {
  const first = await farm(["demo", "--pbf", pbf, ...SMALL], settings);
  expect(first.stderr).toContain("© OpenStreetMap contributors");
  expect(first).toMatchObject({
    code: 0,
    json: { locations: 60, tiles: 1260, parameters: 348_944, steps: 6 },
  });
  expect(first.json.bytesPerTile).toBeGreaterThan(100);
  expect(first.json.bytesPerTile).toBeLessThan(12 * 128 * 128);
  const [, look = ""] = /neighbours before any training here: (\S+)/.exec(first.stderr) ?? [];
  const looked = await readFile(look, "utf8");
  expect(looked).toContain("figure 18");
  expect(looked).toContain("has no history of a training");
  const page = await readFile(first.json.atlas, "utf8");
  expect(page).toContain("How training went, step by step");
  expect(page).toContain("figure 18");
  for (const [, file = ""] of page.matchAll(/src="([^"]+)"/g))
    expect(existsSync(join(first.json.atlas, "..", file)), file).toBe(true);

  // Nothing is left running that nobody asked for.
  const { json: status } = await farm(["down", "--json"], settings);
  expect(status).toEqual({ stopped: [] });

  const again = await farm(["demo", "--pbf", pbf, ...SMALL], settings);
  expect(again.code).toBe(0);
  expect(again.json).toMatchObject({
    dataset: first.json.dataset,
    tilesPerSecond: 0,
    lossLast5: first.json.lossLast5,
  });
  expect(await readFile(again.json.atlas, "utf8")).toBe(page);
});

test("stopped while it trains, it says so and goes on from there", { timeout: 300_000 }, async () => {
  const args = ["demo", "--pbf", pbf, "--locations", "60", "--steps", "12", "--recipe", "paper", "--json"];
  const stopped = await farm(args, settings, (kill, progress) => {
    // TensorFlow is only being loaded then: no machine has trained 12 steps by the time that the signal comes.
    progress.on("data", (text: string) => text.includes("demo: train") && kill("SIGINT"));
  });
  expect(stopped).toMatchObject({
    code: 130,
    stderr: expect.stringMatching(/^error: model demo-\S+: stopped after step \d+ \(mend: run it again/m),
    json: { error: { kind: "interrupted" } },
  });
  const done = await farm(args, settings);
  expect(done).toMatchObject({ code: 0, json: { steps: 12, model: expect.stringMatching(/-s12$/) } });
});
