import type { CheckpointChoice } from "@loc2vec/core";
import type { Turns } from "@loc2vec/encoder";
import { median } from "@loc2vec/numeric";
import type { ObjectStore } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { type Checkpoint, oneOrAll, openCheckpoint, openTiles } from "@loc2vec/trainer";
import { type Contestant, disposeAll, makeContestants, readFitTiles } from "./contestants.ts";
import { readCurve } from "./curves.ts";
import { describeAll } from "./describe.ts";
import { findLookalikes } from "./figure7.ts";
import { nearestOthers, recallOnTheGround } from "./ground.ts";
import { describeGroup, groupBySeed } from "./groups.ts";
import { chooseImages, rowsOf, splitVectors } from "./images.ts";
import { type Labels, placeLabels } from "./labels.ts";
import { quality, type Vectors } from "./metrics.ts";
import { findGeography, type Geography } from "./places.ts";
import { probeContestants } from "./probes.ts";
import type { Evaluated, Evaluation, Group, ProbeScores } from "./result.ts";
import { entrantsOf } from "./turned.ts";
import { barsOf } from "./verdict.ts";

export interface EvaluateOptions {
  store: ObjectStore;
  dataset: string;
  /**
   * All trained on the same data sets, with the same geography held out: that one among them, or others, elsewhere. Bars are
   * held to the first, or the mean of its group.
   */
  models: readonly string[];
  /** Which checkpoint of each model. Default `best`. */
  checkpoint?: CheckpointChoice | undefined;
  /** Numbers of turns to judge each model with, by and by. Default: its own. */
  turns?: readonly Turns[] | undefined;
  /** Held-out locations that are drawn, at most. Default 2000. */
  locations?: number;
  /** Positives per location. Default 5. */
  positives?: number;
  /** Labels for probes, of different names; without, there is none. */
  labels?: readonly Labels[];
  seed?: number;
  signal?: AbortSignal | undefined;
  log?: (line: string) => void;
  progress?: (done: number, total: number) => void;
}

/**
 * How good a model's vectors are at places that it was never trained near, beside what takes no training, all on the same
 * images: see {@link quality}, {@link probeContestants} and {@link findLookalikes}.
 *
 * @throws FarmError what {@link findGeography} and {@link placeLabels} throw
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { store, models, positives = 5, seed = 0, labels = [], log = () => {} } = options;
  const watch = { signal: options.signal, progress: options.progress };
  const opened = await Promise.all(models.map((model) => openCheckpoint(store, model, options.checkpoint)));
  const geography = await findGeography(store, options.dataset, models, opened, positives);
  const entrants = entrantsOf(models, opened, options.turns ?? []);
  const checkpoints = entrants.map(({ checkpoint }) => checkpoint);
  const { evaluated, trained, heldout, seen } = geography;
  if (seen > 0)
    log(`evaluate: ${seen} locations are left out: their tiles can show ground that was trained on`);
  const { dataset, emptyByLocation } = evaluated;
  const source = { samples: dataset.samples, emptyByLocation, seed };
  const images = chooseImages(heldout, options.locations ?? 2000, positives, source);
  const places = images.locations.map(evaluated.placeOf);
  const neighbours = nearestOthers(places);

  const placed = await Promise.all(labels.map((each) => placeLabels(each, evaluated, log)));

  log("evaluate: fitting baselines");
  const names = entrants.map(({ name }) => name);
  const entry = { tensorflow: await loadTensorflow(), models: names, checkpoints, dataset, seed };
  const fit = await readFitTiles(trained, seed);
  const contestants = await makeContestants(entry, fit);
  log(`evaluate: ${images.locations.length} held-out locations`);
  const tiles = openTiles(evaluated.reader);
  const representations = contestants.map(({ representation }) => representation);
  const vectors = (await describeAll(representations, tiles, rowsOf(images), watch)).map((data, at) =>
    splitVectors(data, (contestants[at] as Contestant).representation.size, 1 + positives),
  );
  const nearest = neighbours.map(({ index }) => index);
  const results = contestants.map(({ representation: { name, size }, ...rest }, at): Evaluated => {
    return { name, size, ...rest, ...quality(vectors[at] as Vectors, nearest, seed) };
  });
  const pairs = await findLookalikes(
    evaluated,
    tiles,
    images.locations,
    vectors[0] as Vectors,
    options.signal,
  );
  const enough = placed.filter(({ isEnough }) => isEnough);
  if (enough.length > 0) log("evaluate: linear probes");
  const scores = await probeContestants(enough, { contestants, entry, tiles, fit, watch });
  for (const [at, { labels: one }] of enough.entries())
    for (const [i, result] of results.entries())
      result.probes = { ...result.probes, [one.name]: (scores[at] as ProbeScores[])[i] as ProbeScores };
  await disposeAll(contestants);
  const grouped = groupBySeed(checkpoints);
  const describe = (members: number[]): Group => describeGroup(members, checkpoints, results);
  const { mean, size } = describe(grouped[0] as number[]);
  return {
    dataset: dataset.name,
    geography: describeGeography(geography),
    holdout: (checkpoints[0] as Checkpoint).settings.holdout,
    locations: {
      train: trained.reduce((sum, { parts }) => sum + parts.train.length, 0),
      heldout: heldout.length,
      evaluated: images.locations.length,
    },
    positives,
    nearest_m: median(neighbours.map(({ metres }) => metres)) ?? 0,
    ground: recallOnTheGround(dataset, places, images),
    results,
    groups: grouped.filter((members) => members.length > 1).map(describe),
    labels: placed.map(({ counts }) => counts),
    bars: barsOf({ ...mean, size }, results),
    lookalikes: pairs,
    curves: await Promise.all(
      opened.map(({ settings }, at) => readCurve(store, models[at] as string, settings.loss)),
    ),
  };
}

function describeGeography(geography: Geography): Evaluation["geography"] {
  return {
    kind: geography.kind,
    trained_on: oneOrAll(geography.trained.map(({ dataset }) => dataset.name)),
    nearest_trained_m: geography.nearestTrainedM,
    overlaps: geography.overlaps,
    ...(geography.seen > 0 && { seen: geography.seen }),
  };
}
