// Takes most of a minute: each command that trains or embeds is a process that loads TensorFlow.

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { TrainJob } from "@loc2vec/core";
import { networkOf } from "@loc2vec/encoder";
import { modelJobId, openQueues } from "@loc2vec/queue";
import { type ObjectStore, openStore, storeIdentity } from "@loc2vec/shards";
import { type HistoryEntry, readCheckpoint, readHistory } from "@loc2vec/trainer";
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { CLI, farm } from "./farm.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

let folder: string;
let store: ObjectStore;
let settings: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "training-"));
  store = openStore(pathToFileURL(join(folder, "store")).href);
  await writeStripes(store);
  settings = {
    FARM_HOME: folder,
    FARM_STORE: pathToFileURL(join(folder, "store")).href,
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_QUEUE_PREFIX: `training-${process.pid}`,
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const train = (model: string, ...more: string[]): string[] => [
  ...["train", "--dataset", "stripes", "--model", model, "--network", NETWORK],
  ...["--batch-locations", "6", "--pairs", "3", "--holdout", "0", "--min-distance", "0", ...more],
];

const ESCAPE = String.fromCharCode(27);

/** What a terminal shows of what was written to it, line by line; and how often it was drawn anew in its place. */
function screen(written: string): { lines: string[]; redrawn: number } {
  const lines = [""];
  let row = 0;
  let redrawn = 0;
  const pieces = new RegExp(`${ESCAPE}\\[(\\d*)([A-Z])|(.)`, "gs");
  for (const [, count, command, text] of written.matchAll(pieces)) {
    if (command === "A") {
      row = Math.max(0, row - Number(count || 1));
      redrawn++;
    } else if (command === "J") lines.splice(row, lines.length, "");
    else if (command === "K") lines[row] = "";
    else if (text === "\n") {
      row++;
      lines[row] ??= "";
    } else if (text !== "\r") lines[row] += text;
  }
  return { lines, redrawn };
}

test("on a terminal a training is shown in its place; elsewhere in lines", { timeout: 120_000 }, async () => {
  const half = ["--holdout", "0.5", "--border", "0"];
  const command = [process.execPath, CLI, ...train("shown", "--steps", "120", ...half)];
  const quoted = command.map((each) => `'${each}'`).join(" ");
  const { stdout } = spawnSync("script", ["-qec", `stty cols 90; ${quoted}`, "/dev/null"], {
    env: { ...process.env, ...settings },
    encoding: "utf8",
  });
  const { lines, redrawn } = screen(stdout);
  expect(redrawn).toBeGreaterThan(1);
  const at = lines.indexOf("model shown, data set stripes: ended");
  expect(lines.filter((line) => line.startsWith("model shown, data set"))).toHaveLength(1);
  expect(lines.slice(at + 1, at + 9)).toEqual([
    expect.stringMatching(/^\[█{40}\] 100% step 120 of 120, [\d.]+ steps\/s, ETA 0s$/),
    expect.stringMatching(/^loss {11}0\.\d{4} [▁▂▃▄▅▆▇█]{40}$/),
    expect.stringMatching(/^distance {7}d⁺ \d+\.\d+, d⁻ \d+\.\d+; \d+\.\d% of triplets right$/),
    expect.stringMatching(/^learning rate {2}0\.00100, norm of the gradients \d+\.\d+$/),
    expect.stringMatching(/^held out {7}\d+\.\d% of triplets right, \d+\.\d% at best [▁▂▃▄▅▆▇█]{2}$/),
    expect.stringMatching(/^waited {9}\d+\.\d% of the time for tiles$/),
    expect.stringMatching(/^model shown: 5152 parameters, step 120, loss /),
    expect.stringMatching(/^best: step 1[02]0, \d+\.\d% of held-out tiles nearest to one of their location$/),
  ]);
  const piped = await farm(train("shown", "--steps", "210", ...half), settings);
  expect(piped.stderr).toMatch(
    /^train: 210\/210 steps \(100%\), [\d.]+ steps\/s, loss.*right, \d+\.\d% held out/m,
  );
  expect(piped.stderr).not.toContain(ESCAPE);
});

test("a model that is being trained is not trained by a second command", { timeout: 120_000 }, async () => {
  let second: ReturnType<typeof farm> | undefined;
  const first = await farm(
    train("busy", "--steps", "100000", "--checkpoint-every", "10"),
    settings,
    async (kill) => {
      while (!existsSync(join(folder, "store/models/busy/best.json"))) await sleep(1);
      second = farm(train("busy", "--steps", "20", "--json"), settings);
      await second;
      kill("SIGTERM");
    },
  );
  const refused = await second;
  expect(refused).toMatchObject({ code: 6, json: { error: { kind: "data" } } });
  expect(refused?.json.error.message).toMatch(
    /^model busy in file:.*: another training holds it since \S+: process \d+ on \S+, heard of \d+ s ago$/,
  );
  expect(first).toMatchObject({
    code: 130,
    stderr: expect.stringMatching(/model busy: stopped after step \d+/),
  });
  // What was stopped in good order is gone on with at once; so it is when it was killed, see resume.test.ts.
  const steps = Number(/stopped after step (\d+)/.exec(first.stderr)?.[1]);
  const rest = await farm(train("busy", "--steps", String(steps + 1), "--json"), settings);
  expect(rest.json).toMatchObject({ resumedFrom: steps, step: steps + 1 });
});

test("a checkpoint is named by best, last or its step, in commands and jobs", {
  timeout: 120_000,
}, async () => {
  const half = ["--holdout", "0.5", "--border", "0"];
  await farm(train("kept", "--steps", "20", "--checkpoint-every", "5", ...half), settings);
  // As if the first of those kept were the best by far.
  const key = "models/kept/best.json";
  const told = JSON.stringify({ step: 15, loss: 0, heldout: { accuracy: 1, loss: 0 } });
  await store.put(key, new TextEncoder().encode(told));
  const model = ["--model", "kept", "--json"];
  for (const [given, step] of [
    [[], 15],
    [["--checkpoint", "last"], 20],
    [["--checkpoint", "15"], 15],
  ] as const) {
    const embedded = await farm(["embed", "--dataset", "stripes", ...model, ...given], settings);
    expect(embedded.json).toMatchObject({ step, locations: 24 });
    const exported = await farm(
      ["export", ...model, ...given, "--out", join(folder, `kept-${step}`)],
      settings,
    );
    expect(exported.json).toMatchObject({ model: "kept", step });
  }
  const gone = await farm(["export", ...model, "--checkpoint", "7"], settings);
  expect(gone).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/no checkpoint of step 7 is kept, those of/),
  });
  const wrong = await farm(["evaluate", "--dataset", "stripes", ...model, "--checkpoint", "frist"], settings);
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/must be best, last or a step/) });

  const own = { ...settings, FARM_QUEUE_PREFIX: `embeds-${randomUUID()}` };
  const { embed: jobs } = await queue(own.FARM_QUEUE_PREFIX);
  const place = { store: await storeIdentity(store), dataset: "stripes", model: "kept" };
  const payload = { ...place, checkpoint: "last" } as const;
  await jobs.add("embed", payload, { jobId: modelJobId(payload) });
  await farm(["work", "--queues", "embed", "--until", "empty", "--json"], own);
  expect((await jobs.getJob(modelJobId(payload)))?.returnvalue).toMatchObject({ step: 20, locations: 24 });
});

