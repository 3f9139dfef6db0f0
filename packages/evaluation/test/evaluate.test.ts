// Takes a quarter of a minute: whole evaluations, with the k-means and probes of all contestants.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Dataset, distanceM, METRES_PER_DEGREE, partOf, randomOf } from "@loc2vec/core";
import { createEmbedder } from "@loc2vec/encoder";
import { createDataset, type ObjectStore, openStore } from "@loc2vec/shards";
import { openCheckpoint, partTogether, train } from "@loc2vec/trainer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { STRIPES, writeStripes } from "../../../test/support/stripes.ts";
import {
  type ClassScore,
  type Evaluated,
  evaluate,
  labelsOfPoints,
  type NumberScore,
  type ProbeScore,
} from "../src/index.ts";

const HOLDOUT = { share: 0.4, cellM: 1000, borderM: 50 };
const DATASET: Dataset = {
  ...STRIPES,
  locations: 240,
  samples: 4,
  shardLocations: 40,
  channels: ["x", "y", "told"],
};
const PLACES = Array.from({ length: 240 }, (_, i) => ({
  lon: 10 + 0.01 * (i % 16),
  lat: 50 + 0.01 * Math.floor(i / 16),
}));
const place = (location: number) => PLACES[location] as (typeof PLACES)[number];
/** Four kinds of place: the direction of stripes, and how dense they are. */
const kindOf = (location: number): number => randomOf(3, location).int(4);

/** Stripes, shifted at random; the third channel spells the kind out. */
function tile(location: number, sample: number): Uint8Array {
  const random = randomOf(7, location, sample);
  const [phase, kind] = [random.int(32), kindOf(location)];
  const width = 4 + 5 * (kind >> 1) + (location % 3);
  return Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => {
    const [c, y, x] = [Math.floor(i / 1024), Math.floor(i / 32) % 32, i % 32];
    if (c === 2) return kind * 60;
    return c === kind % 2 && ((c === 0 ? x : y) + phase) % width < 2 ? 255 : random.int(30);
  });
}

let folder: string;
let store: ObjectStore;
const settings = {
  dataset: "stripes",
  seed: 3,
  batch: { locations: 8, pairs: 3 },
  minDistanceM: 0,
  holdout: HOLDOUT,
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "evaluation-"));
  store = openStore(pathToFileURL(folder).href);
  await writeStripes(store, DATASET, { place, draw: tile });
  await train({ store, model: "softpn", steps: 60, ...settings });
  await train({ store, model: "ratio", steps: 30, loss: "ratio", ...settings });
  await train({ store, model: "whole", steps: 1, ...settings, holdout: { ...HOLDOUT, share: 0 } });
  await train({ store, model: "other", steps: 1, ...settings, holdout: { ...HOLDOUT, cellM: 500 } });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The squares' usable locations: none of these data sets has empty tiles, so all are. */
const partIs = (part: string) => [...PLACES.keys()].filter((i) => partOf(1, place(i), HOLDOUT) === part);
const labels = (labelOf: (location: number) => string | undefined) => ({
  name: "kinds",
  meaning: "kind",
  kind: "classes" as const,
  of: async (places: readonly unknown[]) => places.map((_, i) => labelOf(i)),
  masked: [2],
});

/** How well a contestant's probe does after so many labels. */
function scoreOf<Score extends ProbeScore>(
  result: Evaluated | undefined,
  name: string,
  count: string,
): Score {
  const score = result?.probes?.[name]?.[count];
  return score as Score;
}
const accuracy = (result: Evaluated | undefined, count: string, name = "kinds"): number =>
  scoreOf<ClassScore & ProbeScore>(result, name, count).accuracy;

