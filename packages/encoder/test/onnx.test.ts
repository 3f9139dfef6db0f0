import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomOf } from "@loc2vec/core";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, inject, onTestFinished, test } from "vitest";
import {
  createEmbedder,
  createEncoder,
  encodeOnnx,
  initialWeights,
  LOC2VEC,
  type WeightArray,
} from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

const SCRIPT = `
import sys, json, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
tiles = numpy.fromfile(sys.argv[2], numpy.uint8).reshape(-1, 12, 128, 128)
print(json.dumps(session.run(["embedding"], {"tiles": tiles})[0].tolist()))`;

test("ONNX Runtime gives the vectors that the encoder gives, from Python and as the embedder", {
  timeout: 120_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-onnx-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const random = randomOf(5);
  // As after a training: no statistic and no shift is what it was at first.
  const weights = new Map<string, WeightArray>(
    [...initialWeights(LOC2VEC, 3)].map(([name, { shape, data }]) => {
      const changed = data.map((value) =>
        name.endsWith(".kernel")
          ? value
          : name.endsWith(".variance")
            ? 0.5 + random.uniform()
            : value + 0.4 * (random.uniform() - 0.5),
      );
      return [name, { shape, data: changed }];
    }),
  );
  const tiles = Array.from({ length: 3 }, (_, i) => {
    const draw = randomOf(99, i);
    return new Uint8Array(12 * 128 * 128).map(() => draw.int(256));
  });
  const encoder = createEncoder(await loadTensorflow(), LOC2VEC, weights);
  const ours = encoder.embed(tiles);
  encoder.dispose();
  const [model, input] = [join(folder, "encoder.onnx"), join(folder, "tiles")];
  await writeFile(model, encodeOnnx(LOC2VEC, weights));
  await writeFile(input, Buffer.concat(tiles));
  const { stdout, stderr } = spawnSync(inject("python"), ["-c", SCRIPT, model, input], { encoding: "utf8" });
  const theirs = (JSON.parse(stdout || stderr) as number[][]).flat();
  expect(theirs).toHaveLength(48);
  const embedder = await createEmbedder(LOC2VEC, weights);
  expect(embedder.engine).toMatch(/^ONNX Runtime \d/);
  const embedded = await embedder.embed(tiles);
  await expect(embedder.embed([new Uint8Array(7)])).rejects.toThrow(/tile 0 of the mini-batch has 7 bytes/);
  await embedder.dispose();
  for (const found of [ours, embedded]) {
    const furthest = Math.max(...theirs.map((value, i) => Math.abs(value - (found[i] as number))));
    expect(furthest).toBeLessThan(1e-5);
  }
  expect(Math.max(...theirs.map(Math.abs))).toBeGreaterThan(0.01);
});
