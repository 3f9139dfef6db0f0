import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import type { Atlas } from "@loc2vec/atlas";
import { type Dataset, FarmError, formatDuration, type Location, OSM_ATTRIBUTION } from "@loc2vec/core";
import {
  atlas,
  currentSource,
  describeDataset,
  embed,
  enqueue,
  trainModel,
  withQueues,
  withServices,
  work,
} from "@loc2vec/farm";
import {
  checkOsmFile,
  ensureDatabase,
  fetchDemoMap,
  type ImportInfo,
  importPbf,
  type Profile,
  readImportInfo,
  sampleLocations,
} from "@loc2vec/gis";
import type { Services } from "@loc2vec/services";
import { listShards, shardKey } from "@loc2vec/shards";
import { openPretrained, PRETRAINED, type RecipeName, type TrainResult } from "@loc2vec/trainer";
import type { WorkerSummary } from "@loc2vec/worker";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { seedOption, whole } from "../options.ts";
import { recipeOption } from "../training-options.ts";
import { liveView } from "../training-view.ts";

/** Locations per shard of the demo: small, so that two workers have something to share. */
const SHARD_LOCATIONS = 32;

/** The recipe where none is named. */
const STANDARD: RecipeName = "best";

/** A small map is trained on as a whole. */
const WHOLE_MAP = { holdout: { share: 0 } };

interface DemoOptions {
  pbf?: string;
  locations: number;
  steps: number;
  recipe?: RecipeName;
  seed: number;
}

export const demo = defineCommand({
  usage: "demo",
  description: "one real city through every part",
  options: (command) =>
    command
      .option("--pbf <file>", "map to use instead of a small one that is fetched")
      .option("--locations <n>", "to sample", whole(20), 1000)
      .option("--steps <n>", "to train", whole(1), 150)
      .addOption(recipeOption("training: ", STANDARD))
      .addOption(seedOption("of all draws")),
  action: demoCommand,
});

/** Does a part of the demo: says its name, and keeps how long it took. */
type Stage = <T>(name: string, action: () => Promise<T>) => Promise<T>;

/** One real city through every part of the farm. Run again, it goes on where it stopped, or only draws the pictures anew. */
async function demoCommand(context: CommandContext, options: DemoOptions): Promise<void> {
  const { config, log, signal } = context;
  const seconds: Record<string, number> = {};
  const stage: Stage = async (name, action) => {
    signal.throwIfAborted();
    const begin = performance.now();
    log(`demo: ${name}`);
    const value = await action();
    seconds[name] = Number(((performance.now() - begin) / 1000).toFixed(2));
    return value;
  };
  const profile = await context.profile();
  const { pbf } = options;
  const map =
    pbf === undefined
      ? await stage("map", () => fetchDemoMap({ home: config.home, log }))
      : { path: resolve(pbf), name: nameOf(pbf) };
  await checkOsmFile(map.path); // before anything is started for it
  log(`demo: map data ${OSM_ATTRIBUTION}`);
  await withServices(context, ["redis", "database"], async (services) => {
    const databaseUrl = await demoDatabase(context, services);
    const drawn = { ...services, databaseUrl };
    const { dataset, pbf: name } = await describe(context, stage, drawn, map, profile, options);
    const worked = await render(context, stage, drawn, dataset);
    const bytes = await sizeOf(context, dataset);
    const learned = await learn(context, stage, dataset, options);
    tell(context, { map: name, dataset, worked, bytes, ...learned, seconds });
  });
}

interface DemoServices {
  redisUrl: string;
  databaseUrl: string;
}

interface Described {
  dataset: Dataset;
  /** Name of the map's file. */
  pbf: string;
}

