import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { FarmError, type Place } from "@loc2vec/core";
import {
  type AdamState,
  countParameters,
  createEncoder,
  type Encoder,
  precisionOn,
  type Weights,
} from "@loc2vec/encoder";
import type { DatasetReader, ObjectStore } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { type Average, CALIBRATION_BATCHES, openAverage, readOptimizer } from "./average.ts";
import { planBatches, poolShards, togetherOn } from "./batches.ts";
import type { Best } from "./best.ts";
import { type Resumable, readResumable } from "./checkpoint.ts";
import {
  type Corpus,
  describeNames,
  listRendered,
  oneOrAll,
  openCorpus,
  readShards,
  writeShards,
} from "./corpus.ts";
import { type EmptyWatch, isUsable, watchEmptyTiles } from "./empty.ts";
import { type Feed, type MiniBatch, openFeed } from "./feed.ts";
import type { HistoryEntry } from "./figures.ts";
import { watchPlateau } from "./guard.ts";
import { type Judge, openJudge } from "./heldout.ts";
import { type Journal, openJournal } from "./journal.ts";
import { acquireLease, type Lease } from "./lease.ts";
import { checkTrainable, modelPrefix } from "./model.ts";
import { chooseMinDistance, warnOfBatches, warnOfHoldout } from "./overlap.ts";
import { parseRecipe, pickRecipe, type Recipe, type RecipeInput, type RecipeName } from "./recipe.ts";
import { checkSame, recipeNameOf, type Settings, settle } from "./settings.ts";
import { surveyTerritory, type Territory } from "./split.ts";
import { startingWeights } from "./start.ts";
import { takeStep } from "./step.ts";

/** Turns of the event loop between two steps: reading a shard takes some. */
const TURNS = 8;
/** Between looks for a shard that is not there yet. */
const WAIT_MS = 2000;

/** A training: the settings of its recipe, what it trains on, and who is told of it. */
export interface TrainOptions extends RecipeInput {
  store: ObjectStore;
  /** One or several; in which order they are named makes no difference. */
  dataset: string | readonly string[];
  model: string;
  /** To train up to, all sessions together. */
  steps: number;
  /** How long to wait for another training of this model to end, or to be found dead, milliseconds. Default 0. */
  busyMs?: number | undefined;
  /** Another process may train the model when it has heard nothing of this one for twice so long, milliseconds. Default 45,000. */
  leaseMs?: number | undefined;
  /** Writes a checkpoint and ends. */
  signal?: AbortSignal | undefined;
  /** Called before the first step, with what was trained before. */
  onStart?: (history: readonly HistoryEntry[]) => void;
  onStep?: (entry: HistoryEntry) => void;
  /** Called at checkpoints with the step's entry, which now has figures of held-out locations, where there are any. */
  onJudged?: (entry: HistoryEntry) => void;
  /** Called once when it waits for shards, and when it goes on. */
  onWait?: (waiting: boolean) => void;
  /** Something that the training goes on with: a damaged checkpoint, tiles that overlap. */
  onWarning?: (line: string) => void;
}

export interface TrainResult {
  /** Reached, all sessions together. */
  step: number;
  parameters: number;
  /** The named recipe whose settings the model has; undefined where it has others. */
  recipe: RecipeName | undefined;
  /** The step that this session went on from; 0 for a new model. */
  resumedFrom: number;
  interrupted: boolean;
  /** Why it ended: all steps were done, the signal was given, its time was over, or the loss no longer fell. */
  ended: "steps" | "signal" | "time" | "plateau";
  /** The checkpoint that is used unless another one is named, and what it was chosen by. */
  best: Best | undefined;
  /** Locations left out because their anchor, or too many of their positives, are empty. */
  skippedLocations: number;
  emptyTiles: number;
  history: HistoryEntry[];
}

