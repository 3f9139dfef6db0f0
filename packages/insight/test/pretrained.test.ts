import { readFile } from "node:fs/promises";
import { randomOf } from "@loc2vec/core";
import {
  type Architecture,
  architectureSchema,
  concatTiles,
  createInspector,
  decodeSafetensors,
  inputSide,
  PRETRAINED_FOLDER,
  type StoredArchitecture,
  type Weights,
} from "@loc2vec/encoder";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { beforeAll, expect, test } from "vitest";
import { maximizeActivations, saliency } from "../src/index.ts";
import { townTile } from "./tiles.ts";

let architecture: Architecture;
let weights: Weights;
beforeAll(async () => {
  const read = (name: string): Promise<Buffer> => readFile(new URL(name, PRETRAINED_FOLDER));
  const { settings } = JSON.parse((await read("state.json")).toString()) as {
    settings: { architecture: StoredArchitecture };
  };
  architecture = architectureSchema.parse(settings.architecture);
  weights = decodeSafetensors(await read("weights.safetensors"));
});

const TILES = 200;
/** Filters of each layer that are looked at: all of them would take minutes. */
const FILTERS = Array.from({ length: 8 }, (_, filter) => filter);

test("the pretrained model's filters respond to their images more than to noise and to any of 200 tiles", {
  timeout: 300_000,
}, async () => {
  const tensorflow = await loadTensorflow();
  const { tf } = tensorflow;
  const { channels } = architecture;
  const side = inputSide(architecture);
  const tiles = Array.from({ length: TILES }, (_, seed) => townTile(seed, architecture.pixels));
  const noise = Array.from({ length: 50 }, (_, seed) => {
    const random = randomOf(43, seed);
    return new Uint8Array(channels * architecture.pixels ** 2).map(() => random.int(256));
  });
  const inspector = createInspector(tensorflow, architecture, weights);
  /** The strongest response of each filter to any of the tiles. */
  const strongest = (layer: string, shown: readonly Uint8Array[]): number[] => {
    const most = FILTERS.map(() => Number.NEGATIVE_INFINITY);
    for (let from = 0; from < shown.length; from += 40) {
      const some = shown.slice(from, from + 40);
      tf.tidy(() => {
        const bytes = Float32Array.from(concatTiles(architecture, some));
        const planar = tf.tensor4d(bytes, [some.length, channels, side, side]);
        const { output } = inspector.look(planar.transpose([0, 2, 3, 1]), layer);
        const greatest = tf.max(tf.mean(output, [1, 2]), 0).dataSync();
        for (const filter of FILTERS)
          most[filter] = Math.max(most[filter] as number, greatest[filter] as number);
      });
    }
    return most;
  };
  for (const layer of ["conv1", "conv2", "conv6"]) {
    const found = await maximizeActivations(tensorflow, architecture, weights, {
      layer,
      filters: FILTERS,
      iterations: 40,
    });
    expect(found.dead).toEqual([]);
    const [byTiles, byNoise] = [strongest(layer, tiles), strongest(layer, noise)];
    const above = (others: readonly number[]): number =>
      FILTERS.filter((filter) => (found.last[filter] as number) > (others[filter] as number)).length;
    expect(above(byNoise), `${layer}: noise`).toBe(FILTERS.length);
    expect(above(byTiles), `${layer}: tiles`).toBeGreaterThanOrEqual(6);
    for (const filter of FILTERS) expect(found.last[filter]).toBeGreaterThan(found.first[filter] as number);
  }
  inspector.dispose();
});

test("what moves the pretrained model's vector of a tile adds up to its move", {
  timeout: 300_000,
}, async () => {
  const tensorflow = await loadTensorflow();
  const tile = townTile(3, architecture.pixels);
  const found = await saliency(tensorflow, architecture, weights, tile, { steps: 16 });
  expect(found.gap).toBeLessThan(0.05);
  const cells = architecture.pixels ** 2;
  for (const [channel, share] of found.shares.entries()) {
    const drawn = tile.subarray(channel * cells, (channel + 1) * cells).some((pixel) => pixel > 1);
    expect(share > 0, `channel ${channel}`).toBe(drawn);
  }
});