/** Imports the map, samples locations, and queues a data set of them. */
async function describe(
  context: CommandContext,
  stage: Stage,
  services: DemoServices,
  map: { path: string; name: string },
  profile: Profile,
  { locations, seed }: DemoOptions,
): Promise<Described> {
  const { databaseUrl } = services;
  const { log, signal } = context;
  await checkForeign(context, databaseUrl, map.path);
  await stage("import", () =>
    importPbf({
      pbf: map.path,
      databaseUrl,
      profile,
      // What was done to the map, and not what osm2pgsql says.
      log: (line) => void (line.startsWith(map.path) && log(line)),
      signal,
    }),
  );
  const { map: info, source } = await currentSource(context, databaseUrl, profile);
  const sampled = await stage("locations", () =>
    sampleLocations({ databaseUrl, count: locations, seed, profile }),
  );
  // The name also stands for the cartography and the labels: an edited profile makes a data set of its own.
  const modes = profile.channels.flatMap(({ rules }) => rules.map(({ mode = "" }) => mode));
  const name = `${datasetName(map.name, info, [locations, seed, ...modes])}-${source.styleHash.slice(0, 6)}`;
  const chosen = { name, seed, positives: 20, shardLocations: SHARD_LOCATIONS };
  const dataset = describeDataset(profile, source, sampled.length, chosen);
  const read = async function* (): AsyncGenerator<Location> {
    yield* sampled;
  };
  await stage("enqueue", () =>
    withQueues(context, services, (queues) => enqueue(context, queues, dataset, read())),
  );
  return { dataset, pbf: info.pbf };
}

/** @throws FarmError `interrupted`, or `data` where jobs failed or are left */
async function render(
  context: CommandContext,
  stage: Stage,
  services: DemoServices,
  dataset: Dataset,
): Promise<WorkerSummary> {
  const options = { concurrency: 2, until: "empty", dataset: dataset.name } as const;
  const worked = await stage("render", () => work(context, services, options, tilesOf(dataset)));
  if (worked.interrupted)
    throw new FarmError(
      "interrupted",
      "demo: stopped while rendering",
      "run it again: it goes on from there",
    );
  if ((worked.failed ?? 0) > 0 || (worked.left ?? []).length > 0)
    throw new FarmError(
      "data",
      `demo: ${worked.failed} jobs failed${worked.left?.map(({ reason }) => `; ${reason}`).join("") ?? ""}`,
      `pnpm farm:status --dataset ${dataset.name} says why; pnpm farm:retry puts them back`,
    );
  return worked;
}

interface Learned {
  model: string;
  trained: TrainResult;
  index: string;
  pictures: readonly string[];
}

/** Whether the model that comes with the farm reads tiles of a cartography: an edited profile draws others. */
async function isKnown(styleHash: string): Promise<boolean> {
  const { settings } = await openPretrained();
  return [settings.dataset].flat()[0]?.source.styleHash === styleHash;
}

/** Draws the atlas of a model, in little time. */
function draw(context: CommandContext, dataset: string, model: string): Promise<Atlas> {
  // A model of the demo is named after its data set.
  const name = model.startsWith(dataset) ? model : `${dataset}-${model}`;
  const folder = join(context.config.home, "atlases", name);
  return atlas(context, { dataset, model, folder, effort: "quick" });
}

/** Draws the atlas of the model that comes with the farm. @returns the path of its page */
async function lookAt(context: CommandContext, dataset: string): Promise<string> {
  await embed(context, dataset, PRETRAINED);
  return (await draw(context, dataset, PRETRAINED)).index;
}

/** Shows what the model that comes with the farm makes of the city; then trains one, embeds with it, and draws its atlas. */
async function learn(
  context: CommandContext,
  stage: Stage,
  { name: dataset, source }: Dataset,
  { steps, recipe = STANDARD, seed }: DemoOptions,
): Promise<Learned> {
  const known = await isKnown(source.styleHash);
  if (known) {
    const look = await stage("first look", () => lookAt(context, dataset));
    context.log(`demo: places and their neighbours before any training here: ${look}`);
  }
  const model = `${dataset}-s${steps}${recipe === "paper" ? "" : `-${recipe}`}`;
  const view = liveView({ context, dataset: [dataset], model, steps });
  // Loc2Vec's network has other weights: it begins with drawn ones.
  const from = recipe === "paper" || !known ? "none" : PRETRAINED;
  const settings = { steps, recipe, from, seed, ...WHOLE_MAP };
  const trained = await stage("train", () => trainModel(context, dataset, model, settings, { view }));
  await stage("embed", () => embed(context, dataset, model));
  const { index, pictures } = await stage("atlas", () => draw(context, dataset, model));
  return { model, trained, index, pictures };
}