/**
 * Trains an encoder on a data set, or on several as one, from where the model's last checkpoint stands. Each image of a mini-batch passes the
 * network once, however many triplets it is part of.
 *
 * @throws FarmError `usage` for a setting out of its range; `settings-mismatch` or `dataset-mismatch` when the model was
 *   begun with others, `dataset-mismatch` also when several data sets differ in what an encoder reads; `lease-held` when another process trains it; `shards-missing` or `damaged`; `exploded`; `input` when
 *   too little is rendered; `tensorflow-missing` without a TensorFlow that computes as the model was begun
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { store, model, steps, leaseMs, busyMs, signal, onWarning } = options;
  if (!Number.isInteger(steps) || steps < 1)
    throw new FarmError("usage", `cannot train ${steps} steps`, "1 or more");
  checkTrainable(model);
  const recipe = parseRecipe(`model ${model}`, pickRecipe(options));
  const corpus = await openCorpus(store, [options.dataset].flat());
  const lease = await acquireLease(store, `${modelPrefix(model)}/lease`, {
    ...{ what: `model ${model}`, purpose: "training", leaseMs, waitMs: busyMs, signal },
    onWait: onWarning,
  });
  try {
    return await trainAlone(options, recipe, corpus, lease);
  } finally {
    await lease.release();
  }
}

/** {@link train}, while nobody else trains the model. */
async function trainAlone(
  options: TrainOptions,
  recipe: Recipe,
  corpus: Corpus,
  lease: Lease,
): Promise<TrainResult> {
  const { store, model, steps, onWarning = () => {} } = options;
  const damaged: number[] = [];
  const before = await readResumable(store, model, (step, reason) => {
    damaged.push(step);
    onWarning(`checkpoint ${step} is damaged, an older one is used: ${reason}`);
  });
  const ground = await findGround(options, recipe, corpus, before);
  const { settings, parameters, shards, rendered } = ground;
  const resumedFrom = before?.step ?? 0;
  const { checkpointEvery } = recipe;
  const journal = await openJournal({
    ...{
      store,
      model,
      settings,
      corpus,
      parameters,
      lease,
      resumedFrom,
      damaged,
      checkpointEvery,
      onWarning,
    },
  });
  const empty = await watchEmpty(
    options,
    corpus,
    lease,
    shards.filter((shard) => rendered.has(shard)),
  );
  const result = {
    ...countEmpty(corpus, settings, empty),
    parameters,
    recipe: recipeNameOf(settings),
    resumedFrom,
    history: journal.entries,
  };
  if (resumedFrom >= steps) {
    await journal.summarize(resumedFrom);
    return { ...result, step: resumedFrom, interrupted: false, ended: "steps", best: journal.best() };
  }
  for (const line of warningsOf(corpus, ground)) onWarning(line);
  const tiles = { pool: poolShards(settings.batch) };
  const feed = openFeed(
    corpus,
    planSession(corpus, ground, empty, resumedFrom),
    settings.seed,
    steps - resumedFrom,
    tiles,
  );
  const { moments, own } = readOptimizer(before?.optimizer ?? new Map());
  const encoder = await openEncoder(options, recipe, settings, own ?? before?.weights, moments);
  const average = openAverage({
    ...{ settings, encoder, weights: before?.weights ?? encoder.weights },
    openCalibration: () =>
      openFeed(corpus, planSession(corpus, ground, empty, 0), settings.seed, CALIBRATION_BATCHES, tiles),
  });
  /** Not before the first mini-batch is there: then an early training has the shards that it is judged by, too. */
  const findJudge = async (): Promise<Judge | undefined> => {
    const { split, placeOf } = ground.territory;
    const judge = await openJudge(corpus, {
      shards,
      settings,
      split,
      placeOf,
      emptyByLocation: empty.byLocation,
    });
    if (typeof judge !== "string") return judge;
    onWarning(`${judge}: the best checkpoint is that of the lowest mean loss`);
    return undefined;
  };
  options.onStart?.(journal.entries);
  try {
    const run = { options, recipe, settings, lease, journal, encoder, average, feed, findJudge, resumedFrom };
    const { step, ended } = await runSteps(run);
    if (step > 0) await journal.summarize(step);
    return { ...result, step, interrupted: ended === "signal", ended, best: journal.best() };
  } finally {
    encoder.dispose();
  }
}

/** What a session trains on, and how. */
interface Ground {
  settings: Settings;
  /** How many the network has. */
  parameters: number;
  /** Numbers of the shards that it draws from, ascending. */
  shards: readonly number[];
  /** Numbers of all shards that are there. */
  rendered: ReadonlySet<number>;
  territory: Territory;
}

/**
 * @throws FarmError `settings-mismatch`, `dataset-mismatch` when the model was begun otherwise; `shards-missing`; `input` when of
 *   one of several data sets nothing is rendered
 */