test("networks are chosen by name or by their layers, and what is wrong with them is said", async () => {
  const help = (await farm(["train", "--help"])).stdout.replace(/\s+/g, " ");
  expect(help).toContain(
    "small (81,552 parameters), paper (305,040 parameters), large (1,208,080 parameters)",
  );
  for (const [given, message] of [
    ["tiny", /--network .* must be small, paper, large, global or JSON/],
    ['{"pooled":[],"pointwise":[],"dense":4,"embedding":4}', /pooled: /],
    ['{"pooled":[8],"pointwise":[0],"dense":4,"embedding":4}', /pointwise\.0: /],
    ['{"pooled":[8],"dense":4,"embedding":4}', /pointwise: /],
    ['[{"kind":"pool"},{"kind":"dense","units":4}]', /layer 2 \(dense\): takes a vector/],
    ['[{"kind":"conv","filters":0,"size":3}]', /layer 1, filters: /],
  ] as const) {
    const args = ["train", "--dataset", "stripes", "--model", "x", "--steps", "1", "--network", given];
    expect(await farm(args, settings)).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
  }
  const deep = '{"pooled":[8,8,8,8,8,8],"pointwise":[],"dense":4,"embedding":4}';
  expect(
    await farm(
      ["train", "--dataset", "stripes", "--model", "x", "--steps", "1", "--network", deep],
      settings,
    ),
  ).toMatchObject({ code: 2, stderr: expect.stringMatching(/tiles of 32 pixels cannot be halved 6 times/) });
});