interface Outcome extends Learned {
  map: string;
  dataset: Dataset;
  worked: WorkerSummary;
  /** Size of all shards. */
  bytes: number;
  /** That each part took. */
  seconds: Readonly<Record<string, number>>;
}

function tell(context: CommandContext, outcome: Outcome): void {
  const { map, dataset, worked, bytes, model, trained, index, pictures, seconds } = outcome;
  const tiles = tilesOf(dataset);
  const [first, last] = [mean(trained.history.slice(0, 5)), mean(trained.history.slice(-5))];
  const result = {
    map,
    dataset: dataset.name,
    model,
    locations: dataset.locations,
    tiles,
    tilesPerSecond: worked.seconds > 0 ? worked.tiles / worked.seconds : 0,
    bytesPerTile: bytes / tiles,
    parameters: trained.parameters,
    steps: trained.step,
    lossFirst5: first,
    lossLast5: last,
    seconds,
    atlas: index,
    pictures: pictures.length,
    attribution: OSM_ATTRIBUTION,
  };
  context.result(result, [
    "",
    `${map}: ${result.locations} locations, ${tiles} tiles of 12 channels, ${result.bytesPerTile.toFixed(0)} bytes each`,
    `${result.parameters} parameters, ${result.steps} steps, loss ${first.toFixed(4)} in the first 5 steps, ${last.toFixed(4)} in the last 5`,
    Object.entries(seconds)
      .map(([what, took]) => `${what} ${formatDuration(took)}`)
      .join(", "),
    `pictures: ${index}`,
    `map data ${OSM_ATTRIBUTION}`,
  ]);
}

const tilesOf = ({ locations, samples }: Dataset): number => locations * samples;

function nameOf(pbf: string): string {
  const name = basename(pbf)
    .split(".")[0]
    ?.toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 24);
  return name || "map";
}

/** The same map, number of locations and seed have the same name: what is there already is used. */
function datasetName(map: string, info: ImportInfo, keys: readonly (number | string)[]): string {
  const hash = createHash("sha256").update(JSON.stringify([info.sha256, info.importHash, ...keys]));
  return `demo-${map}-${hash.digest("hex").slice(0, 6)}`;
}

/** A database of the demo's own on the private server; on the user's server the one named, unless it holds another map. */
async function demoDatabase(context: CommandContext, { databaseUrl }: Services): Promise<string> {
  if (context.config.databaseUrl === undefined) return ensureDatabase(databaseUrl, "loc2vec_demo");
  return databaseUrl;
}

/** @throws FarmError `usage` rather than replacing a map that somebody else works with */
async function checkForeign(context: CommandContext, databaseUrl: string, path: string): Promise<void> {
  if (context.config.databaseUrl === undefined) return;
  const info = await readImportInfo(databaseUrl);
  if (info === undefined || info.pbf === basename(path)) return;
  throw new FarmError(
    "usage",
    `the database of FARM_DATABASE_URL holds the map ${info.pbf}, which the demo would replace`,
    "unset FARM_DATABASE_URL for the demo, or name an empty database",
  );
}

async function sizeOf(context: CommandContext, dataset: Dataset): Promise<number> {
  const store = context.store();
  let bytes = 0;
  for (const shard of await listShards(store, dataset))
    bytes += (await store.head(shardKey(dataset.name, shard)))?.size ?? 0;
  return bytes;
}

function mean(entries: readonly { loss: number }[]): number {
  return entries.reduce((sum, { loss }) => sum + loss, 0) / Math.max(1, entries.length);
}
