import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { type HistoryEntry, readBest, readHistory } from "@loc2vec/trainer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { farm } from "./farm.ts";
import { NETWORK, writeStripes } from "./stripes.ts";

let folder: string;
let store: Awaited<ReturnType<typeof writeStripes>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "resume-"));
  store = await writeStripes(join(folder, "store"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const train = (model: string, onStart?: (kill: (signal: NodeJS.Signals) => void) => void) =>
  farm(
    [
      ...["train", "--dataset", "stripes", "--model", model, "--steps", "60", "--checkpoint-every", "10"],
      ...["--batch-locations", "6", "--pairs", "3", "--holdout", "0", "--min-distance", "0"],
      ...["--network", NETWORK, "--json"],
    ],
    { FARM_HOME: folder, FARM_STORE: pathToFileURL(join(folder, "store")).href },
    onStart,
  );

const figures = async (model: string): Promise<object[]> =>
  (await readHistory(store, model)).map(({ seconds: _s, waited: _w, ...rest }: HistoryEntry) => rest);

test("killed at whatever moment, again and again, a training ends with the bits of one that ran through", {
  timeout: 300_000,
}, async () => {
  expect((await train("whole")).json).toMatchObject({ step: 60, resumedFrom: 0 });
  const checkpoints = join(folder, "store/models/killed/checkpoints");
  // In the middle of steps, and while each of a checkpoint's files is written.
  const moments: [path: string, ms: number][] = [
    ["step-000010/state.json", 0],
    ["step-000020/weights.safetensors", 0],
    ["step-000020/optimizer.safetensors", 0],
    ["step-000030/state.json", 40],
    ["step-000040/weights.safetensors", 1],
    ["step-000050/state.json", 0],
  ];
  let furthest = 0;
  for (const [path, ms] of moments) {
    const seen = new AbortController();
    const ended = await train("killed", async (kill) => {
      while (!existsSync(join(checkpoints, path)) && !seen.signal.aborted) await sleep(0);
      await sleep(ms);
      kill("SIGKILL");
    });
    seen.abort();
    expect(ended.code, ended.stderr).toBeNull();
    for (const step of await readdir(checkpoints)) {
      const files = await readdir(join(checkpoints, step));
      if (files.includes("state.json")) furthest = Math.max(furthest, Number(step.slice(5)));
    }
  }
  const last = await train("killed");
  expect(last.json).toMatchObject({ step: 60, resumedFrom: furthest });
  expect(await figures("killed")).toEqual(await figures("whole"));
  expect((await figures("killed")).length).toBe(60);
  expect(await readBest(store, "killed")).toEqual(await readBest(store, "whole"));
  for (const file of ["step-000060/weights.safetensors", "step-000060/optimizer.safetensors"]) {
    const [a, b] = await Promise.all(
      ["whole", "killed"].map((model) => readFile(join(folder, "store/models", model, "checkpoints", file))),
    );
    expect(b?.equals(a as Buffer), file).toBe(true);
  }
});
