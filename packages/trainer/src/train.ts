import { setTimeout as sleep } from "node:timers/promises";
import {
  apartM,
  checkName,
  DEFAULT_HOLDOUT,
  describeIdentity,
  distanceM,
  FarmError,
  type Holdout,
  type Place,
  sameDataset,
  shardCount,
} from "@loc2vec/core";
import {
  ADAM,
  type AdamState,
  adamStep,
  countParameters,
  createEncoder,
  DROPOUT,
  type Dropout,
  describeNetwork,
  embeddingSize,
  encodeSafetensors,
  initialWeights,
  LOSSES,
  type LossName,
  networkOf,
  type Precision,
  precisionOn,
  storedArchitecture,
  structureOf,
  type Weights,
} from "@loc2vec/encoder";
import { type DatasetReader, listShards, type ObjectStore, openDataset } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import {
  type BatchPlan,
  type BatchShape,
  type EmptyTiles,
  isUsable,
  keepDrawn,
  planBatches,
} from "./batches.ts";
import { type Judge, openJudge } from "./heldout.ts";
import { openHistory } from "./history.ts";
import { acquireLease, type Lease } from "./lease.ts";
import {
  type Best,
  type HistoryEntry,
  json,
  keepBest,
  modelPrefix,
  readResumable,
  removeCheckpoint,
  type Settings,
  storedSettings,
  writeCheckpoint,
} from "./model.ts";
import { chooseMinDistance, splitPlaces, warnOfBatches, warnOfHoldout } from "./overlap.ts";
import { readRanges, writeRanges } from "./ranges.ts";
import { findEmptyTiles, openTiles } from "./tiles.ts";

/** Mini-batches that are read while others are trained: a step blocks the event loop, so one is not enough to keep ahead. */
const PREFETCH = 5;
/** Of the event loop between two steps, a millisecond each: reading a shard takes some. */
const TURNS = 4;
/** Between looks for a shard that is not there yet. */
const WAIT_MS = 2000;

/**
 * Beyond these a training has exploded, whatever its loss says, which SoftPN keeps within 0 and 1. Healthy ones have mean
 * distances of a few units and gradients of norms below ten.
 */
export const LIMITS = { distance: 1000, gradientNorm: 10_000 } as const;

export interface TrainOptions {
  store: ObjectStore;
  dataset: string;
  model: string;
  /** To train up to, all sessions together. */
  steps: number;
  seed?: number | undefined;
  /** Default 20 locations × 5 pairs, 100 triplets. */
  batch?: BatchShape | undefined;
  /** Default `softpn`. */
  loss?: LossName | undefined;
  /** What distances are multiplied by in the loss. Default 1. */
  distanceScale?: number | undefined;
  /** Of Adam. Default 0.001. */
  learningRate?: number | undefined;
  /** Steps over which the learning rate rises to its height. Default 0. */
  warmup?: number | undefined;
  /** Steps after which the learning rate halves, again and again. Default 0: never. */
  halveEvery?: number | undefined;
  /** Ends the training when the mean loss of 50 steps has not been lower than before for so many steps. */
  patience?: number | undefined;
  /** Ends this session after so many seconds, with a checkpoint; called again, it goes on. */
  maxSeconds?: number | undefined;
  /** What a step computes in. Default `auto`: what suits the device where the training begins; it goes on in that. */
  precision?: Precision | undefined;
  dropout?: Dropout | undefined;
  /** The encoder's network, as {@link networkOf} reads it: a name, layers, or Loc2Vec's kind in short. Default `paper`. */
  network?: unknown;
  /** What becomes of tiles without a drawn pixel. Default `skip`: they are never trained on. */
  empty?: "skip" | "keep" | undefined;
  /**
   * Begins while shards are still being rendered: the first epoch takes them in their order, and waits for those that are
   * not there yet. Default false: it draws from those that are there.
   */
  early?: boolean | undefined;
  /**
   * Locations nearer to one another than this, metres, are never in one mini-batch: their tiles overlap, so one would be a
   * false negative of the other. Default: two footprints (510 m), from where on nothing overlaps, or on a map too small for
   * that, what {@link chooseMinDistance} finds; 0 for none.
   */
  minDistanceM?: number | undefined;
  /** What is kept from training, to evaluate on. Default {@link DEFAULT_HOLDOUT}, with a border of two footprints. */
  holdout?: { [K in keyof Holdout]?: Holdout[K] | undefined } | undefined;
  /** How long to wait for another training of this model to end, or to be found dead, milliseconds. Default 0. */
  busyMs?: number | undefined;
  /** Another process may train the model when it has heard nothing of this one for twice so long, milliseconds. Default 45,000. */
  leaseMs?: number | undefined;
  /** Called once when it waits for shards, and when it goes on. */
  onWait?: (waiting: boolean) => void;
  /** Steps between checkpoints. Default 100. */
  checkpointEvery?: number | undefined;
  /** Writes a checkpoint and ends. */
  signal?: AbortSignal | undefined;
  /** Called before the first step, with what was trained before. */
  onStart?: (history: readonly HistoryEntry[]) => void;
  onStep?: (entry: HistoryEntry) => void;
  /** Called at checkpoints with the step's entry, which now has figures of held-out locations, where there are any. */
  onJudged?: (entry: HistoryEntry) => void;
  /** Something that the training goes on with: a damaged checkpoint, tiles that overlap. */
  onWarning?: (line: string) => void;
}