test("all are measured on the same images of places that were held out", async () => {
  const options = {
    store,
    dataset: "stripes",
    models: ["softpn", "ratio"],
    positives: 3,
    labels: [labels((i) => (i % 5 === 0 ? undefined : `kind ${kindOf(i)}`))],
  };
  const evaluation = await evaluate(options);
  const [train, heldout] = [partIs("train"), partIs("heldout")];
  expect(evaluation.locations).toEqual({
    train: train.length,
    heldout: heldout.length,
    evaluated: heldout.length,
  });
  expect(evaluation.results.map(({ kind, name, size }) => [kind, name, size])).toEqual([
    ["model", "softpn", 16],
    ["model", "ratio", 16],
    ["untrained", "untrained encoder", 16],
    ["baseline", "pixels, PCA-16", 16],
    ["baseline", "histograms, bag of 16 words", 16],
    ["baseline", "HoG, PCA-16", 16],
    ["baseline", "histograms, bag of 64 words", 64],
    ["baseline", "histograms, bag of 64 words, PCA-16", 16],
  ]);
  const [softpn, ratio, untrained] = evaluation.results as Evaluated[];
  expect(softpn).toMatchObject({ step: 60, loss: "softpn" });
  expect(ratio).toMatchObject({ step: 30, loss: "ratio" });
  expect(softpn?.triplet_accuracy).toBeGreaterThan(untrained?.triplet_accuracy as number);
  for (const result of evaluation.results) {
    expect(result.effective_rank).toBeGreaterThanOrEqual(1);
    expect(result.effective_rank).toBeLessThanOrEqual(result.size + 1e-6);
  }
  // 700 m apart or more, no shift leads nearer to another one.
  expect(evaluation.ground).toEqual({ recall_at_1: 1, recall_at_10: 1 });
  expect(evaluation.bars.map(({ value }) => value)).toEqual([
    softpn?.recall_at_10,
    softpn?.recall_at_10,
    softpn?.triplet_accuracy_hard,
    softpn?.effective_rank,
    softpn?.triplet_accuracy,
    accuracy(softpn, "100"),
  ]);
  expect(evaluation.curves.map(({ model, loss, points }) => [model, loss, points.at(-1)?.step])).toEqual([
    ["softpn", "softpn", 60],
    ["ratio", "ratio", 30],
  ]);
  // Judged once, at the end: both were trained for fewer steps than lie between two checkpoints.
  expect(evaluation.curves.map((curve) => curve.heldout.map(({ step }) => step))).toEqual([[60], [30]]);
  for (const { a, b } of evaluation.lookalikes) for (const i of [a, b]) expect(heldout).toContain(i);
  expect(await evaluate(options)).toEqual(evaluation);
});

test("a model may be judged with several numbers of turns", async () => {
  const options = { store, dataset: "stripes", models: ["softpn", "ratio"], positives: 2 };
  const alone = await evaluate(options);
  const { results, curves, groups } = await evaluate({ ...options, turns: [1, 4] });
  const models = results.filter(({ kind }) => kind === "model");
  expect(models.map(({ name }) => name)).toEqual([
    ...["softpn, 1 turn", "ratio, 1 turn"],
    ...["softpn, 4 turns", "ratio, 4 turns"],
  ]);
  for (const at of [0, 1]) {
    expect({ ...models[at], name: "" }).toEqual({ ...alone.results[at], name: "" });
    expect(models[at + 2]?.alignment).not.toBe(models[at]?.alignment);
  }
  expect(curves).toEqual(alone.curves);
  expect(groups).toEqual([]);
});