async function findGround(
  { store, model, steps }: Pick<TrainOptions, "store" | "model" | "steps">,
  recipe: Recipe,
  corpus: Corpus,
  before: Resumable | undefined,
): Promise<Ground> {
  const { early = false } = recipe;
  const there = await listRendered(store, corpus);
  const rendered = new Set(there);
  /** Others may have been rendered since the training began: with them the mini-batches would be others. */
  const fresh = early ? [...Array(corpus.shards).keys()] : there;
  const shards = before ? readShards(corpus, before.settings.shards) : fresh;
  const territory = await surveyTerritory(corpus, recipe.holdout);
  const { trainable, apart, holdout } = territory;
  const precision =
    recipe.precision === "auto" && before
      ? before.settings.precision
      : precisionOn(await loadTensorflow(), recipe.precision);
  const annealed = before?.settings.schedule.anneal || steps;
  const anneal = recipe.anneal === "steps" ? annealed : recipe.anneal;
  const distances = mixed(recipe, trainable).map((places) =>
    chooseMinDistance(places, recipe.batch.locations, apart),
  );
  const minDistanceM = recipe.minDistanceM ?? Math.min(...distances);
  const drawn = { shards: writeShards(corpus, shards), early, minDistanceM, holdout };
  const identity = oneOrAll(corpus.readers.map((reader) => reader.identity));
  const settings = settle({ ...recipe, precision, anneal }, identity, corpus, drawn);
  const parameters = countParameters(settings.architecture);
  if (before) checkSame(store, model, before.settings, settings);
  if (!early) checkShards(store, model, corpus, shards, rendered);
  return { settings, parameters, shards, rendered, territory };
}

/** Places that come together in mini-batches: all, or those of each data set by itself. @param places by data set */
function mixed(
  { mix }: { mix?: Recipe["mix"] | undefined },
  places: Territory["trainable"],
): readonly (readonly Place[])[] {
  return mix === "turns" ? places : [places.flat()];
}

/** @throws FarmError `shards-missing` naming those that are gone; `input` when one of several data sets has none to train on */
function checkShards(
  store: ObjectStore,
  model: string,
  corpus: Corpus,
  shards: readonly number[],
  rendered: ReadonlySet<number>,
): void {
  const goneOf = [
    writeShards(
      corpus,
      shards.filter((shard) => !rendered.has(shard)),
    ),
  ].flat();
  for (const [set, name] of corpus.names.entries()) {
    const gone = goneOf[set] as string;
    if (gone !== "") {
      throw new FarmError(
        "shards-missing",
        `data set ${name} in ${store.url}: of the shards that model ${model} is trained on, ${gone} ${/[-,]/.test(gone) ? "are" : "is"} gone`,
        `pnpm farm:verify --dataset ${name} --repair has them rendered again; or train under another name`,
      );
    }
    if (corpus.names.length > 1 && !shards.some((shard) => corpus.setOf(shard) === set)) {
      throw new FarmError(
        "input",
        `data set ${name} in ${store.url}: nothing of it is rendered, so ${describeNames(corpus.names)} cannot be trained on together`,
        "pnpm farm:enqueue and farm:work render it; or train without it",
      );
    }
  }
}

/** Learns which tiles are empty; waits for shards until the signal is given, or the lease is lost. */
function watchEmpty(
  { signal, onWait }: TrainOptions,
  corpus: Corpus,
  lease: Lease,
  rendered: readonly number[],
): Promise<EmptyWatch> {
  const wait = async (): Promise<void> => {
    onWait?.(true);
    await sleep(WAIT_MS, undefined, { signal: AbortSignal.any([lease.lost, ...(signal ? [signal] : [])]) });
  };
  return watchEmptyTiles(corpus, rendered, wait, () => onWait?.(false));
}

function countEmpty(
  corpus: Corpus,
  { empty: policy, batch }: Settings,
  { byLocation }: EmptyWatch,
): Pick<TrainResult, "skippedLocations" | "emptyTiles"> {
  const samples = [...byLocation.values()];
  const unusable = samples.filter((empty) => !isUsable(corpus.samples - 1, batch.pairs, empty));
  return {
    skippedLocations: policy === "skip" ? unusable.length : 0,
    emptyTiles: samples.reduce((sum, { size }) => sum + size, 0),
  };
}

function warningsOf(
  { names }: Corpus,
  { settings, territory: { split, holdout, trainable, apart } }: Ground,
): string[] {
  const groups = mixed(settings, trainable);
  return [
    ...warnOfHoldout(split, holdout, apart),
    ...groups.flatMap((places, set) =>
      warnOfBatches(places, settings.batch.locations, settings.minDistanceM, apart).map((line) =>
        groups.length > 1 ? `data set ${names[set]}: ${line}` : line,
      ),
    ),
  ];
}

function planSession(
  corpus: Corpus,
  { settings, shards, territory: { holdout, split, placeOf } }: Ground,
  empty: EmptyWatch,
  resumedFrom: number,
): ReturnType<typeof planBatches> {
  const { batch, seed, early, mix, minDistanceM } = settings;
  return planBatches(corpus, shards, batch, seed, {
    first: resumedFrom + 1,
    early,
    mix,
    look: async (poolShards) => {
      await empty.learn(poolShards);
      return settings.empty === "skip" ? empty.byLocation : new Map();
    },
    eligible: holdout.share > 0 ? (i) => split.partOf(i) === "train" : undefined,
    together: togetherOn(placeOf, minDistanceM, (corpus.readers[0] as DatasetReader).dataset.radius),
  });
}

