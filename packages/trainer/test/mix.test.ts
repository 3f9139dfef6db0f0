import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Dataset, type Holdout, nearestOf, partOf, randomOf } from "@loc2vec/core";
import { networkOf } from "@loc2vec/encoder";
import { type ObjectStore, openDataset, openStore, readArray } from "@loc2vec/shards";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NETWORK, STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import { type BatchPlan, planBatches } from "../src/batches.ts";
import { type Corpus, openCorpus, readShards, writeShards } from "../src/corpus.ts";
import { findEmptyTiles } from "../src/empty.ts";
import { openFeed } from "../src/feed.ts";
import { openJudge, shareOut } from "../src/heldout.ts";
import { embedDataset, openCheckpoint, openTiles, readCheckpoint, train } from "../src/index.ts";
import { partTogether, surveyTerritory } from "../src/split.ts";

let folder: string;
let store: ObjectStore;

/** Two cities, a degree apart, of different seeds and shards. The last shard of each is a short one. */
const EAST: Dataset = { ...STRIPES, name: "east", locations: 22, seed: 1 };
const WEST: Dataset = { ...STRIPES, name: "west", locations: 46, seed: 2, shardLocations: 5 };
const place = {
  east: (i: number) => ({ lon: i / 100, lat: 0 }),
  west: (i: number) => ({ lon: i / 100, lat: 1 }),
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mix-"));
  store = openStore(pathToFileURL(folder).href);
  await writeStripes(store, EAST, { place: place.east });
  // Other tiles at other places.
  await writeStripes(store, WEST, {
    place: place.west,
    draw: (location, sample) => striped(location, sample),
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function striped(location: number, sample: number): Uint8Array {
  const random = randomOf(8, location, sample);
  const phase = random.int(32);
  return Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => {
    const [c, y, x] = [Math.floor(i / 1024), Math.floor(i / 32) % 32, i % 32];
    if (c === 2) return random.int(40);
    return ((location % 2 === c ? x + y : y) + phase) % (3 + location) < 2 ? 255 : 0;
  });
}

/** Data sets of which nothing but their numbers matters: locations, and locations of a shard. */
const SIZES = [
  [800, 64],
  [1600, 16],
  [5600, 40],
] as const;
const SHAPE = { locations: 20, pairs: 2 };

function numbered(sizes: readonly (readonly [number, number])[]) {
  const shards = sizes.flatMap(([locations, each], set) =>
    Array.from({ length: Math.ceil(locations / each) }, (_, i) => ({
      set,
      from: i * each,
      to: Math.min(locations, (i + 1) * each),
    })),
  );
  const starts = sizes.map((_, set) => sizes.slice(0, set).reduce((sum, [locations]) => sum + locations, 0));
  const of = (shard: number) => shards[shard] as (typeof shards)[number];
  return {
    ...{ samples: 5, channels: ["a"], names: sizes.map((_, set) => `set${set}`) },
    setOf: (shard: number) => of(shard).set,
    rangeOf: (shard: number) => {
      const start = starts[of(shard).set] as number;
      return { first: start + of(shard).from, end: start + of(shard).to };
    },
    all: [...shards.keys()],
  };
}

async function take(
  mix: "batch" | "turns",
  count: number,
  options: Parameters<typeof planBatches>[4] = {},
  seed = 3,
): Promise<BatchPlan[]> {
  const { all, ...stock } = numbered(SIZES);
  const plans = planBatches(stock, all, SHAPE, seed, { mix, ...options });
  const taken: BatchPlan[] = [];
  for (let i = 0; i < count; i++) taken.push((await plans.next()).value);
  return taken;
}

const { setOf } = numbered(SIZES);
/** How many locations of each data set a mini-batch has. */
const countsOf = ({ rows }: BatchPlan): number[] =>
  SIZES.map((_, set) => rows.filter(({ shard, sample }) => sample === 0 && setOf(shard) === set).length);
const total = (plans: readonly BatchPlan[], set: number): number =>
  plans.reduce((sum, plan) => sum + (countsOf(plan)[set] as number), 0);
/** Mini-batches of an epoch of all 8,000 locations. */
const EPOCH = 400;

describe.each(["batch", "turns"] as const)("mini-batches of several data sets: %s", (mix) => {
  test("depend on seed and step alone, and go on at any step", async () => {
    const whole = await take(mix, 450);
    expect(await take(mix, 20, { first: 431 })).toEqual(whole.slice(430));
    expect(await take(mix, 20, {}, 4)).not.toEqual(whole.slice(0, 20));
  });

  test("an epoch visits each location once, of all data sets in proportion", async () => {
    const plans = await take(mix, EPOCH);
    const visits = new Map<number, number>();
    for (const { rows } of plans)
      for (const { location, sample } of rows)
        if (sample === 0) visits.set(location, (visits.get(location) ?? 0) + 1);
    expect(visits.size).toBe(8000);
    expect(Math.max(...visits.values())).toBe(1);
    // Through the epoch as well: each quarter has its share, 10, 20 and 70 % of 2,000.
    for (let quarter = 0; quarter < 4; quarter++) {
      const some = plans.slice(100 * quarter, 100 * (quarter + 1));
      for (const [set, share] of [200, 400, 1400].entries())
        expect(Math.abs(total(some, set) - share), `quarter ${quarter}, set ${set}`).toBeLessThanOrEqual(120);
    }
  });

  test("the shards of all are streamed together: sixteen at a time, of each data set its share", async () => {
    const asked: number[][] = [];
    const look = async (shards: readonly number[]) => {
      asked.push([...shards]);
      return new Map();
    };
    await take(mix, EPOCH, { look });
    const epoch = asked.slice(0, Math.ceil(numbered(SIZES).all.length / 16));
    expect(epoch.flat().sort((a, b) => a - b)).toEqual(numbered(SIZES).all);
    for (const shards of epoch.slice(0, -1)) {
      expect(shards).toHaveLength(16);
      // Of 253 shards 13, 100 and 140.
      for (const [set, count] of [13, 100, 140].entries()) {
        const own = shards.filter((shard) => setOf(shard) === set).length;
        expect(Math.abs(own - (16 * count) / 253)).toBeLessThan(1.5);
      }
    }
    const early: number[][] = [];
    await take(mix, 1, {
      early: true,
      look: async (shards) => {
        early.push([...shards]);
        return new Map();
      },
    });
    // Early, each data set's shards come in their order.
    for (const set of [0, 1, 2]) {
      const own = (early[0] as number[]).filter((shard) => setOf(shard) === set);
      expect(own).toEqual(
        numbered(SIZES)
          .all.filter((shard) => setOf(shard) === set)
          .slice(0, own.length),
      );
      expect(own.length).toBeGreaterThan(0);
    }
  });
});

test("mixed in each, a mini-batch has locations of all data sets; by turns, of one", async () => {
  const mixed = await take("batch", EPOCH);
  const byTurns = await take("turns", EPOCH);
  expect(mixed.filter((plan) => countsOf(plan).every((count) => count > 0)).length).toBeGreaterThan(300);
  for (const plan of byTurns) expect(countsOf(plan).filter((count) => count > 0)).toEqual([20]);
  // In no fixed order: the draws are the mini-batches' own.
  const turn = (plan: BatchPlan): number => countsOf(plan).indexOf(20);
  const kept = byTurns.filter((plan, i) => i > 0 && turn(plan) === turn(byTurns[i - 1] as BatchPlan)).length;
  // Of draws with shares of 0.1, 0.2 and 0.7, 0.54 are as the one before.
  expect(kept / EPOCH).toBeGreaterThan(0.4);
  expect(kept / EPOCH).toBeLessThan(0.68);
});

test("by turns, a data set that cannot fill a mini-batch is refused; one that cannot at the moment is passed over", async () => {
  const { all, ...stock } = numbered([
    [400, 20],
    [19, 10],
  ]);
  const plan = (options: Parameters<typeof planBatches>[4]) =>
    planBatches(stock, all, SHAPE, 3, { mix: "turns", ...options });
  await expect(plan({}).next()).rejects.toMatchObject({
    message: "data set set1: 19 rendered locations are too few for mini-batches of 20",
    mend: expect.stringMatching(/--mix batch$/),
  });
  // Mixed in each, it needs none of its own.
  await expect(plan({ mix: "batch" }).next()).resolves.toBeDefined();
  await expect(plan({ eligible: (i) => i > 390 }).next()).rejects.toThrowError(/^data set set0: 9 rendered/);
  const empty = new Map(Array.from({ length: 390 }, (_, i) => [i, new Set([0])]));
  const other = numbered([
    [400, 20],
    [40, 10],
  ]);
  const epoch = async (options: Parameters<typeof planBatches>[4]) => {
    const plans = planBatches(other, other.all, SHAPE, 3, { mix: "turns", ...options });
    for (let i = 0; i < 60; i++) await plans.next();
  };
  await expect(epoch({ look: async () => empty })).rejects.toThrowError(
    /^data set set0: 10 rendered locations are too few/,
  );
  await expect(epoch({ together: { apart: (a, b) => a < 400 && b < 400 } })).rejects.toThrowError(
    /^data set set1: among 40 locations there are no 20 that lie far enough from one another/,
  );
  await epoch({});
});

const opened = (): Promise<Corpus> => openCorpus(store, ["west", "east"]);

test("data sets as one: numbered through, each tile is its own data set's", async () => {
  const corpus = await opened();
  expect(corpus.names).toEqual(["east", "west"]);
  expect(corpus.shards).toBe(16);
  expect([5, 6, 15].map(corpus.rangeOf)).toEqual([
    { first: 20, end: 22 },
    { first: 22, end: 27 },
    { first: 67, end: 68 },
  ]);
  expect([0, 21, 22, 26, 27, 67].map(corpus.shardOf)).toEqual([0, 5, 6, 6, 7, 15]);
  expect([5, 6].map(corpus.shardKey)).toEqual([
    expect.stringContaining("datasets/east/"),
    expect.stringContaining("datasets/west/"),
  ]);
  expect(corpus.ownOf({ shard: 7, location: 28, sample: 3 })).toEqual({
    ...{ dataset: "west", shard: 1, location: 6, sample: 3 },
  });
  const own = await openTiles(await openDataset(store, "west")).read([{ location: 6, sample: 3 }]);
  const here = openTiles(corpus);
  expect(await here.read([{ location: 28, sample: 3 }])).toEqual(own);
  const east = await openTiles(await openDataset(store, "east")).read([{ location: 6, sample: 3 }]);
  expect(await here.read([{ location: 6, sample: 3 }])).toEqual(east);
  expect(own).not.toEqual(east);
  expect(writeShards(corpus, [0, 1, 2, 5, 7, 8])).toEqual(["0-2,5", "1-2"]);
  expect(readShards(corpus, ["0-2,5", "1-2"])).toEqual([0, 1, 2, 5, 7, 8]);
  expect(readShards(corpus, ["", "9"])).toEqual([15]);
});

test.each(["batch", "turns"] as const)("each shard is fetched once in an epoch: %s", async (mix) => {
  // Sixty shards, more than are kept, of two locations each.
  const names = ["many-a", "many-b", "many-c"];
  for (const name of names) {
    const draw = (): Uint8Array => new Uint8Array(3 * 32 * 32).fill(1);
    await writeStripes(store, { ...STRIPES, name, locations: 40, shardLocations: 2 }, { draw });
  }
  const corpus = await openCorpus(store, names);
  const fetched = new Map<number, number>();
  const counted: Corpus = {
    ...corpus,
    async openShard(shard, options) {
      fetched.set(shard, (fetched.get(shard) ?? 0) + 1);
      return corpus.openShard(shard, options);
    },
  };
  const shape = { locations: 4, pairs: 2 };
  const plans = planBatches(corpus, [...Array(60).keys()], shape, 3, { mix });
  const feed = openFeed(counted, plans, 3, 30);
  for (let step = 0; step < 30; step++) expect((await feed.next()).tiles).toHaveLength(12);
  expect(fetched.size).toBe(60);
  expect(Math.max(...fetched.values())).toBe(1);
});

test("data sets that differ in what an encoder reads are refused, with what differs and what mends it", async () => {
  const write = async (name: string, changes: Partial<Dataset>): Promise<void> => {
    const dataset = { ...STRIPES, locations: 1, shardLocations: 1, ...changes, name };
    const bytes = dataset.channels.length * dataset.pixels ** 2;
    await writeStripes(store, dataset, { draw: () => new Uint8Array(bytes).fill(1) });
  };
  const source = { ...STRIPES.source, styleHash: "9".repeat(64), renderer: "test 2" };
  for (const [name, changes, told, mend] of [
    [
      "channelled",
      { channels: ["x", "y", "z"] },
      /channelled has the channels x, y, z, east has the channels x, y, noise|x, y, noise/,
      /profile/,
    ],
    [
      "small",
      { pixels: 16 },
      /east has tiles of 32 pixels, small has tiles of 16 pixels$/,
      /tiles of that size/,
    ],
    [
      "wide",
      { radius: 200 },
      /east has tiles that reach 100 m, wide has tiles that reach 200 m$/,
      /that reach/,
    ],
    [
      "few",
      { samples: 3 },
      /east has 4 positives of each location, few has 2 positives of each location$/,
      /--positives/,
    ],
    [
      "redrawn",
      { source },
      /east has the cartography 1{12}…, by test 1, redrawn has the cartography 9{12}…, by test 2$/,
      /profile and renderer/,
    ],
  ] as const) {
    await write(name, changes);
    const refused = train({ store, model: "refused", steps: 1, dataset: ["east", name] });
    await expect(refused, name).rejects.toMatchObject({
      ...{ code: "dataset-mismatch", mend: expect.stringMatching(mend) },
      message: expect.stringMatching(told),
    });
    await expect(refused, name).rejects.toThrowError(
      /^data sets (channelled and east|east and \w+) cannot be trained on together: /,
    );
  }
  await expect(openCorpus(store, ["east", "west", "east"])).rejects.toMatchObject({
    ...{ kind: "usage", message: "data set east is named twice" },
  });
  await expect(openCorpus(store, [])).rejects.toThrowError("no data set is named");
  await expect(openCorpus(store, ["east", "north"])).rejects.toThrowError(/there is no data set north/);
});

describe("held-out ground of data sets that lie on the same ground", () => {
  const holdout: Holdout = { share: 0.2, cellM: 1000, borderM: 510 };
  const placesOf = (seed: number, lat: number) =>
    Array.from({ length: 1500 }, (_, i) => {
      const random = randomOf(seed, i);
      return { lon: 10 + 0.12 * random.uniform(), lat: lat + 0.08 * random.uniform() };
    });
  const of = (places: readonly { lon: number; lat: number }[], parts: readonly string[], part: string) =>
    places.filter((_, i) => parts[i] === part);

  test("what one holds out is not trained on through another, in its squares and within their border", () => {
    const grounds = [1, 2, 3].map((seed) => ({ seed, places: placesOf(seed, 60) }));
    const together = partTogether(grounds, holdout);
    for (const [set, { seed, places }] of grounds.entries()) {
      const parts = together[set] as string[];
      const trained = of(places, parts, "train");
      expect(trained.length).toBeGreaterThan(50);
      // Held out is what it would be alone; only training loses ground.
      expect(of(places, parts, "heldout")).toEqual(
        places.filter((place) => partOf(seed, place, holdout) === "heldout"),
      );
      for (const [other, ground] of grounds.entries()) {
        // By that one's squares, all of which have locations here: neither within one, nor within its border.
        expect(trained.filter((place) => partOf(ground.seed, place, holdout) !== "train")).toEqual([]);
        const nearest = nearestOf(of(ground.places, together[other] as string[], "heldout"));
        const distances = trained.map((place) => nearest(place)?.metres ?? 0);
        expect(Math.min(...distances)).toBeGreaterThanOrEqual(510);
      }
    }
    // Without it, much would have been.
    const leaked = (grounds[0]?.places ?? []).filter(
      (place) => partOf(1, place, holdout) === "train" && partOf(2, place, holdout) === "heldout",
    );
    expect(leaked.length).toBeGreaterThan(50);
  });

  test("nothing is lost where they lie apart, nor with one seed, whose squares are the same anywhere", () => {
    const apart = [1, 2].map((seed) => ({ seed, places: placesOf(seed, 60 + seed) }));
    const same = [1, 2].map((draws) => ({ seed: 7, places: placesOf(draws, 60) }));
    for (const grounds of [apart, same]) {
      expect(partTogether(grounds, holdout)).toEqual(
        grounds.map(({ seed, places }) => places.map((place) => partOf(seed, place, holdout))),
      );
    }
  });
});

test("the judge takes of each data set its share of what is held out", async () => {
  const corpus = await opened();
  const holdout = { share: 0.5, cellM: 1000, borderM: 0 };
  const { split, placeOf } = await surveyTerritory(corpus, holdout);
  const known = new Map<string, number>();
  const tiles = openTiles(corpus);
  for (let location = 0; location < 68; location++)
    for (const [sample, tile] of (
      await tiles.read([0, 1, 2, 3, 4].map((sample) => ({ location, sample })))
    ).entries())
      known.set(Buffer.from(tile).toString("latin1"), 10 * location + sample);
  const judge = await openJudge(corpus, {
    shards: [...Array(corpus.shards).keys()],
    settings: {
      ...{ loss: "softpn", temperature: 1, decorrelate: 0, minDistanceM: 0, early: false },
      architecture: {
        channels: 3,
        pixels: 32,
        layers: networkOf({ pooled: [1], pointwise: [], dense: 1, embedding: 2 }),
      },
    },
    ...{ split, placeOf },
    emptyByLocation: await findEmptyTiles(corpus, [...Array(corpus.shards).keys()]),
  });
  if (typeof judge === "string") throw new Error(judge);
  const seen = new Set<number>();
  await judge.measure({
    embed: (some) =>
      Float32Array.from(
        some.flatMap((tile) => {
          const found = known.get(Buffer.from(tile).toString("latin1")) as number;
          seen.add(Math.floor(found / 10));
          return [found, 0];
        }),
      ),
  });
  const heldout = Array.from({ length: 68 }, (_, i) => i).filter((i) => split.partOf(i) === "heldout");
  // There are fewer than a hundred: all of them, and each by its own data set's squares.
  expect([...seen].sort((a, b) => a - b)).toEqual(heldout);
  for (const [i, name, seed] of [...Array(22).keys()].map((i) => [i, "east", 1] as const))
    expect(split.partOf(i) === "heldout", name).toBe(partOf(seed, place.east(i), holdout) === "heldout");
  for (let i = 0; i < 46; i++)
    expect(split.partOf(22 + i) === "heldout").toBe(partOf(2, place.west(i), holdout) === "heldout");
  expect(shareOut(100, [500])).toEqual([100]);
  expect(shareOut(100, [1, 0, 499, 500])).toEqual([1, 0, 50, 49]);
  expect(shareOut(100, [0])).toEqual([0]);
});

const settings = {
  dataset: ["west", "east"],
  ...{ seed: 3, network: JSON.parse(NETWORK), batch: { locations: 6, pairs: 3 }, checkpointEvery: 4 },
  ...{ minDistanceM: 0, holdout: { share: 0.3, cellM: 1000, borderM: 0 } },
};

test.each(["batch", "turns"] as const)(
  "a training on two data sets, stopped and gone on with, has the bytes of one that never was: %s",
  async (mix) => {
    const [whole, stopped] = [`whole-${mix}`, `stopped-${mix}`];
    const result = await train({ store, model: whole, steps: 12, ...settings, mix });
    expect(result).toMatchObject({ step: 12, recipe: undefined });
    expect(result.history.at(-1)?.heldout).toBeDefined();
    await train({ store, model: stopped, steps: 7, ...settings, mix });
    // In which order they are named makes no difference.
    const rest = await train({
      store,
      model: stopped,
      steps: 12,
      ...settings,
      dataset: ["east", "west"],
      mix,
    });
    expect(rest.resumedFrom).toBe(7);
    const loss = (of: typeof rest): number[] => of.history.map((entry) => entry.loss);
    expect(loss(rest)).toEqual(loss(result));
    const get = async (model: string, name: string) =>
      Buffer.from((await store.get(`models/${model}/checkpoints/step-000012/${name}`)) as Uint8Array);
    for (const name of ["weights.safetensors", "optimizer.safetensors", "state.json"])
      expect((await get(stopped, name)).equals(await get(whole, name)), name).toBe(true);
    const kept = JSON.parse((await get(whole, "state.json")).toString("utf8")).settings;
    expect(kept).toMatchObject({ mix, shards: ["0-5", "0-9"] });
    expect(kept.dataset.map(({ name }: { name: string }) => name)).toEqual(["east", "west"]);

    // Each of them is embedded, and so may another be.
    for (const dataset of ["east", "west"]) {
      const { locations, prefix } = await embedDataset({ store, dataset, model: whole });
      expect((await readArray(store, `${prefix}/embedding`, "float32"))?.shape).toEqual([locations, 8]);
    }
    const again = { store, model: whole, steps: 20, ...settings, mix };
    await expect(train({ ...again, dataset: "east" })).rejects.toMatchObject({
      code: "dataset-mismatch",
      message: expect.stringMatching(
        /was trained on|was trained with data set east .* and data set west .*, not data set east \(/,
      ),
    });
    await expect(train({ ...again, mix: mix === "turns" ? "batch" : "turns" })).rejects.toThrowError(
      `was trained with mix "${mix}", not "${mix === "turns" ? "batch" : "turns"}"`,
    );
  },
);

test("with one data set, how several would be mixed is neither kept nor asked for", async () => {
  await train({ store, model: "one", steps: 2, ...settings, dataset: ["east"], mix: "turns" });
  await train({ store, model: "one-too", steps: 2, ...settings, dataset: "east" });
  const read = async (model: string) =>
    new TextDecoder().decode(await store.get(`models/${model}/checkpoints/step-000002/state.json`));
  expect(await read("one")).toBe(await read("one-too"));
  const kept = JSON.parse(await read("one")).settings;
  expect(kept).not.toHaveProperty("mix");
  expect(kept).toMatchObject({ dataset: { name: "east" }, shards: "0-5" });
  expect((await train({ store, model: "one", steps: 3, ...settings, dataset: "east" })).resumedFrom).toBe(2);
  expect((await readCheckpoint(store, "one", 3)).settings.dataset).toMatchObject({ name: "east" });
});

test("what is missing of one of several is told with its name, and a failure's rows have theirs", async () => {
  const empty = { ...STRIPES, name: "unrendered" };
  await writeStripes(store, empty);
  for (let shard = 0; shard < 6; shard++) await store.remove(`datasets/unrendered/tiles/c/${shard}/0/0/0/0`);
  const options = { store, steps: 8, ...settings };
  await expect(
    train({ ...options, model: "unrendered", dataset: ["east", "unrendered"] }),
  ).rejects.toThrowError(
    /^data set unrendered in .*: nothing of it is rendered, so data sets east and unrendered cannot be trained on together$/,
  );
  await writeStripes(store, { ...EAST, name: "losing" }, { place: place.east });
  const losing = { ...options, model: "losing", dataset: ["losing", "west"] };
  await train({ ...losing, steps: 1 });
  await store.remove("datasets/losing/tiles/c/2/0/0/0/0");
  await expect(train(losing)).rejects.toMatchObject({
    message: expect.stringMatching(
      /^data set losing in .*: of the shards that model losing is trained on, 2 is gone$/,
    ),
    mend: expect.stringMatching(/--dataset losing --repair/),
  });

  const exploding = { ...options, model: "exploding", learningRate: 1e6, steps: 40 };
  await expect(train(exploding)).rejects.toMatchObject({ code: "exploded" });
  const keys: string[] = [];
  for await (const key of store.list("models/exploding/failures/")) keys.push(key);
  const batch = keys.find((key) => key.endsWith("batch.json")) as string;
  const { rows } = JSON.parse(new TextDecoder().decode(await store.get(batch)));
  expect(new Set(rows.map(({ dataset }: { dataset: string }) => dataset))).toEqual(new Set(["east", "west"]));
  for (const { dataset, location } of rows) expect(location).toBeLessThan(dataset === "east" ? 22 : 46);
  await expect(openCheckpoint(store, "exploding")).rejects.toThrow();
});
