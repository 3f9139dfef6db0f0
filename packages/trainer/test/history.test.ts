import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { openStore } from "@loc2vec/shards";
import { expect, inject, onTestFinished, test } from "vitest";
import { openHistory, readHistory } from "../src/history.ts";
import type { HistoryEntry } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

const entryOf = (step: number, loss = 1 / step): HistoryEntry => ({
  step,
  loss,
  positive: 1,
  negative: 2,
  accuracy: 0.5,
  gradientNorm: 3,
  learningRate: 0.001,
  seconds: 0.5,
  waited: 0,
});

async function freshStore() {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-history-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return { folder, store: openStore(pathToFileURL(folder).href) };
}

/** A TensorBoard that stays: for each line on stdin it looks again, and prints the steps and losses that it knows. */
const LIVE = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
for _ in sys.stdin:
    found.Reload()
    print(json.dumps([[e.step, e.value] for e in found.Scalars("loss")]), flush=True)`;

test("a checkpoint writes little, whatever came before; the history comes back whole, and TensorBoard follows", async () => {
  const { folder, store } = await freshStore();
  const python = spawn(inject("python"), ["-c", LIVE, join(folder, "models/m/events")], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  onTestFinished(() => void python.kill());
  const lines = createInterface(python.stdout);
  const shown = async (): Promise<[number, number][]> => {
    const line = once(lines, "line");
    python.stdin.write("\n");
    return JSON.parse((await line)[0] as string);
  };
  const steps = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

  const history = await openHistory(store, "m", 0);
  for (const looked of [200, 25_000]) {
    for (let step = history.entries.length + 1; step <= looked; step++) {
      history.entries.push(entryOf(step));
      if (step % 100 === 0) await history.save(step === 25_000);
    }
    expect((await shown()).map(([step]) => step)).toEqual(steps(looked));
  }
  const keys = await Array.fromAsync(store.list("models/m/"));
  expect(keys.filter((key) => key.endsWith(".ndjson")).sort()).toEqual([
    "models/m/history-000010001.ndjson",
    "models/m/history-000020001.ndjson",
    "models/m/history.ndjson",
  ]);
  expect(keys.filter((key) => key.includes("/events/")).length).toBeLessThan(220);
  expect(await readHistory(store, "m")).toEqual(history.entries);

  // Back to a checkpoint: what lies beyond it is forgotten, and written anew.
  const again = await openHistory(store, "m", 10_050);
  expect(again.entries).toEqual(history.entries.slice(0, 10_050));
  for (let step = 10_051; step <= 10_200; step++) again.entries.push(entryOf(step, 7));
  await again.save(true);
  expect(await readHistory(store, "m")).toEqual(again.entries);
  python.stdin.end();
  const fresh = spawn(inject("python"), ["-c", LIVE, join(folder, "models/m/events")], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  onTestFinished(() => void fresh.kill());
  fresh.stdin.write("\n");
  const found = JSON.parse((await once(createInterface(fresh.stdout), "line"))[0] as string);
  expect(found.map(([step]: [number]) => step)).toEqual(steps(10_200));
  expect(found.slice(10_049).map(([, loss]: [number, number]) => loss)).toEqual([
    Math.fround(1 / 10_050),
    ...Array(150).fill(7),
  ]);
});

test("a line that is damaged is named, and what to do about it", async () => {
  const { store } = await freshStore();
  const lines = [JSON.stringify(entryOf(1)), '{"step": 2, "lo', JSON.stringify(entryOf(3))];
  for (const [bad, told] of [
    [lines[1], /JSON/],
    ['{"step": 2, "loss": null}', /loss: /],
  ] as const) {
    const text = [lines[0], bad, lines[2]].join("\n");
    await store.put("models/m/history.ndjson", new TextEncoder().encode(text));
    await expect(readHistory(store, "m")).rejects.toMatchObject({
      kind: "data",
      message: expect.stringMatching(
        new RegExp(`^models/m/history\\.ndjson in .*, line 2: .*${told.source}`),
      ),
      mend: expect.stringMatching(/^remove the file/),
    });
  }
});

test("a history of one long file, as it was written before, is read on", async () => {
  const { store } = await freshStore();
  const old = Array.from({ length: 20_000 }, (_, i) => entryOf(i + 1));
  const text = old.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  await store.put("models/m/history.ndjson", new TextEncoder().encode(text));
  const history = await openHistory(store, "m", 15_000);
  history.entries.push(entryOf(15_001, 9));
  await history.save(true);
  expect(await readHistory(store, "m")).toEqual([...old.slice(0, 15_000), entryOf(15_001, 9)]);
});
