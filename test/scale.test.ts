import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { bench } from "../packages/bench/test/run.ts";

const DOCS = resolve(import.meta.dirname, "../docs");

test("docs/scale.md is what `bench scale` prints of docs/measured.jsonl", async () => {
  const { stdout, code } = await bench(["scale"]);
  expect(code).toBe(0);
  expect(stdout).toBe(readFileSync(join(DOCS, "scale.md"), "utf8"));
});

test("the sums follow from figures and prices", async () => {
  const { json } = await bench([
    "scale",
    "--json",
    "--core-hour",
    "1",
    "--put-price",
    "10",
    "--get-price",
    "100",
    "--workers",
    "60",
  ]);
  for (const { coreHours, minutes, compute, requests, perMillion } of json.rows) {
    expect(minutes).toBeCloseTo(coreHours, 9);
    expect(compute).toBeCloseTo(coreHours, 9);
    expect(requests).toBeCloseTo(json.puts / 100 + json.gets / 10, 9);
    expect(perMillion).toBeCloseTo((compute + requests) / 31.5, 9);
  }
  expect(json.puts).toBeGreaterThan(json.shards);
});

test("a file that lacks a bench, and a line that is none, are named", async () => {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-scale-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "some.jsonl");
  const lines = readFileSync(join(DOCS, "measured.jsonl"), "utf8").trim().split("\n");
  await writeFile(path, `${lines[0]}\n`);
  expect(await bench(["scale", "--measured", path])).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/lacks a bench/),
  });
  await writeFile(path, `${lines[0]}\n{"bench":"shards"}\n`);
  expect(await bench(["scale", "--measured", path])).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/line 2: bytes_per_tile/),
  });
  await writeFile(path, `{"bench":"query","complete":false,"tables":[]}\n`);
  expect(await bench(["scale", "--measured", path])).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/line 1: the bench query was stopped/),
  });
});
