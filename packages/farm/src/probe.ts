import { resolve } from "node:path";
import {
  type CheckpointChoice,
  distanceM,
  FarmError,
  OSM_ATTRIBUTION,
  type Place,
  Purpose,
  randomOf,
  TILE_RADIUS_M,
  withinBox,
} from "@loc2vec/core";
import { embeddingSize } from "@loc2vec/encoder";
import { type Contestant, describeAll, disposeAll, labelsOfPoints, makeProbed } from "@loc2vec/evaluation";
import { countTags, describeBad, type LabelColumn, type Profile, readLabels } from "@loc2vec/gis";
import {
  blocksOf,
  candidatesFor,
  chooseTargets,
  type Described,
  describeLeftOut,
  drawRows,
  type Judgement,
  judge,
  type Labelled,
  learn,
  planLesson,
  type SavedProbe,
  saveProbe,
  type Targets,
  writeReport,
} from "@loc2vec/probe";
import { createRasterizer } from "@loc2vec/rasterizer";
import { openDataset } from "@loc2vec/shards";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { type Checkpoint, checkCartography, openCheckpoint, openTiles } from "@loc2vec/trainer";
import { drawAnchors } from "./anchors.ts";
import type { FarmContext } from "./context.ts";
import { currentSource } from "./dataset.ts";

export interface ProbeSettings {
  /** Path of a file of points. */
  labels: string;
  column: string;
  /** Whether the natural logarithm of a column of numbers is learned. */
  isLogarithm: boolean;
  model: string;
  checkpoint?: CheckpointChoice | undefined;
  /** Takes places and tiles from it; without, each labelled place is drawn. */
  dataset?: string | undefined;
  /** Of a data set's locations: points farther away do not label them, metres. */
  within: number;
  /** Rows that cannot be used, or lie beyond the map, and are left out at most. */
  skipBad: number;
  /** Rows that are drawn of all, at most. */
  limit: number;
  blockM: number;
  borderM: number;
  folds: number;
  seeds: number;
  /** Labels that are learned from, at most. */
  most: number;
  seed: number;
  /** Name that the probe is saved under. */
  save?: string | undefined;
  /** Folder of the page. */
  out: string;
}

/** What a probe found. */
export interface ProbeOutcome {
  /** `price of lodging.csv` */
  meaning: string;
  model: string;
  step: number;
  kind: LabelColumn["kind"];
  /** Rows that were judged, and the different places that they lie at. */
  rows: number;
  places: number;
  classes?: Record<string, number>;
  left_out: { name: string; rows: number; blocks: number }[];
  judgement: Omit<Judgement, "told">;
  files: string[];
  /** Key of the saved probe in the store. */
  saved?: string;
}

/** Objects of the map that count as being at a place, metres. */
const TAGS_WITHIN_M = 100;
/** Tiles that pixels' axes and words are found with. */
const FIT = 400;

/**
 * How well labels are told by a model's vectors, beside rivals, on ground that was not learned from; writes a page of it, and
 * the probe, if it is to be saved.
 *
 * @throws FarmError `input` for labels that cannot be judged: too few, of one class, beyond the map, without ground enough
 */
export async function probe(
  context: FarmContext,
  databaseUrl: string,
  settings: ProbeSettings,
): Promise<ProbeOutcome> {
  const { log, signal } = context;
  const { column, model, folds, blockM, seed } = settings;
  const profile = await context.profile();
  const checkpoint = await openCheckpoint(context.store(), model, settings.checkpoint);
  const read = await readLabels(settings.labels, column, {
    ...{ logarithm: settings.isLogarithm, skipBad: settings.skipBad, signal },
  });
  if (read.bad.count > 0)
    log(`left out: ${describeBad(read.file, read.bad, read.points.length + read.bad.count)}`);
  const origin = `${read.file}, column ${column}`;
  const found = await (settings.dataset === undefined
    ? findOnMap(context, databaseUrl, profile, checkpoint, read, settings)
    : findInDataset(context, settings.dataset, checkpoint, read, settings));
  try {
    const blockOf = blocksOf(found.labelled.points, blockM, seed);
    const { rows, targets, leftOut } = chooseTargets(found.labelled, { blockOf, folds, origin });
    if (leftOut.length > 0) log(`probe: left out: ${describeLeftOut(leftOut)}`);
    const places = rows.map((row) => found.labelled.points[row] as Place);
    const { ours, rivals } = await describe(
      context,
      databaseUrl,
      profile,
      checkpoint,
      found,
      places,
      settings,
    );
    log(`probe: ${rows.length} labels, ${folds} folds, ${settings.seeds} seeds`);
    const shown = context.progress({ label: "probe", total: folds * settings.seeds, unit: "folds" });
    const judgement = await judge(ours, rivals, places, targets, {
      ...settings,
      signal,
      progress: (done) => shown.update(done),
    });
    shown.finish();
    const meaning = `${read.isLogarithm ? "logarithm of " : ""}${column} of ${read.file}`;
    const { told: _, ...kept } = judgement;
    const files = await writeReport(resolve(settings.out), {
      ...{ meaning, judgement, places, targets, attribution: OSM_ATTRIBUTION },
      facts: [
        ["model", `${model}, step ${checkpoint.step}`],
        ["labels", `${rows.length}, at ${distinct(places).places.length} places`],
        ["blocks of ground", `${blockM} m, border ${settings.borderM} m`],
        ["folds", `${folds}, ${settings.seeds} seeds`],
        ...(targets.classes === undefined ? [] : [["classes", targets.classes.join(", ")] as const]),
        ...(leftOut.length === 0 ? [] : [["left out", describeLeftOut(leftOut)] as const]),
      ],
    });
    const saved =
      settings.save === undefined
        ? undefined
        : await saveProbe(
            context.store(),
            makeSaved(
              { ...settings, save: settings.save },
              { meaning, read, checkpoint, judgement, ours, places, targets },
            ),
          );
    return {
      ...{ meaning, model, step: checkpoint.step, kind: read.kind },
      ...{ rows: rows.length, places: distinct(places).places.length, left_out: leftOut },
      ...(targets.classes && { classes: countsOf(targets) }),
      ...{ judgement: kept, files },
      ...(saved !== undefined && { saved }),
    };
  } finally {
    await found.close();
  }
}

