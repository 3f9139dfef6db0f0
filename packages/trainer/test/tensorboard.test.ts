import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import type { HeldoutFigures, HistoryEntry } from "../src/index.ts";
import { encodeEvents } from "../src/tensorboard.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

/** Prints what TensorBoard itself makes of a folder. */
const READER = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
found.Reload()
print(json.dumps({tag: [[e.step, e.value, e.wall_time] for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}))`;

test("TensorBoard reads every scalar of every step", async () => {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-events-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const history: HistoryEntry[] = Array.from({ length: 300 }, (_, i) => ({
    step: i + 1,
    loss: 1 / (i + 2),
    positive: 0.25 * i,
    negative: 3 * i,
    accuracy: i / 512,
    gradientNorm: i / 4,
    learningRate: 1 / 1024,
    seconds: 0.5,
    waited: 0,
    ...(i % 100 === 99 ? { heldout: { accuracy: i / 512, nearest: i / 1024, loss: 1 / (i + 1) } } : {}),
  }));
  await writeFile(join(folder, "events.out.tfevents.0.loc2vec"), encodeEvents(history));
  const { stdout, stderr } = spawnSync(inject("python"), ["-c", READER, folder], { encoding: "utf8" });
  const found = JSON.parse(stdout || stderr);
  const column = (value: (entry: HistoryEntry) => number) =>
    history.map((entry, i) => [entry.step, Math.fround(value(entry)), 0.5 * (i + 1)]);
  const judged = (value: (figures: HeldoutFigures) => number) =>
    column(({ heldout }) => (heldout ? value(heldout) : 0)).filter(([step]) => Number(step) % 100 === 0);
  expect(found).toEqual({
    loss: column(({ loss }) => loss),
    "distance/positive": column(({ positive }) => positive),
    "distance/negative": column(({ negative }) => negative),
    triplet_accuracy: column(({ accuracy }) => accuracy),
    gradient_norm: column(({ gradientNorm }) => gradientNorm as number),
    learning_rate: column(({ learningRate }) => learningRate as number),
    steps_per_second: column(({ seconds }) => 1 / seconds),
    "heldout/triplet_accuracy": judged(({ accuracy }) => accuracy),
    "heldout/nearest": judged(({ nearest }) => nearest),
    "heldout/loss": judged(({ loss }) => loss),
  });
});