const job = async (model: string, changes: Partial<TrainJob>): Promise<TrainJob> => ({
  store: await storeIdentity(store),
  dataset: "stripes",
  model,
  steps: 60,
  seed: 0,
  batch: { locations: 6, pairs: 3 },
  loss: "softpn",
  learningRate: 0.001,
  checkpointEvery: 10,
  empty: "skip",
  minDistanceM: 0,
  holdout: { share: 0, cellM: 1000, borderM: 510 },
  network: JSON.parse(NETWORK),
  ...changes,
});

async function queue(prefix: string) {
  const queues = await openQueues({ redisUrl: inject("redisUrl"), prefix });
  onTestFinished(async () => {
    await queues.train.obliterate({ force: true });
    await queues.embed.obliterate({ force: true });
    await queues.close();
  });
  return queues;
}

const figures = async (model: string): Promise<object[]> =>
  (await readHistory(store, model)).map(({ seconds: _s, waited: _w, ...rest }: HistoryEntry) => rest);

const WORK = ["work", "--queues", "train", "--until", "empty", "--lock", "2", "--json"];

test("a worker that is killed while it trains: another one goes on from its checkpoint, to the same bits", {
  timeout: 120_000,
}, async () => {
  const own = { ...settings, FARM_QUEUE_PREFIX: `killed-${randomUUID()}` };
  const { train: jobs } = await queue(own.FARM_QUEUE_PREFIX);
  // Long, so that a busy machine has not ended it before it is killed.
  const long = await job("killed", { steps: 240 });
  await jobs.add("train", long, { jobId: modelJobId(long) });
  const killed = await farm(WORK, own, async (kill) => {
    while (!existsSync(join(folder, "store/models/killed/best.json"))) await sleep(1);
    kill("SIGKILL");
  });
  expect(killed.code).toBeNull();
  expect(await jobs.getJobCountByTypes("active")).toBe(1);
  expect((await farm(WORK, own)).json).toMatchObject({ failures: 0 });
  const done = await jobs.getJob(`killed@stripes@${await storeIdentity(store)}`);
  expect(await done?.getState()).toBe("completed");
  expect(done?.returnvalue).toMatchObject({ step: 240 });
  // The plain command with the same settings, never stopped.
  const plain = train("calm", "--steps", "240", "--checkpoint-every", "10", "--json");
  expect((await farm(plain, settings)).json).toMatchObject({ resumedFrom: 0 });
  expect(await figures("killed")).toEqual(await figures("calm"));
  const [a, b] = [await readCheckpoint(store, "killed", 240), await readCheckpoint(store, "calm", 240)];
  expect(a).toEqual(b);
});