const countsOf = ({ classes = [], values }: Targets): Record<string, number> =>
  Object.fromEntries(classes.map((name, code) => [name, values.filter((value) => value === code).length]));

/** Labelled places, and what draws them or has drawn them. */
interface Found {
  labelled: Labelled;
  dataset: { channels: readonly string[]; pixels: number };
  /** Tiles of places, planar uint8 [channel, y, x] each. */
  read(places: readonly Place[]): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** Draws some of the rows, so that a long list can be tried in short time. */
function limited<T>(points: readonly T[], limit: number, seed: number): T[] {
  return drawRows([...points.keys()], limit, seed, 1).map((row) => points[row] as T);
}

function labelledOf(read: LabelColumn, points: LabelColumn["points"]): Labelled {
  return { kind: read.kind, points } as Labelled;
}

/** Labelled points where they are; the map is drawn there as the model's training drew it. */
async function findOnMap(
  context: FarmContext,
  databaseUrl: string,
  profile: Profile,
  checkpoint: Checkpoint,
  read: LabelColumn,
  { model, skipBad, limit, seed }: ProbeSettings,
): Promise<Found> {
  const { map, source } = await currentSource(context, databaseUrl, profile);
  checkCartography(model, checkpoint.settings, { name: `(drawn from ${map.pbf})`, source });
  // A tile beside the map still shows some of it.
  const isInside = (point: Place): boolean => withinBox(map.bbox, point, TILE_RADIUS_M);
  const inside = read.points.filter(isInside);
  const beyond = read.points.length - inside.length;
  if (beyond > skipBad || inside.length === 0) {
    const first = read.points.find((point) => !isInside(point)) as Place;
    throw new FarmError(
      "input",
      `${read.file}: ${beyond} of ${read.points.length} labelled points lie beyond the map ${map.pbf} (${map.bbox.map((degrees) => degrees.toFixed(4)).join(", ")}), the first at lon ${first.lon}, lat ${first.lat}`,
      inside.length === 0
        ? "import the map of that ground"
        : `import a larger map, or leave them out: --skip-bad ${beyond}`,
    );
  }
  if (beyond > 0) context.log(`probe: left out: ${beyond} points beyond the map ${map.pbf}`);
  const rasterizer = await createRasterizer({
    ...{ databaseUrl, profile, kind: context.config.renderer, outside: "empty" },
  });
  const { channels } = profile;
  return {
    labelled: labelledOf(read, limited(inside, limit, seed) as LabelColumn["points"]),
    dataset: { channels: channels.map(({ name }) => name), pixels: checkpoint.settings.architecture.pixels },
    read: (places) => drawAnchors(rasterizer, places),
    close: () => rasterizer.close(),
  };
}

/** A data set's locations, each with the label of the nearest point; their tiles are there. */
async function findInDataset(
  context: FarmContext,
  name: string,
  checkpoint: Checkpoint,
  read: LabelColumn,
  { model, column, within, limit, seed }: ProbeSettings,
): Promise<Found> {
  const reader = await openDataset(context.store(), name);
  const { dataset } = reader;
  checkCartography(model, checkpoint.settings, dataset);
  const { lon, lat } = await reader.locations(0, dataset.locations);
  const all = Array.from(lon, (each, i) => ({ lon: each, lat: lat[i] as number, location: i }));
  const about = { name: column, meaning: column, origin: `${read.file}, column ${column}`, withinM: within };
  const labels = await labelsOfPoints(read, about).of(all);
  const points = all.flatMap((place, i) => {
    const label = labels[i];
    return label === undefined ? [] : [{ ...place, label }];
  });
  const tiles = openTiles(reader);
  const locationOf = new Map(points.map((point) => [keyOf(point), point.location]));
  return {
    labelled: labelledOf(read, limited(points, limit, seed) as unknown as LabelColumn["points"]),
    dataset,
    read: (places) =>
      tiles.read(places.map((place) => ({ location: locationOf.get(keyOf(place)) as number, sample: 0 }))),
    close: async () => {},
  };
}

const keyOf = ({ lon, lat }: Place): string => `${lon} ${lat}`;

/** Places without those that are there already; many labels may lie at one. @returns row of each among the places, too */
function distinct(all: readonly Place[]): { places: Place[]; rowOf: number[] } {
  const rows = new Map<string, number>();
  const places: Place[] = [];
  const rowOf = all.map((place) => {
    const key = keyOf(place);
    const row = rows.get(key) ?? places.length;
    if (row === places.length) {
      rows.set(key, row);
      places.push(place);
    }
    return row;
  });
  return { places, rowOf };
}

/** Has the model and its rivals describe each row's place; each place is drawn once. */
async function describe(
  context: FarmContext,
  databaseUrl: string,
  profile: Profile,
  checkpoint: Checkpoint,
  found: Found,
  all: readonly Place[],
  { model, seed }: ProbeSettings,
): Promise<{ ours: Described; rivals: Described[] }> {
  const { signal, log } = context;
  const { places, rowOf } = distinct(all);
  const entry = {
    ...{ tensorflow: await loadTensorflow(), models: [model], checkpoints: [checkpoint], seed },
    dataset: { channels: [...found.dataset.channels], pixels: found.dataset.pixels },
  };
  log(`probe: ${places.length} places are drawn and described`);
  const fit = randomOf(seed, Purpose.probe, 5)
    .shuffle([...places])
    .slice(0, FIT);
  const contestants = await makeProbed(entry, await found.read(fit));
  const rows = places.map((_, location) => ({ location, sample: 0 }));
  const shown = context.progress({ label: "describe", total: places.length, unit: "places" });
  const vectors = await describeAll(
    contestants.map(({ representation }) => representation),
    { read: (wanted) => found.read(wanted.map(({ location }) => places[location] as Place)) },
    rows,
    { signal, progress: (done) => shown.update(done) },
  );
  shown.finish();
  await disposeAll(contestants);
  const named = (name: string, size: number, data: ArrayLike<number>): Described => {
    const spread = new Float32Array(rowOf.length * size);
    for (const [row, place] of rowOf.entries())
      for (let k = 0; k < size; k++) spread[row * size + k] = data[place * size + k] as number;
    return { name, size, data: spread };
  };
  const [ours, ...others] = contestants.map(({ representation, kind }: Contestant, at) =>
    named(kind === "model" ? "ours" : representation.name, representation.size, vectors[at] as Float32Array),
  );
  const { tags, counts } = await countTags({ databaseUrl, profile, places, withinM: TAGS_WITHIN_M, signal });
  return {
    ours: ours as Described,
    rivals: [
      named("coordinates", 2, metresOf(places)),
      // Of counts, the step from none to one says more than that from ten to eleven.
      named(`tags within ${TAGS_WITHIN_M} m`, tags.length, counts.map(Math.log1p)),
      ...others,
    ],
  };
}

/** Kilometres to the east and the north of the first place, one after the other. */
function metresOf(places: readonly Place[]): Float64Array {
  const origin = places[0] as Place;
  return Float64Array.from(
    places.flatMap(({ lon, lat }) => [
      (Math.sign(lon - origin.lon) * distanceM({ lon, lat }, { lon: origin.lon, lat })) / 1000,
      (Math.sign(lat - origin.lat) * distanceM({ lon: origin.lon, lat }, origin)) / 1000,
    ]),
  );
}

/** Learns from all rows, as they were judged, what is written down. */
function makeSaved(
  { save, model, blockM, borderM, seed }: ProbeSettings & { save: string },
  made: {
    meaning: string;
    read: LabelColumn;
    checkpoint: Checkpoint;
    judgement: Judgement;
    ours: Described;
    places: readonly Place[];
    targets: Targets;
  },
): SavedProbe {
  const { checkpoint, judgement, ours, places, targets } = made;
  const rows = drawRows([...places.keys()], MOST_SAVED, seed, 2);
  const plan = planLesson(places, rows, { blockM, borderM }, seed);
  const { learner, fitted, prior } = learn(ours, targets, plan, candidatesFor(targets.classes?.length));
  const point = judgement.results[0]?.curve.at(-1);
  const [name, score] = Object.entries(point?.scores ?? {})[0] ?? [];
  if (point === undefined || name === undefined || score === undefined)
    throw new FarmError("internal", "a judgement without scores", "report it");
  return {
    ...{ version: 1, name: save, meaning: made.meaning, model },
    ...{ weights_sha256: checkpoint.weightsSha256, size: embeddingSize(checkpoint.settings.architecture) },
    ...(targets.classes && { classes: [...targets.classes] }),
    ...(prior && { prior }),
    ...{ is_logarithm: made.read.isLogarithm, labels: rows.length, learner, fitted },
    score: { name, labels: point.labels, ...score },
  };
}

/** Labels that a saved probe learns from, at most. */
const MOST_SAVED = 5000;