/** The encoder with the weights and moments to go on with, or the weights that a training begins with. */
async function openEncoder(
  { store, model, onWarning }: TrainOptions,
  recipe: Recipe,
  settings: Settings,
  before: Weights | undefined,
  moments: AdamState,
): Promise<Encoder> {
  const { architecture, precision } = settings;
  const tensorflow = await loadTensorflow();
  const ofDevice = precisionOn(tensorflow, recipe.precision);
  if (ofDevice !== precision) {
    onWarning?.(
      `model ${model} began in ${precision} precision and goes on in it; this device would choose ${ofDevice}`,
    );
  }
  const weights = before ?? (await startingWeights(store, model, settings));
  return createEncoder(tensorflow, architecture, weights, { precision, moments });
}

/** What the steps of a session work with. */
interface Run {
  options: TrainOptions;
  recipe: Recipe;
  settings: Settings;
  lease: Lease;
  journal: Journal;
  encoder: Encoder;
  average: Average;
  feed: Feed;
  findJudge(): Promise<Judge | undefined>;
  resumedFrom: number;
}

/** Takes steps until one of the reasons to end, writing checkpoints. */
async function runSteps(run: Run): Promise<Pick<TrainResult, "step" | "ended">> {
  const { options, recipe, settings, lease, journal, encoder, average, feed, resumedFrom } = run;
  const { steps, signal, onStep } = options;
  const { patience, maxSeconds, checkpointEvery } = recipe;
  const started = performance.now();
  const plateau = watchPlateau(journal.entries);
  const whyEnd = (): TrainResult["ended"] | undefined => {
    if (signal?.aborted) return "signal";
    if (maxSeconds !== undefined && performance.now() - started > 1000 * maxSeconds) return "time";
    return patience !== undefined && plateau.length() >= patience ? "plateau" : undefined;
  };
  let ended: TrainResult["ended"] = "steps";
  let step = resumedFrom;
  let saved = resumedFrom;
  let last: MiniBatch | undefined;
  let judge: Judge | undefined;
  while (step < steps) {
    const why = whyEnd();
    if (why !== undefined) {
      ended = why;
      break;
    }
    await lease.check();
    const begin = performance.now();
    // Asked to stop while it waits for shards, it keeps what it reached.
    const batch = await feed.next().catch((error: unknown) => {
      lease.lost.throwIfAborted();
      if (signal?.aborted) return undefined;
      throw error;
    });
    if (batch === undefined) {
      ended = "signal";
      break;
    }
    const waited = (performance.now() - begin) / 1000;
    if (last === undefined) judge = await run.findJudge();
    last = batch;
    const figures = takeStep(encoder, batch, settings);
    if ("broken" in figures) return journal.fail(batch, encoder.weights, figures.broken);
    step = batch.plan.step;
    average.add(step);
    const seconds = (performance.now() - begin) / 1000;
    const entry: HistoryEntry = { step, ...figures, seconds, waited };
    journal.entries.push(entry);
    plateau.add(entry.loss);
    onStep?.(entry);
    if (step % checkpointEvery === 0 && step < steps) {
      await keep(run, judge, batch, false);
      saved = step;
    }
    // A step blocks the event loop: let signals, and what reads the next mini-batches, have their turns.
    for (let turn = 0; turn < TURNS; turn++) await setImmediate();
  }
  if (last !== undefined && step > saved) await keep(run, judge, last, true);
  return { step, ended };
}

/** Judges the weights and writes a checkpoint of them, unless they no longer embed. @param end whether the session ends */
async function keep(
  { options, journal, encoder, average }: Run,
  judge: Judge | undefined,
  batch: MiniBatch,
  end: boolean,
): Promise<void> {
  const { step, rows } = batch.plan;
  const anchors = batch.tiles.filter((_, row) => rows[row]?.sample === 0);
  const { heldout, weights } = await average.during(async () => {
    const heldout = await judge?.measure(encoder);
    if (![...encoder.embed(anchors), heldout?.loss ?? 0].every(Number.isFinite))
      await journal.fail(batch, encoder.weights, "the weights after it no longer embed");
    return { heldout, weights: new Map(encoder.weights) };
  });
  const entry = journal.entries.at(-1);
  if (entry !== undefined && heldout !== undefined) {
    entry.heldout = heldout;
    options.onJudged?.(entry);
  }
  await journal.checkpoint(step, weights, average.optimizer(encoder.moments), end);
}