export interface TrainResult {
  /** Reached, all sessions together. */
  step: number;
  parameters: number;
  /** The step that this session went on from; 0 for a new model. */
  resumedFrom: number;
  interrupted: boolean;
  /** Why it ended: all steps were done, the signal was given, its time was over, or the loss no longer fell. */
  ended: "steps" | "signal" | "time" | "plateau";
  /** The checkpoint that is used unless another one is named, and what it was chosen by. */
  best: Best | undefined;
  /** Locations left out because their anchor, or too many of their positives, are empty; and all empty tiles. */
  skippedLocations: number;
  emptyTiles: number;
  history: HistoryEntry[];
}

/**
 * Trains an encoder on a data set, from where the model's last checkpoint stands. Each image of a mini-batch passes the
 * network once, however many triplets it is part of.
 *
 * @throws FarmError `data` when the model was trained with other settings or is being trained by another process, or a
 *   shard is damaged or gone; `input` when too little is rendered; `missing` without TensorFlow, or without one that
 *   computes as the model was begun
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { store, model, steps, leaseMs, busyMs, signal } = options;
  if (!Number.isInteger(steps) || steps < 1)
    throw new FarmError("usage", `cannot train ${steps} steps`, "1 or more");
  checkName("model", model);
  const reader = await openDataset(store, options.dataset);
  const lease = await acquireLease(store, `${modelPrefix(model)}/lease`, {
    ...{ what: `model ${model}`, purpose: "training", leaseMs, waitMs: busyMs, signal },
    onWait: options.onWarning,
  });
  try {
    return await trainAlone(options, reader, lease);
  } finally {
    await lease.release();
  }
}

/** {@link train}, while nobody else trains the model. */
async function trainAlone(options: TrainOptions, reader: DatasetReader, lease: Lease): Promise<TrainResult> {
  const { store, model, steps, checkpointEvery = 100, early = false, signal, onStep, onWait } = options;
  const { dataset } = reader;
  const damaged: number[] = [];
  const before = await readResumable(store, model, (at, reason) => {
    damaged.push(at);
    options.onWarning?.(`checkpoint ${at} is damaged, an older one is used: ${reason}`);
  });
  const there = await listShards(store, dataset);
  const fresh = early ? [...Array(shardCount(dataset)).keys()] : [...there].sort((a, b) => a - b);
  /** Others may have been rendered since the training began: with them the mini-batches would be others. */
  const shards = before ? readRanges(before.settings.shards) : fresh;
  const precision = options.precision ?? "auto";
  const { locations, pairs, negatives = 1 } = options.batch ?? { locations: 20, pairs: 5 };
  const apart = apartM(dataset.radius, dataset.augmentation.maxOffset);
  const holdout: Holdout = {
    share: options.holdout?.share ?? DEFAULT_HOLDOUT.share,
    cellM: options.holdout?.cellM ?? DEFAULT_HOLDOUT.cellM,
    borderM: options.holdout?.borderM ?? apart,
  };
  const { lon, lat } = await reader.locations(0, dataset.locations);
  const placeOf = (i: number): Place => ({ lon: lon[i] as number, lat: lat[i] as number });
  const split = splitPlaces(
    dataset.seed,
    Array.from(lon, (_, i) => placeOf(i)),
    holdout,
  );
  const trainable = split.places("train");
  const settings: Settings = {
    dataset: reader.identity,
    channels: dataset.channels,
    architecture: {
      channels: dataset.channels.length,
      pixels: dataset.pixels,
      layers: networkOf(options.network ?? "paper"),
    },
    seed: options.seed ?? 0,
    batch: { locations, pairs, negatives },
    loss: options.loss ?? "softpn",
    distanceScale: options.distanceScale ?? 1,
    learningRate: options.learningRate ?? ADAM.learningRate,
    schedule: { warmup: options.warmup ?? 0, halveEvery: options.halveEvery ?? 0 },
    precision:
      precision === "auto" && before
        ? before.settings.precision
        : precisionOn(await loadTensorflow(), precision),
    dropout: options.dropout ?? DROPOUT,
    empty: options.empty ?? "skip",
    shards: writeRanges(shards),
    early,
    minDistanceM: options.minDistanceM ?? chooseMinDistance(trainable, locations, apart),
    holdout,
  };
  const { architecture, batch: shape, seed, dropout } = settings;
  const parameters = countParameters(architecture);
  const resumedFrom = before?.step ?? 0;
  if (before) checkSame(store, model, before.settings, settings);
  const gone = early ? [] : shards.filter((shard) => !there.has(shard));
  if (gone.length > 0) {
    throw new FarmError(
      "data",
      `data set ${dataset.name} in ${store.url}: of the shards that model ${model} is trained on, ${writeRanges(gone)} ${gone.length === 1 ? "is" : "are"} gone`,
      `pnpm farm:verify --dataset ${dataset.name} --repair has them rendered again; or train under another name`,
    );
  }
  const kept = await openHistory(store, model, resumedFrom);
  const history = kept.entries;
  let best: Best | undefined;
  const chooseBest = async (step: number): Promise<void> => {
    const lately = history.slice(-checkpointEvery);
    const loss = lately.reduce((sum, each) => sum + each.loss, 0) / lately.length;
    const heldout = history.at(-1)?.heldout;
    best = await keepBest(store, model, { step, loss, ...(heldout && { heldout }) }, (reason) =>
      options.onWarning?.(`${reason}; it is written anew`),
    );
  };
  // A training that was killed may have written its last checkpoint, and not yet whether that is the best.
  if (resumedFrom > 0 && history.length > 0) await chooseBest(resumedFrom);
  const summarize = async (step: number): Promise<void> => {
    await lease.confirm();
    await store.put(
      `${modelPrefix(model)}/model.json`,
      json({ version: 1, step, parameters, settings: storedSettings(settings) }),
    );
  };
  const present = shards.filter((shard) => there.has(shard));
  const empty = await findEmptyTiles(reader, present);
  const skips = settings.empty === "skip";
  const found = {
    skippedLocations: skips
      ? [...empty.values()].filter((each) => !isUsable(dataset.samples - 1, shape.pairs, each)).length
      : 0,
    emptyTiles: [...empty.values()].reduce((sum, { size }) => sum + size, 0),
  };
  if (resumedFrom >= steps) {
    await summarize(resumedFrom);
    return {
      step: resumedFrom,
      parameters,
      resumedFrom,
      interrupted: false,
      ended: "steps",
      best,
      ...found,
      history,
    };
  }
  const wait = async (): Promise<void> => {
    onWait?.(true);
    await sleep(WAIT_MS, undefined, { signal: AbortSignal.any([lease.lost, ...(signal ? [signal] : [])]) });
  };
  const known = new Set(present);
  const look = async (few: readonly number[]): Promise<EmptyTiles> => {
    const late = few.filter((shard) => !known.has(shard));
    for (const [location, samples] of await findEmptyTiles(reader, late, wait)) empty.set(location, samples);
    for (const shard of late) known.add(shard);
    if (late.length > 0) onWait?.(false);
    return skips ? empty : new Map();
  };
  const { minDistanceM } = settings;
  for (const line of [
    ...warnOfHoldout(split, holdout, apart),
    ...warnOfBatches(trainable, locations, minDistanceM, apart),
  ])
    options.onWarning?.(line);
  const plans = planBatches(dataset, shards, shape, seed, {
    first: resumedFrom + 1,
    early,
    look,
    eligible: holdout.share > 0 ? (i) => split.partOf(i) === "train" : undefined,
    apart: minDistanceM > 0 ? (a, b) => distanceM(placeOf(a), placeOf(b)) >= minDistanceM : undefined,
  });
  const tensorflow = await loadTensorflow();
  const ofDevice = precisionOn(tensorflow, precision);
  if (ofDevice !== settings.precision) {
    options.onWarning?.(
      `model ${model} began in ${settings.precision} precision and goes on in it; this device would choose ${ofDevice}`,
    );
  }
  const encoder = createEncoder(
    tensorflow,
    architecture,
    before?.weights ?? initialWeights(architecture, seed),
    { precision: settings.precision },
  );
  const state: AdamState = new Map(before?.optimizer);
  const tiles = openTiles(reader);
  const fetchNext = async (): Promise<Fetched> => {
    const plan = (await plans.next()).value;
    const images = await tiles.read(plan.rows);
    return { plan: { ...plan, channelsOn: keepDrawn(plan, images, seed) }, tiles: images };
  };
  /** Keeps what led to a failure, and the history so far. */
  const fail = async ({ plan, tiles: images }: Fetched, reason: string): Promise<never> => {
    await lease.confirm();
    await saveFailure(store, model, plan, images, encoder.weights, reason);
    await kept.save(true);
    throw new FarmError(
      "data",
      `model ${model}, step ${plan.step}: ${reason}; its mini-batch and weights are kept in ${failurePrefix(model, plan.step)}`,
      "train anew with a lower --learning-rate, or with --warmup",
    );
  };
  let judge: Judge | undefined;
  /** Not before the first mini-batch is there: then an early training has the shards that it is judged by, too. */
  const findJudge = async (): Promise<void> => {
    const given = { shards, settings, split, placeOf, emptyByLocation: empty };
    const opened = await openJudge(reader, given);
    if (typeof opened !== "string") judge = opened;
    else options.onWarning?.(`${opened}: the best checkpoint is that of the lowest mean loss`);
  };
  /** The history first: a checkpoint without it would leave a hole in the curve. */
  const save = async (step: number, last: Fetched, end: boolean): Promise<void> => {
    const anchors = last.tiles.filter((_, row) => last.plan.rows[row]?.sample === 0);
    const heldout = await judge?.measure(encoder);
    if (![...encoder.embed(anchors), heldout?.loss ?? 0].every(Number.isFinite))
      await fail(last, "the weights after it no longer embed");
    const entry = history.at(-1);
    if (entry !== undefined && heldout !== undefined) {
      entry.heldout = heldout;
      options.onJudged?.(entry);
    }
    await lease.confirm();
    await kept.save(end);
    await writeCheckpoint(store, model, {
      step,
      settings,
      weights: encodeSafetensors(encoder.weights, {
        step: String(step),
        architecture: JSON.stringify(storedArchitecture(architecture)),
      }),
      optimizer: encodeSafetensors(state),
    });
    await chooseBest(step);
    for (const each of damaged.splice(0)) if (each !== step) await removeCheckpoint(store, model, each);
  };
  options.onStart?.(history);
  const started = performance.now();
  const whyEnd = (): TrainResult["ended"] | undefined => {
    if (signal?.aborted) return "signal";
    const { patience, maxSeconds } = options;
    if (maxSeconds !== undefined && performance.now() - started > 1000 * maxSeconds) return "time";
    return patience !== undefined && plateau.length() >= patience ? "plateau" : undefined;
  };
  const plateau = watchPlateau();
  for (const { loss } of history) plateau.add(loss);
  let ended: TrainResult["ended"] = "steps";
  let step = resumedFrom;
  let saved = resumedFrom;
  let last: Fetched | undefined;
  const ahead: Promise<Fetched>[] = [];
  let asked = resumedFrom;
  const ask = (): void => {
    for (; ahead.length < PREFETCH && asked < steps; asked++) {
      const next = fetchNext();
      next.catch(() => {}); // awaited at its turn
      ahead.push(next);
    }
  };
  try {
    ask();
    while (ahead.length > 0) {
      const why = whyEnd();
      if (why !== undefined) {
        ended = why;
        break;
      }
      await lease.check();
      const begin = performance.now();
      // Asked to stop while it waits for shards, it keeps what it reached.
      const fetched = await (ahead.shift() as (typeof ahead)[number]).catch((error: unknown) => {
        lease.lost.throwIfAborted();
        if (signal?.aborted) return undefined;
        throw error;
      });
      if (fetched === undefined) {
        ended = "signal";
        break;
      }
      const { plan, tiles: images } = fetched;
      const waited = (performance.now() - begin) / 1000;
      ask();
      if (last === undefined) await findJudge();
      last = fetched;
      let measured = { loss: 0, positive: 0, negative: 0, accuracy: 0 };
      const { gradients, statistics } = encoder.gradients(
        { tiles: images, channelsOn: plan.channelsOn, seed, step: plan.step, dropout },
        (embeddings) => {
          const { gradient, ...result } = LOSSES[settings.loss].compute(
            embeddings,
            embeddingSize(architecture),
            structureOf(plan.rows, plan.triplets),
            { scale: settings.distanceScale },
          );
          measured = result;
          return gradient;
        },
      );
      const learningRate = settings.learningRate * rateAt(settings.schedule, plan.step);
      const figures = { ...measured, gradientNorm: normOf(gradients.values()), learningRate };
      const exploded = explosion(figures);
      if (exploded !== undefined) await fail(fetched, exploded);
      const updated = adamStep(encoder.weights, gradients, state, plan.step, { ...ADAM, learningRate });
      for (const [name, { data }] of [...updated, ...statistics])
        if (!allFinite(data)) await fail(fetched, `${name} would no longer be finite`);
      encoder.update(updated);
      encoder.update(statistics);
      step = plan.step;
      const entry: HistoryEntry = {
        step,
        ...figures,
        seconds: (performance.now() - begin) / 1000,
        waited,
      };
      history.push(entry);
      plateau.add(entry.loss);
      onStep?.(entry);
      if (step % checkpointEvery === 0 && step < steps) {
        await save(step, fetched, false);
        saved = step;
      }
      // A step blocks the event loop: let signals, and what reads the next mini-batches, have their turns.
      for (let turn = 0; turn < TURNS; turn++) await sleep(1);
    }
    if (last !== undefined && step > saved) await save(step, last, true);
  } finally {
    encoder.dispose();
  }
  if (step > 0) await summarize(step);
  return { step, parameters, resumedFrom, interrupted: ended === "signal", ended, best, ...found, history };
}