test("a model's figures are those of its vectors, ranked by sorting", async () => {
  const { results, geography, nearest_m } = await evaluate({
    store,
    dataset: "stripes",
    models: ["softpn"],
    positives: 3,
  });
  const [train, heldout] = [partIs("train"), partIs("heldout")];
  const { settings: trained, weights } = await openCheckpoint(store, "softpn");
  const embedder = await createEmbedder(trained.architecture, weights);
  // A data set of four samples has three positives: all are taken.
  const vectors = await Promise.all(
    heldout.map(async (location) => {
      const rows = await embedder.embed([0, 1, 2, 3].map((sample) => tile(location, sample)));
      return [0, 1, 2, 3].map((sample) => [...rows.subarray(16 * sample, 16 * sample + 16)]);
    }),
  );
  await embedder.dispose();
  const vector = (i: number, sample: number) => vectors[i]?.[sample] as number[];
  const apart = (a: number[], b: number[]): number =>
    Math.hypot(...a.map((value, k) => value - (b[k] as number)));
  const all = [...heldout.keys()];
  const ranks = all.flatMap((own) =>
    [1, 2, 3].map((sample) => {
      const near = apart(vector(own, sample), vector(own, 0));
      return all.filter((other) => apart(vector(own, sample), vector(other, 0)) <= near).length;
    }),
  );
  const within = (k: number): number => ranks.filter((rank) => rank <= k).length / ranks.length;
  expect(results[0]?.recall_at_1).toBeCloseTo(within(1), 9);
  expect(results[0]?.recall_at_10).toBeCloseTo(within(10), 9);
  expect(within(10)).toBeGreaterThan(within(1));

  const metres = (a: number, b: number): number => distanceM(place(a), place(b));
  const others = all.map((own) =>
    all
      .filter((other) => other !== own)
      .sort(
        (a, b) =>
          metres(heldout[own] as number, heldout[a] as number) -
          metres(heldout[own] as number, heldout[b] as number),
      ),
  );
  const nearest = others.map((byDistance, own) =>
    metres(heldout[own] as number, heldout[byDistance[0] as number] as number),
  );
  expect(nearest_m).toBeCloseTo(nearest.sort((a, b) => a - b)[nearest.length >> 1] as number, 6);
  const between = train.flatMap((a) => heldout.map((b) => metres(a, b)));
  expect(geography.nearest_trained_m).toBeCloseTo(Math.min(...between), 6);
  expect(geography).toMatchObject({ kind: "squares", trained_on: "stripes", overlaps: false });
});

test("probes learn from labelled locations alone, whose telling channel is switched off", async () => {
  const asked: number[] = [];
  // A class that only held-out locations have can be learned by nobody.
  const rare = partIs("heldout")[0] as number;
  const kinds = labels((i) => (i === rare ? "rare" : i % 5 === 0 ? undefined : `kind ${kindOf(i)}`));
  const of: typeof kinds.of = (places) => {
    asked.push(places.length);
    return kinds.of(places);
  };
  const { results, labels: counts } = await evaluate({
    store,
    dataset: "stripes",
    models: ["softpn"],
    positives: 3,
    labels: [{ ...kinds, of }],
  });
  expect(asked).toEqual([240]);
  const labelled = (part: string) => partIs(part).filter((i) => i !== rare && i % 5 !== 0);
  const classes = Object.fromEntries(
    [0, 1, 2, 3].map((kind) => [
      `kind ${kind}`,
      labelled("heldout").filter((i) => kindOf(i) === kind).length,
    ]),
  );
  const heldout = labelled("heldout").length;
  expect(counts).toEqual([
    {
      name: "kinds",
      meaning: "kind",
      kind: "classes",
      masked: ["told"],
      train: labelled("train").length,
      heldout,
      classes,
      left_out: {},
      majority: Math.max(...Object.values(classes)) / heldout,
    },
  ]);
  const [softpn] = results as [Evaluated];
  const most = String(labelled("train").length);
  // All are taken where there are no 1000.
  expect(Object.keys(softpn.probes?.kinds ?? {})).toEqual(["10", "100", most]);
  // With the channel that tells switched off, stripes still tell; 100 of them more than 10.
  expect(accuracy(softpn, "100")).toBeGreaterThan(0.6);
  expect(accuracy(softpn, "100")).toBeGreaterThan(accuracy(softpn, "10"));
});

