import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Dataset, type Holdout, shardCount } from "@loc2vec/core";
import { createEncoder, networkOf } from "@loc2vec/encoder";
import {
  type DatasetReader,
  type ObjectStore,
  openDataset,
  openStore,
  readArray,
  readGroup,
} from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { afterAll, beforeAll, expect, test } from "vitest";
import { STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { joinDatasets } from "../src/corpus.ts";
import { findEmptyTiles } from "../src/empty.ts";
import { openJudge } from "../src/heldout.ts";
import {
  embedDataset,
  type HistoryEntry,
  listCheckpoints,
  openCheckpoint,
  readBest,
  readHistory,
  train,
} from "../src/index.ts";
import { splitPlaces } from "../src/split.ts";

const DATASET: Dataset = { ...STRIPES, locations: 48 };
/** Cells as wide as locations lie apart: 25 of them are held out, 23 are not. */
const HOLDOUT: Holdout = { share: 0.5, cellM: 1000, borderM: 0 };

let folder: string;
let store: ObjectStore;
let reader: DatasetReader;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heldout-"));
  store = openStore(pathToFileURL(folder).href);
  await writeStripes(store, DATASET);
  reader = await openDataset(store, "stripes");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const placeOf = (i: number) => ({ lon: i / 100, lat: 0 });
const shards = [...Array(shardCount(DATASET)).keys()];
const splitBy = (holdout: Holdout) =>
  splitPlaces(
    [{ seed: DATASET.seed, places: Array.from({ length: DATASET.locations }, (_, i) => placeOf(i)) }],
    holdout,
  );
const ARCHITECTURE = {
  channels: 3,
  pixels: 32,
  layers: networkOf({ pooled: [1], pointwise: [], dense: 1, embedding: 2 }),
};
const judgeOf = async (changes: object = {}, holdout = HOLDOUT) =>
  openJudge(joinDatasets([reader]), {
    shards,
    settings: {
      ...{ loss: "softpn", temperature: 1, decorrelate: 0, minDistanceM: 0, early: false },
      architecture: ARCHITECTURE,
      ...changes,
    },
    split: splitBy(holdout),
    placeOf,
    emptyByLocation: await findEmptyTiles(reader, shards),
  });

/** Of which location and sample each tile is. */
async function sources(): Promise<Map<string, { location: number; sample: number }>> {
  const found = new Map<string, { location: number; sample: number }>();
  for (const shard of shards)
    for await (const { location, sample, tile } of (await reader.openShard(shard))?.tiles() ?? [])
      found.set(Buffer.from(tile).toString("latin1"), { location, sample });
  return found;
}

test("the judge takes tiles of held-out locations alone, and counts the triplets that are right", async () => {
  const known = await sources();
  const judge = await judgeOf();
  if (typeof judge === "string") throw new Error(judge);
  const seen: { location: number; sample: number }[] = [];
  const knows = (vector: (location: number) => number) => ({
    embed: (tiles: readonly Uint8Array[]) =>
      Float32Array.from(
        tiles.flatMap((tile) => {
          const source = known.get(Buffer.from(tile).toString("latin1")) as (typeof seen)[number];
          seen.push(source);
          return [vector(source.location), source.sample];
        }),
      ),
  });
  // Who knows the place is always right: samples lie within 4 of one another, locations 100 apart.
  const right = await judge.measure(knows((location) => 100 * location));
  expect(right).toMatchObject({ accuracy: 1, nearest: 1 });
  expect(right.loss).toBeLessThan(1e-6);
  const split = splitBy(HOLDOUT);
  const heldout = Array.from({ length: 48 }, (_, i) => i).filter((i) => split.partOf(i) === "heldout");
  expect(heldout.length).toBeGreaterThan(20);
  expect([...new Set(seen.map(({ location }) => location))].sort((a, b) => a - b)).toEqual(heldout);
  // The anchor and three positives of each, none twice.
  expect(new Set(seen.map(({ location, sample }) => `${location} ${sample}`)).size).toBe(4 * heldout.length);
  expect(seen.filter(({ sample }) => sample === 0)).toHaveLength(heldout.length);
  // Who knows only the sample is as good as chance is: the same each time, and no better than half.
  const blind = await judge.measure(knows(() => 0));
  expect(blind.accuracy).toBeLessThan(0.5);
  expect(blind.nearest).toBe(0);
  expect(await judge.measure(knows(() => 0))).toEqual(blind);
  const again = await judgeOf();
  if (typeof again === "string") throw new Error(again);
  expect(await again.measure(knows(() => 0))).toEqual(blind);
  // Early, by what lies in the shards that it begins with.
  seen.length = 0;
  const many = { ...DATASET, shardLocations: 2 };
  const early = await openJudge(
    joinDatasets([
      { ...reader, dataset: many, openShard: (shard, options) => reader.openShard(shard >> 1, options) },
    ]),
    {
      shards: [...Array(24).keys()],
      settings: {
        ...{ loss: "softpn", temperature: 1, decorrelate: 0, minDistanceM: 0, early: true },
        batch: { locations: 20, pairs: 5, negatives: 1, neighbours: 0 },
        architecture: ARCHITECTURE,
      },
      split,
      placeOf,
      emptyByLocation: new Map(),
    },
  );
  if (typeof early === "string") throw new Error(early);
  await early.measure(knows((location) => location));
  expect([...new Set(seen.map(({ location }) => location))].sort((a, b) => a - b)).toEqual(
    heldout.filter((location) => location < 32),
  );
});

test("where too little is held out, it says why", async () => {
  expect(await judgeOf({}, { ...HOLDOUT, share: 0 })).toBe("nothing is held out");
  expect(await judgeOf({}, { ...HOLDOUT, share: 0.1 })).toMatch(/^only \d held-out locations can be used$/);
  expect(await judgeOf({ minDistanceM: 1e6 })).toBe("all held-out locations lie in one place");
});

const SETTINGS = {
  ...{ dataset: "stripes", seed: 3, batch: { locations: 6, pairs: 3 }, checkpointEvery: 4 },
  ...{ minDistanceM: 0, holdout: HOLDOUT },
};
const figures = (history: readonly HistoryEntry[]) =>
  history.map(({ seconds: _s, waited: _w, ...rest }) => rest);

test("each checkpoint is judged by held-out triplets, and the best is chosen by them, also after a stop", async () => {
  const judged: number[] = [];
  const whole = await train({
    ...{ store, model: "whole", steps: 24, ...SETTINGS },
    onJudged: ({ step, heldout }) => void (heldout && judged.push(step)),
  });
  expect(judged).toEqual([4, 8, 12, 16, 20, 24]);
  const scores = whole.history.flatMap(({ step, heldout }) => (heldout ? [{ step, ...heldout }] : []));
  expect(scores.map(({ step }) => step)).toEqual(judged);
  const [best] = [...scores].sort((a, b) => b.nearest - a.nearest || a.loss - b.loss);
  expect(whole.best).toMatchObject({
    step: best?.step,
    heldout: { accuracy: best?.accuracy, nearest: best?.nearest, loss: best?.loss },
  });
  expect(await readBest(store, "whole")).toEqual(whole.best);
  expect(await readHistory(store, "whole")).toEqual(whole.history);
  expect(await listCheckpoints(store, "whole")).toEqual(
    [...new Set([best?.step as number, 20, 24])].sort((a, b) => a - b),
  );
  // What is written is what the checkpoint's weights give.
  const { settings, weights } = await openCheckpoint(store, "whole", 24);
  const encoder = createEncoder(await loadTensorflow(), settings.architecture, weights);
  const judge = await judgeOf({ architecture: settings.architecture });
  if (typeof judge === "string") throw new Error(judge);
  expect(await judge.measure(encoder)).toEqual(whole.history.at(-1)?.heldout);
  encoder.dispose();

  await train({ store, model: "stopped", steps: 8, ...SETTINGS });
  const rest = await train({ store, model: "stopped", steps: 24, ...SETTINGS });
  expect(rest.resumedFrom).toBe(8);
  expect(figures(rest.history)).toEqual(figures(whole.history));
  expect(rest.best).toEqual(whole.best);
  // Judging draws nothing from what mini-batches and weights are drawn from.
  const unjudged = await train({ store, model: "unjudged", steps: 24, ...SETTINGS, checkpointEvery: 100 });
  expect(unjudged.history.map(({ loss }) => loss)).toEqual(whole.history.map(({ loss }) => loss));
});

const put = (key: string, value: string) => store.put(key, new TextEncoder().encode(value));

test("the best checkpoint is used unless another one is named; what is not kept, or not known, is said", async () => {
  await train({ store, model: "named", steps: 12, ...SETTINGS });
  // As if the first one were the best by far.
  const key = "models/named/best.json";
  const first = { step: 8, loss: 0.1, heldout: { accuracy: 1, nearest: 1, loss: 0 } };
  await put(key, JSON.stringify(first));
  await train({ store, model: "named", steps: 24, ...SETTINGS });
  expect(await listCheckpoints(store, "named")).toEqual([8, 20, 24]);
  for (const [which, step] of [
    [undefined, 8],
    ["best", 8],
    ["last", 24],
    [20, 20],
  ] as const)
    expect((await openCheckpoint(store, "named", which)).step).toBe(step);
  await expect(openCheckpoint(store, "named", 12)).rejects.toMatchObject({
    kind: "input",
    message: expect.stringMatching(/no checkpoint of step 12 is kept, those of steps 8, 20, 24 are$/),
  });
  const vectors: unknown[] = [];
  for (const [checkpoint, step] of [
    [undefined, 8],
    ["last", 24],
    [20, 20],
  ] as const) {
    const { prefix, ...result } = await embedDataset({
      store,
      dataset: "stripes",
      model: "named",
      checkpoint,
    });
    expect(result.step).toBe(step);
    expect(await readGroup(store, prefix)).toMatchObject({ model: "named", step });
    vectors.push((await readArray(store, `${prefix}/embedding`, "float32"))?.data);
  }
  expect(vectors[0]).not.toEqual(vectors[1]);
  expect(vectors[1]).not.toEqual(vectors[2]);

  for (const [text, told] of [
    ['{"step": 8', /^models\/named\/best\.json in .*JSON/],
    ['{"step": 8}', /^models\/named\/best\.json in .*: loss: /],
    [
      JSON.stringify({ ...first, step: 16 }),
      /names step 16, whose checkpoint is gone; those of steps 8, 20, 24 are kept$/,
    ],
  ] as const) {
    await put(key, text);
    await expect(openCheckpoint(store, "named")).rejects.toMatchObject({
      kind: "data",
      message: expect.stringMatching(told),
      mend: expect.stringMatching(/--checkpoint last/),
    });
  }
  await store.remove(key);
  await expect(openCheckpoint(store, "named")).rejects.toThrowError(/best\.json in .*: missing; those of/);
  expect((await openCheckpoint(store, "named", "last")).step).toBe(24);
  // A training goes on, says so, and chooses anew.
  await put(key, '{"step": 8');
  const warnings: string[] = [];
  const onWarning = (line: string): void => void warnings.push(line);
  const on = await train({ store, model: "named", steps: 28, ...SETTINGS, onWarning });
  expect(warnings.filter((line) => line.includes("best.json"))).toEqual([
    expect.stringMatching(/^models\/named\/best\.json in .*; it is written anew$/),
  ]);
  expect([24, 28]).toContain(on.best?.step);
  expect((await openCheckpoint(store, "named")).step).toBe(on.best?.step);
});

test("without anything held out, the mean loss chooses, and that is said", async () => {
  const warnings: string[] = [];
  const { best, history } = await train({
    ...{ store, model: "all", steps: 12, ...SETTINGS, holdout: { share: 0 } },
    onWarning: (line) => void warnings.push(line),
  });
  expect(warnings).toContain("nothing is held out: the best checkpoint is that of the lowest mean loss");
  expect(history.some(({ heldout }) => heldout !== undefined)).toBe(false);
  const means = [4, 8, 12].map((step) => ({
    step,
    loss: history.slice(step - 4, step).reduce((sum, { loss }) => sum + loss, 0) / 4,
  }));
  const [lowest] = [...means].sort((a, b) => a.loss - b.loss);
  expect(best).toEqual({ step: lowest?.step, loss: expect.closeTo(lowest?.loss as number, 9) });
});