/** What the learning rate is multiplied by. */
export function rateAt({ warmup, halveEvery }: Settings["schedule"], step: number): number {
  const rise = warmup > 0 ? Math.min(1, step / warmup) : 1;
  return rise * (halveEvery > 0 ? 0.5 ** (Math.max(0, step - warmup) / halveEvery) : 1);
}

/** What shows that the training has exploded; undefined while it has not. */
export function explosion(
  entry: Pick<HistoryEntry, "loss" | "positive" | "negative" | "gradientNorm">,
): string | undefined {
  if (!Number.isFinite(entry.loss)) return `the loss is ${entry.loss}`;
  for (const [what, value, limit] of [
    ["mean distance to positives", entry.positive, LIMITS.distance],
    ["mean distance to negatives", entry.negative, LIMITS.distance],
    ["norm of the gradients", entry.gradientNorm, LIMITS.gradientNorm],
  ] as const) {
    if (!((value ?? 0) <= limit)) return `the ${what} is ${value}, above ${limit}`;
  }
  return undefined;
}

function normOf(arrays: Iterable<Float32Array>): number {
  let sum = 0;
  for (const array of arrays) for (let i = 0; i < array.length; i++) sum += (array[i] as number) ** 2;
  return Math.sqrt(sum);
}

/** Whether all of them are: a sum of doubles takes up every NaN and infinity, and no floats overflow it. */
function allFinite(array: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < array.length; i++) sum += array[i] as number;
  return Number.isFinite(sum);
}

