import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createEncoder, type Encoder, initialWeights, type Weights } from "@loc2vec/encoder";
import { type DatasetReader, openDataset, openStore } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { chooseApart, planBatches } from "../src/batches.ts";
import { type Feed, openFeed } from "../src/feed.ts";
import { parseRecipe } from "../src/recipe.ts";
import { type Settings, settle } from "../src/settings.ts";
import { takeStep } from "../src/step.ts";

let folder: string;
let reader: DatasetReader;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "step-"));
  const store = openStore(pathToFileURL(folder).href);
  await writeStripes(store);
  reader = await openDataset(store, "stripes");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const settingsOf = (given: object = {}): Settings => {
  const batch = { locations: 6, pairs: 3 };
  const recipe = parseRecipe("a test", { batch, network: JSON.parse(NETWORK), ...given });
  const drawn = { shards: "0-5", early: false, minDistanceM: 0, holdout: { share: 0, cellM: 1, borderM: 0 } };
  return settle({ ...recipe, precision: "float32", anneal: 0 }, reader.identity, STRIPES, drawn);
};
const feedOf = ({ batch, seed }: Settings, count: number): Feed =>
  openFeed(reader, planBatches(STRIPES, [0, 1, 2, 3, 4, 5], batch, seed), seed, count);
const encoderOf = async ({ architecture, seed }: Settings, weights?: Weights): Promise<Encoder> => {
  const encoder = createEncoder(
    await loadTensorflow(),
    architecture,
    weights ?? initialWeights(architecture, seed),
  );
  onTestFinished(() => encoder.dispose());
  return encoder;
};

test("a step is a function of weights, moments, mini-batch and settings", async () => {
  const settings = settingsOf();
  const batch = await feedOf(settings, 1).next();
  const runs = await Promise.all(
    [settings, settings, settingsOf({ learningRate: 0.01 })].map(async (each) => {
      const encoder = await encoderOf(each);
      return { figures: takeStep(encoder, batch, each), weights: encoder.weights, moments: encoder.moments };
    }),
  );
  const [first, again, faster] = runs as [(typeof runs)[0], (typeof runs)[0], (typeof runs)[0]];
  expect(again).toEqual(first);
  expect(first.figures).toMatchObject({ learningRate: 0.001, loss: expect.any(Number) });
  expect(faster.figures).toEqual({ ...first.figures, learningRate: 0.01 });
  expect(faster.weights).not.toEqual(first.weights);
  expect(first.weights).not.toEqual(initialWeights(settings.architecture, settings.seed));
});

test("a step that explodes says why and leaves the weights as they were", async () => {
  const settings = settingsOf();
  const batch = await feedOf(settings, 1).next();
  const initial = initialWeights(settings.architecture, settings.seed);
  const broken = new Map(
    [...initial].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 1e6 * value) }]),
  );
  const encoder = await encoderOf(settings, broken);
  expect(takeStep(encoder, batch, settings)).toEqual({
    broken: expect.stringMatching(/^the mean distance to positives is .*, above 1000$/),
  });
  expect(encoder.weights).toEqual(broken);
});

test("mini-batches come in the order of their steps, as many as are asked for", async () => {
  const settings = settingsOf();
  const feed = feedOf(settings, 8);
  const steps: number[] = [];
  for (let i = 0; i < 8; i++) {
    const { plan, tiles } = await feed.next();
    expect(tiles).toHaveLength(plan.rows.length);
    steps.push(plan.step);
  }
  expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test("a mini-batch's tiles are those of its rows, and stay while the next one is asked for", async () => {
  const settings = settingsOf();
  const feed = feedOf(settings, 20);
  let before: { tiles: Uint8Array[]; were: Uint8Array[] } | undefined;
  for (let i = 0; i < 20; i++) {
    const { plan, tiles } = await feed.next();
    if (before !== undefined) expect(before.tiles).toEqual(before.were);
    for (const [row, { location, sample }] of plan.rows.entries()) {
      const shard = await reader.openShard(Math.floor(location / STRIPES.shardLocations));
      expect(tiles[row]).toEqual(await shard?.tile(location, sample));
    }
    before = { tiles, were: tiles.map((tile) => tile.slice()) };
  }
});

test("locations that may be together are the first ones, each once, and no more are asked for than it takes", () => {
  const asked: number[] = [];
  function* candidates(): Generator<number> {
    for (const candidate of [5, 5, 6, 9, 7, 1, 30, 40]) {
      asked.push(candidate);
      yield candidate;
    }
  }
  const apart = (a: number, b: number): boolean => Math.abs(a - b) >= 2;
  expect(chooseApart(candidates(), 4, (i) => i, apart)).toEqual([5, 9, 7, 1]);
  expect(asked).toEqual([5, 5, 6, 9, 7, 1]);
  expect(chooseApart(candidates(), 9, (i) => i, apart)).toEqual([5, 9, 7, 1, 30, 40]);
});
