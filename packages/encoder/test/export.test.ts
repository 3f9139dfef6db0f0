// Takes most of a minute: Python loads Keras for each network, and saves and reads it in three formats.

import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { randomOf } from "@loc2vec/core";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { expect, onTestFinished, test } from "vitest";
import { tensorflowPython } from "../../../test/support/python.ts";
import {
  createEmbedder,
  createEncoder,
  encodeOnnx,
  encodeSafetensors,
  initialWeights,
  LAYER_KINDS,
  LOC2VEC,
  NETWORKS,
  networkOf,
  storedArchitecture,
  type WeightArray,
} from "../src/index.ts";

const KERAS = resolve(import.meta.dirname, "../python/loc2vec_keras.py");

/** Embeds tiles, uint8 [tile, channel, y, x], in each of the formats. */
const SCRIPT = `
import sys, json, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
folder, channels, pixels = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, sys.argv[4])
import numpy, onnxruntime, tensorflow as tf
from loc2vec_keras import load
tiles = numpy.fromfile(f"{folder}/tiles", numpy.uint8).reshape(-1, channels, pixels, pixels)
last = tiles.transpose(0, 2, 3, 1).astype("float32")
session = onnxruntime.InferenceSession(f"{folder}/encoder.onnx")
saved = tf.saved_model.load(f"{folder}/out/saved_model")
vectors_by_format = {
    "onnx": session.run(["embedding"], {"tiles": tiles})[0],
    "safetensors": load(f"{folder}/weights.safetensors")(last, training=False).numpy(),
    "keras": tf.keras.models.load_model(f"{folder}/out/encoder.keras")(last, training=False).numpy(),
    "saved_model": saved.serve(last).numpy(),
}
print(json.dumps({name: vectors.tolist() for name, vectors in vectors_by_format.items()}))`;

/** Flat areas with sharp edges, some channels empty, as the renderer draws them. */
function tileOf(channels: number, pixels: number, at: number): Uint8Array {
  const random = randomOf(99, at);
  const tile = new Uint8Array(channels * pixels * pixels);
  for (let shape = 0; shape < 3 * channels; shape++) {
    const channel = random.int(channels);
    const [x, y, width, height] = [0, 0, 0, 0].map(() => random.int(pixels)) as [
      number,
      number,
      number,
      number,
    ];
    if (channel % 5 === at % 5) continue;
    const level = 17 * (1 + random.int(15));
    for (let row = y; row < Math.min(pixels, y + height); row++) {
      const begin = (channel * pixels + row) * pixels;
      tile.fill(level, begin + x, begin + Math.min(pixels, x + width));
    }
  }
  return tile;
}

/** A network of layers of every kind, in orders and with what follows them that Loc2Vec's has not. */
const MOTLEY = {
  channels: 4,
  pixels: 32,
  layers: networkOf([
    { kind: "pool" },
    { kind: "conv", filters: 6, size: 5, activation: "leaky relu" },
    { kind: "conv", filters: 8, size: 3, normalization: "batch" },
    { kind: "pool" },
    { kind: "pool" },
    { kind: "conv", filters: 5, size: 1, normalization: "batch", activation: "leaky relu" },
    { kind: "flatten" },
    { kind: "dense", units: 9, normalization: "batch" },
    { kind: "dense", units: 7, activation: "leaky relu" },
    { kind: "dense", units: 6 },
  ]),
};
/** The other way from a feature map to a vector. */
const GLOBAL = {
  ...{ channels: 5, pixels: 72, halvings: 2, turns: 8 },
  layers: networkOf([
    { kind: "conv", filters: 6, size: 3, normalization: "batch", activation: "leaky relu" },
    { kind: "blur pool" },
    { kind: "conv", filters: 7, size: 3, activation: "leaky relu" },
    { kind: "global pool", also: ["conv1", "blur_pool1"] },
    { kind: "dense", units: 5 },
  ]),
} as const;

test("the motley networks have every kind of layer", () => {
  expect(new Set([...MOTLEY.layers, ...GLOBAL.layers].map(({ kind }) => kind))).toEqual(
    new Set(Object.keys(LAYER_KINDS)),
  );
});

test.each([
  ["paper", LOC2VEC],
  ["a network of most kinds of layers", MOTLEY],
  ["a network that pools globally, on tiles that are halved twice and turned eightfold", GLOBAL],
  ["global", { ...LOC2VEC, layers: NETWORKS.global, halvings: 1, turns: 4 }],
  [
    "another network, on other tiles",
    {
      channels: 5,
      pixels: 64,
      layers: networkOf({ pooled: [16, 32, 32, 64, 64], pointwise: [], dense: 16, embedding: 7 }),
    },
  ],
])(
  "%s: ONNX Runtime, Keras from safetensors, its .keras file and SavedModel give our vectors",
  {
    timeout: 400_000,
  },
  async (_, architecture) => {
    const python = await tensorflowPython();
    const folder = await mkdtemp(join(tmpdir(), "loc2vec-export-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const random = randomOf(5);
    // As after a training: no statistic and no shift is what it was at first.
    const weights = new Map<string, WeightArray>(
      [...initialWeights(architecture, 3)].map(([name, { shape, data }]) => {
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
    const { channels, pixels } = architecture;
    const tiles = Array.from({ length: 6 }, (_, i) => tileOf(channels, pixels, i));
    const encoder = createEncoder(await loadTensorflow(), architecture, weights);
    const ours = encoder.embed(tiles);
    encoder.dispose();
    const embedder = await createEmbedder(architecture, weights);
    expect(embedder.engine).toMatch(/^ONNX Runtime \d/);
    const embedded = await embedder.embed(tiles);
    await expect(embedder.embed([new Uint8Array(7)])).rejects.toThrow(/tile 0 of the mini-batch has 7 bytes/);
    await embedder.dispose();
    await writeFile(join(folder, "encoder.onnx"), encodeOnnx(architecture, weights));
    const metadata = { step: "1", architecture: JSON.stringify(storedArchitecture(architecture)) };
    const stored = join(folder, "weights.safetensors");
    await writeFile(stored, encodeSafetensors(weights, metadata));
    await writeFile(join(folder, "tiles"), Buffer.concat(tiles));
    const made = spawnSync(python, [KERAS, stored, join(folder, "out")], { encoding: "utf8" });
    expect(made.stdout, made.stderr).toMatch(/encoder\.keras, saved_model/);
    const args = ["-c", SCRIPT, folder, String(channels), String(pixels), resolve(KERAS, "..")];
    const { stdout, stderr } = spawnSync(python, args, { encoding: "utf8" });
    expect(stdout, stderr).toContain("{");
    const formats = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number[][]>;
    expect(Object.keys(formats)).toEqual(["onnx", "safetensors", "keras", "saved_model"]);
    for (const [name, vectors] of [...Object.entries(formats), ["embedder", [[...embedded]]] as const]) {
      const flat = vectors.flat();
      expect(flat).toHaveLength(ours.length);
      const furthest = Math.max(...flat.map((value, i) => Math.abs(value - (ours[i] as number))));
      expect(furthest, name).toBeLessThan(1e-5);
    }
    expect(Math.max(...ours.map(Math.abs))).toBeGreaterThan(0.1);
  },
);