/** Steps whose mean loss is compared. */
const SMOOTH = 50;

/** Follows the mean loss of {@link SMOOTH} steps. */
function watchPlateau(): { add(loss: number): void; length(): number } {
  const lately: number[] = [];
  let [sum, best, at, count] = [0, Number.POSITIVE_INFINITY, SMOOTH, 0];
  return {
    add(loss) {
      count++;
      lately.push(loss);
      sum += loss - (lately.length > SMOOTH ? (lately.shift() as number) : 0);
      if (count >= SMOOTH && sum < best) [best, at] = [sum, count];
    },
    /** Steps since the mean was lowest. */
    length: () => count - at,
  };
}

/** Whether the lowest mean loss of {@link SMOOTH} steps lies `patience` steps back, or more. */
export function isPlateau(history: readonly Pick<HistoryEntry, "loss">[], patience: number): boolean {
  const plateau = watchPlateau();
  for (const { loss } of history) plateau.add(loss);
  return plateau.length() >= patience;
}

/** A mini-batch and its tiles. */
interface Fetched {
  plan: BatchPlan;
  /** Planar uint8 [channel, y, x], in the order of the plan's rows. */
  tiles: Uint8Array[];
}

const failurePrefix = (model: string, step: number): string => `${modelPrefix(model)}/failures/step-${step}`;