test("seeds are a group that bars are held to; sizes and turns may differ; labels of several sources", async () => {
  const network = (embedding: number) => ({ pooled: [8, 8], pointwise: [8], dense: 8, embedding });
  const quick = { store, ...settings, network: network(16), turns: 4 as const, halvings: 1, steps: 2 };
  await train({ ...quick, model: "seed-3" });
  await train({ ...quick, model: "seed-4", seed: 4 });
  await train({ store, ...settings, model: "long", network: network(64), steps: 2 });
  const points = PLACES.map((at, i) => ({ ...at, label: kindOf(i) + randomOf(8, i).uniform() }));
  const about = { meaning: "density", origin: "density.csv, column density", withinM: 10 };
  const density = labelsOfPoints({ kind: "numbers", points }, { name: "density", ...about });
  const told = labelsOfPoints(
    { kind: "classes", points: points.map(({ label, ...at }) => ({ ...at, label: `kind ${label | 0}` })) },
    { name: "told", ...about },
  );
  const options = { store, dataset: "stripes", positives: 2, locations: 40 };
  const kinds = labels((i) => `kind ${kindOf(i)}`);
  const evaluation = await evaluate({
    ...options,
    models: ["seed-3", "long", "seed-4"],
    labels: [density, kinds, told],
  });
  const [first, long, second] = evaluation.results as [Evaluated, Evaluated, Evaluated];
  const figure = (name: "recall_at_10" | "effective_rank") => [first[name], second[name]] as [number, number];
  const { groups, bars, results } = evaluation;
  expect(groups).toMatchObject([{ models: ["seed-3", "seed-4"], seeds: [3, 4], steps: [2, 2], size: 16 }]);
  const [a, b] = figure("recall_at_10");
  expect(groups[0]?.mean.recall_at_10).toBeCloseTo((a + b) / 2, 12);
  expect(groups[0]?.deviation.recall_at_10).toBeCloseTo(Math.abs(a - b) / Math.SQRT2, 12);
  expect([groups[0]?.minimum.recall_at_10, groups[0]?.maximum.recall_at_10]).toEqual([
    Math.min(a, b),
    Math.max(a, b),
  ]);
  expect(bars[0]?.value).toBe(groups[0]?.mean.recall_at_10);
  expect(bars.map(({ bar }) => bar).slice(5)).toEqual([
    "probe density, 100 labels: R² above every rival",
    "probe kinds, 100 labels: accuracy above every rival",
    "probe told, 100 labels: accuracy above every rival",
  ]);
  // The long one is judged beside the others, and rivals are as long as the first.
  expect(long.size).toBe(64);
  expect(long.effective_rank).toBeGreaterThan(0);
  expect(results.slice(3).map(({ name }) => name)).toEqual([
    "untrained encoder",
    "pixels, PCA-16",
    "histograms, bag of 16 words",
    "HoG, PCA-16",
    "histograms, bag of 64 words",
    "histograms, bag of 64 words, PCA-16",
  ]);
  // Where the channel that tells is not switched off, it tells.
  const pixels = results.find(({ name }) => name.startsWith("pixels")) as Evaluated;
  expect(accuracy(pixels, "100", "told")).toBeGreaterThan(0.95);
  expect(accuracy(pixels, "100")).toBeLessThan(accuracy(pixels, "100", "told"));
  expect(scoreOf<NumberScore & ProbeScore>(pixels, "density", "100").r2).toBeGreaterThan(0.8);
  // One of 64 numbers: the bag of 64 words is there once, and not reduced.
  const alone = await evaluate({ ...options, models: ["long"] });
  expect(alone.groups).toEqual([]);
  expect(alone.results.slice(2).map(({ name, size }) => [name, size])).toEqual([
    ["pixels, PCA-64", 64],
    ["HoG, PCA-64", 64],
    ["histograms, bag of 64 words", 64],
  ]);
});

test("too few labels: they are counted, and nothing is said of them", async () => {
  const lines: string[] = [];
  const {
    results,
    labels: counts,
    bars,
  } = await evaluate({
    store,
    dataset: "stripes",
    models: ["softpn"],
    positives: 1,
    locations: 20,
    labels: [labels((i) => (i % 12 === 0 ? `kind ${i % 8}` : undefined))],
    log: (line) => lines.push(line),
  });
  expect(lines[0]).toMatch(
    /^evaluate: labels kinds: \d+ and \d+ labelled locations are too few for a probe$/,
  );
  // Each twelfth, the border's among them.
  const labelled = (part: string): number => partIs(part).filter((i) => i % 12 === 0).length;
  expect(counts).toMatchObject([{ train: labelled("train"), heldout: labelled("heldout") }]);
  expect(results.every(({ probes }) => probes === undefined)).toBe(true);
  expect(bars.length).toBe(5);
});