test("a job with a setting that there is not, or out of its range, fails at once and names it", {
  timeout: 120_000,
}, async () => {
  const own = { ...settings, FARM_QUEUE_PREFIX: `bad-${randomUUID()}` };
  const { train: jobs } = await queue(own.FARM_QUEUE_PREFIX);
  const bad = [
    [await job("unknown", { los: "softpn" }), "model unknown: los: there is no such setting"],
    [await job("beyond", { warmup: -1 }), "model beyond: warmup: must be a whole number, 0 or more"],
  ] as const;
  for (const [payload] of bad) await jobs.add("train", payload, { jobId: modelJobId(payload) });
  expect((await farm(WORK, own)).json).toMatchObject({ failures: 2, failed: 2 });
  for (const [payload, reason] of bad) {
    const failed = await jobs.getJob(modelJobId(payload));
    expect(failed?.attemptsMade).toBe(1);
    expect(failed?.failedReason).toContain(reason);
  }
});

test("a job whose time is over goes behind the others, and on until its steps are done", {
  timeout: 120_000,
}, async () => {
  const own = { ...settings, FARM_QUEUE_PREFIX: `turns-${randomUUID()}` };
  const { train: jobs } = await queue(own.FARM_QUEUE_PREFIX);
  for (const each of [
    await job("long", { steps: 150, maxSeconds: 0.8, warmup: 5, halveEvery: 50, patience: 140 }),
    await job("short", { steps: 3 }),
  ])
    await jobs.add("train", each, { jobId: modelJobId(each) });
  const { json } = await farm(WORK, own);
  expect(json).toMatchObject({ failures: 0 });
  const id = await storeIdentity(store);
  const [long, short] = [await jobs.getJob(`long@stripes@${id}`), await jobs.getJob(`short@stripes@${id}`)];
  expect(long?.returnvalue).toMatchObject({ step: 150 });
  expect(short?.finishedOn).toBeLessThan(long?.finishedOn as number);
  expect(long?.attemptsMade).toBeLessThanOrEqual(1);
  expect((await readCheckpoint(store, "long", 150)).settings).toMatchObject({
    schedule: { warmup: 5, halveEvery: 50 },
    architecture: { layers: networkOf(JSON.parse(NETWORK)) },
  });
  const rates = (await readHistory(store, "long")).map(({ learningRate }) => learningRate as number);
  expect(rates[4]).toBe(0.001);
  expect(rates[54]).toBeCloseTo(0.0005, 9);
});

test("a model is trained on several data sets, which all messages name", { timeout: 120_000 }, async () => {
  await writeStripes(store, { ...STRIPES, name: "other", seed: 2 });
  const several = (...more: string[]): string[] => {
    const [command = "", ...rest] = train("several", "--steps", "3", "--mix", "turns", ...more);
    return [command, ...rest.flatMap((word) => (word === "stripes" ? ["stripes", "other"] : word))];
  };
  const trained = await farm(several("--json"), settings);
  expect(trained).toMatchObject({
    code: 0,
    json: { model: "several", dataset: ["other", "stripes"], step: 3 },
  });
  const { settings: kept } = await readCheckpoint(store, "several", 3);
  expect(kept).toMatchObject({ mix: "turns", shards: ["0-5", "0-5"] });
  const embedded = await farm(["embed", "--dataset", "other", "--model", "several", "--json"], settings);
  expect(embedded).toMatchObject({ code: 0, json: { locations: 24 } });
  await writeStripes(store, { ...STRIPES, name: "few", samples: 4 });
  const refused = await farm(
    ["train", "--dataset", "stripes", "few", "--model", "x", "--steps", "1"],
    settings,
  );
  expect(refused.code).toBe(6);
  expect(refused.stderr).toMatch(
    /^error: data sets few and stripes cannot be trained on together: few has 3 positives of each location, stripes has 4 positives of each location \(mend: .*--positives/m,
  );
});