/** Keeps what led to a failure: rows and triplets, tiles (uint8, one after the other) and weights. */
async function saveFailure(
  store: ObjectStore,
  model: string,
  { step, rows, triplets, channelsOn }: BatchPlan,
  tiles: readonly Uint8Array[],
  weights: Weights,
  reason: string,
): Promise<void> {
  const prefix = failurePrefix(model, step);
  await store.put(
    `${prefix}/batch.json`,
    json({ step, reason, rows, triplets, channelsOn: [...channelsOn] }),
  );
  await store.put(`${prefix}/tiles`, new Uint8Array(Buffer.concat(tiles)));
  await store.put(`${prefix}/weights.safetensors`, encodeSafetensors(weights));
}

function checkSame(store: ObjectStore, model: string, was: Settings, is: Settings): void {
  for (const field of Object.keys(is) as (keyof Settings)[]) {
    const [before, now] = [JSON.stringify(was[field]), JSON.stringify(is[field])];
    if (before === now) continue;
    if (field === "dataset" && sameDataset(was.dataset, is.dataset)) continue;
    const [had, has] =
      field === "architecture"
        ? [was, is].map(({ architecture }) => `the network ${describeNetwork(architecture.layers)}`)
        : field === "dataset"
          ? [was, is].map(({ dataset }) => describeIdentity(dataset))
          : [`${field} ${before}`, now];
    throw new FarmError(
      "data",
      `model ${model} in ${store.url} was trained with ${had}, not ${has}`,
      "train under another name, or with the same settings",
    );
  }
}