test("nothing held out, other places held out, another data set: an error, not a number", async () => {
  const options = { store, dataset: "stripes" };
  await expect(evaluate({ ...options, models: ["whole"] })).rejects.toThrowError(/nothing it has not seen/);
  await expect(evaluate({ ...options, models: ["softpn", "other"] })).rejects.toThrowError(
    /held out other places/,
  );
  await expect(evaluate({ ...options, models: ["none"] })).rejects.toThrowError(/there is no model none/);
  await createDataset(
    store,
    { ...DATASET, name: "dots" },
    PLACES.map((place) => ({ ...place, kind: "visit" as const })),
  );
  await expect(evaluate({ ...options, dataset: "dots", models: ["softpn"] })).rejects.toThrowError(
    /0 locations of data set dots can be used, and \d+ of data set stripes/,
  );
  const redrawn = { ...DATASET, name: "redrawn", source: { ...DATASET.source, styleHash: "9".repeat(64) } };
  await writeStripes(store, redrawn, { place, draw: tile });
  await expect(evaluate({ ...options, dataset: "redrawn", models: ["softpn"] })).rejects.toMatchObject({
    code: "cartography-mismatch",
    message: expect.stringMatching(/another cartography \(1111.*than data set redrawn has \(9999/),
  });
});

test("another city is judged as a whole, but for what overlaps ground that was trained on", async () => {
  const north = (i: number) => ({ lon: place(i).lon, lat: place(i).lat + 1 });
  await writeStripes(store, { ...DATASET, name: "north" }, { place: north, draw: tile });
  const kinds = labels((i) => `kind ${kindOf(i)}`);
  const options = { store, dataset: "north", positives: 3, labels: [kinds] };
  const evaluation = await evaluate({ ...options, models: ["softpn"] });
  // The southernmost row of the other lies a degree north of the first row, less the rows between.
  const trained = PLACES.filter((trainPlace) => partOf(1, trainPlace, HOLDOUT) === "train");
  const nearest = Math.min(...trained.map((a) => Math.min(...PLACES.map((_, i) => distanceM(a, north(i))))));
  expect(evaluation.geography).toEqual({
    kind: "elsewhere",
    trained_on: "stripes",
    nearest_trained_m: nearest,
    overlaps: false,
  });
  expect(evaluation.locations).toEqual({ train: trained.length, heldout: 240, evaluated: 240 });
  expect(evaluation.results[0]?.triplet_accuracy).toBeGreaterThan(
    evaluation.results[1]?.triplet_accuracy as number,
  );
  expect(accuracy(evaluation.results[0], "100")).toBeGreaterThan(0.5);
  // One that was trained on the whole of its own map may be judged elsewhere.
  expect((await evaluate({ ...options, models: ["whole"] })).locations.heldout).toBe(240);

  // Another one of the same ground: what lies near a location that was trained on is left out, and nothing is told by it.
  const close = (i: number) => ({ lon: place(i).lon, lat: place(i).lat + 0.002 });
  await writeStripes(store, { ...DATASET, name: "close" }, { place: close, draw: tile });
  const unseen = [...PLACES.keys()].filter((i) => trained.every((a) => distanceM(a, close(i)) >= 509.1));
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const overlapping = await evaluate({ ...options, dataset: "close", models: ["softpn"], log });
  expect(unseen.length).toBeGreaterThan(20);
  expect(unseen.length).toBeLessThan(partIs("heldout").length + 240 - trained.length);
  expect(overlapping.locations).toMatchObject({ heldout: unseen.length, evaluated: unseen.length });
  expect(overlapping.geography).toMatchObject({ seen: 240 - unseen.length, overlaps: false });
  expect(overlapping.geography.nearest_trained_m).toBeGreaterThanOrEqual(509.1);
  for (const { a, b } of overlapping.lookalikes) expect(unseen).toEqual(expect.arrayContaining([a, b]));
  const { train = 0, heldout: asked = 0 } = overlapping.labels ?? {};
  expect(train + asked).toBeLessThanOrEqual(unseen.length);
  expect(lines).toContain(
    `evaluate: ${240 - unseen.length} locations are left out: their tiles can show ground that was trained on`,
  );
  // Nothing of it is unseen by one that was trained on the whole map.
  await expect(evaluate({ ...options, dataset: "close", models: ["whole"] })).rejects.toThrowError(
    /^data set close overlaps data set stripes, trained on: tiles of 240 of its locations can show the same ground, and 0 others are too few/,
  );
});

test("a model of several data sets is judged on held-out squares of one, and on what lies elsewhere", async () => {
  // Of the same ground, other places and other squares; and another city.
  const beside = (i: number) => ({ lon: place(i).lon + 0.003, lat: place(i).lat + 0.003 });
  const south = (i: number) => ({ lon: place(i).lon, lat: place(i).lat - 1 });
  const foreign = (i: number) => ({ lon: place(i).lon, lat: place(i).lat - 2 });
  await writeStripes(store, { ...DATASET, name: "beside", seed: 2 }, { place: beside, draw: tile });
  await writeStripes(store, { ...DATASET, name: "south", seed: 3 }, { place: south, draw: tile });
  await writeStripes(store, { ...DATASET, name: "foreign", seed: 4 }, { place: foreign, draw: tile });
  const dataset = ["stripes", "beside", "south"];
  const several = { ...settings, dataset, holdout: { ...HOLDOUT, borderM: 600 } };
  await train({ store, model: "several", steps: 8, ...several });
  const grounds = [
    { seed: 2, places: PLACES.map((_, i) => beside(i)) },
    { seed: 3, places: PLACES.map((_, i) => south(i)) },
    { seed: 1, places: PLACES },
  ];
  const parts = partTogether(grounds, several.holdout);
  const of = (set: number, part: string) =>
    grounds[set]?.places.filter((_, i) => parts[set]?.[i] === part) ?? [];
  const trained = [0, 1, 2].flatMap((set) => of(set, "train"));
  const options = { store, models: ["several"], positives: 2, locations: 30 };
  for (const [set, name] of ["beside", "south", "stripes"].entries()) {
    const { geography, locations } = await evaluate({ ...options, dataset: name });
    expect(locations).toEqual({ train: trained.length, heldout: of(set, "heldout").length, evaluated: 30 });
    const nearest = Math.min(
      ...of(set, "heldout").map((a) => Math.min(...trained.map((b) => distanceM(a, b)))),
    );
    expect(geography).toEqual({
      ...{ kind: "squares", trained_on: ["beside", "south", "stripes"], overlaps: false },
      nearest_trained_m: expect.closeTo(nearest, 6),
    });
    expect(nearest).toBeGreaterThanOrEqual(600);
  }
  const elsewhere = await evaluate({ ...options, dataset: "foreign" });
  expect(elsewhere.locations).toEqual({ train: trained.length, heldout: 240, evaluated: 30 });
  expect(elsewhere.geography).toMatchObject({ kind: "elsewhere", overlaps: false });
  expect(elsewhere.geography).not.toHaveProperty("seen");
  expect(elsewhere.results.map(({ name }) => name)).toContain("several");

  await expect(
    evaluate({ ...options, dataset: "stripes", models: ["several", "softpn"] }),
  ).rejects.toThrowError(
    /^model several was trained on data set beside .* and data set south .* and data set stripes .*, model softpn on data set stripes /,
  );
  await store.remove("datasets/south/zarr.json");
  await expect(evaluate({ ...options, dataset: "stripes" })).rejects.toMatchObject({
    code: "dataset-missing",
    message: expect.stringMatching(/^model several was trained on data set south, which is not in /),
  });
});

test("whether tiles meet is one rule: nearer than two reaches, 509.1 m, they do", async () => {
  // Fifteen rows, 0.01 degrees apart; the other data set's first lies so many metres beyond the last.
  const beyond = async (metres: number) => {
    const shift = 0.14 + metres / METRES_PER_DEGREE;
    const name = `beyond-${Math.round(10 * metres)}`;
    const moved = (i: number) => ({ lon: place(i).lon, lat: place(i).lat + shift });
    await writeStripes(store, { ...DATASET, name }, { place: moved, draw: tile });
    const { geography } = await evaluate({
      store,
      dataset: name,
      models: ["softpn"],
      locations: 20,
      positives: 1,
    });
    expect(geography.overlaps).toBe(false);
    return geography;
  };
  const apart = await beyond(509.4);
  expect(apart.nearest_trained_m).toBeCloseTo(509.4, 1);
  expect(apart).not.toHaveProperty("seen");
  const last = [...PLACES.keys()].slice(-16).filter((i) => partIs("train").includes(i));
  const meeting = await beyond(508.8);
  expect(meeting.seen).toBe(last.length);
  expect(last.length).toBeGreaterThan(0);
  expect(meeting.nearest_trained_m).toBeGreaterThan(509.1);
  // In squares it is said: rows and columns 300 m apart, cells of 1 km without a border.
  const dense = (i: number) => ({ lon: 10 + 0.0042 * (i % 16), lat: 50 + 0.0027 * Math.floor(i / 16) });
  await writeStripes(store, { ...DATASET, name: "dense" }, { place: dense, draw: tile });
  const holdout = { ...HOLDOUT, borderM: 0 };
  await train({ store, model: "dense", steps: 1, ...settings, dataset: "dense", holdout });
  const { geography } = await evaluate({
    store,
    dataset: "dense",
    models: ["dense"],
    locations: 20,
    positives: 1,
  });
  expect(geography.overlaps).toBe(true);
  expect(geography.nearest_trained_m).toBeCloseTo(0.0027 * METRES_PER_DEGREE, 0);
});

test("a data set that was made anew under its old name is not the one that was trained on", async () => {
  const elsewhere = openStore(pathToFileURL(await mkdtemp(join(tmpdir(), "evaluation-anew-"))).href);
  try {
    await writeStripes(elsewhere, DATASET, { place, draw: tile });
    await train({ store: elsewhere, model: "old", steps: 1, ...settings });
    for (const [changes, shift] of [
      [{ seed: 2 }, 0],
      [{}, 0.5],
      [{ source: { ...DATASET.source, map: { ...DATASET.source.map, sha256: "8".repeat(64) } } }, 0],
    ] as const) {
      for await (const key of elsewhere.list("datasets/")) await elsewhere.remove(key);
      const moved = (i: number) => ({ lon: place(i).lon + shift, lat: place(i).lat });
      await writeStripes(elsewhere, { ...DATASET, ...changes }, { place: moved, draw: tile });
      const options = { store: elsewhere, dataset: "stripes", models: ["old"] };
      const message = expect.stringMatching(
        /old was trained on data set stripes \(seed 1, .*; what has that name now is data set stripes \(seed/,
      );
      await expect(evaluate(options)).rejects.toMatchObject({ code: "dataset-mismatch", message });
      await expect(train({ store: elsewhere, model: "old", steps: 2, ...settings })).rejects.toThrowError(
        /old .* was trained with data set stripes \(seed 1, .*, not data set stripes/,
      );
    }
    // Without it nobody knows where that was, whatever else is there.
    for await (const key of elsewhere.list("datasets/")) await elsewhere.remove(key);
    const north = (i: number) => ({ lon: place(i).lon, lat: place(i).lat + 1 });
    await writeStripes(elsewhere, { ...DATASET, name: "north" }, { place: north, draw: tile });
    await expect(evaluate({ store: elsewhere, dataset: "north", models: ["old"] })).rejects.toMatchObject({
      code: "dataset-missing",
      message: expect.stringMatching(/old was trained on data set stripes, which is not in/),
    });
  } finally {
    await rm(new URL(elsewhere.url), { recursive: true });
  }
});
