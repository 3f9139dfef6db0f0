import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { FarmError, formatDuration, OSM_ATTRIBUTION } from "@loc2vec/core";
import {
  checkOsmFile,
  ensureDatabase,
  fetchDemoMap,
  type ImportInfo,
  importPbf,
  readImportInfo,
  sampleLocations,
} from "@loc2vec/gis";
import { sourceOf } from "@loc2vec/rasterizer";
import type { Services } from "@loc2vec/services";
import { listShards, shardKey } from "@loc2vec/shards";
import { type Context, withServices } from "../context.ts";
import { describeDataset, embed, enqueue, report, trainModel, withQueues, work } from "../stages.ts";

/** Locations per shard of the demo: small, so that two workers have something to share. */
const SHARD_LOCATIONS = 32;

/** A small map is trained on as a whole. */
const WHOLE_MAP = { holdout: { share: 0 } };

export interface DemoOptions {
  pbf?: string;
  locations: number;
  steps: number;
  seed: number;
}

/** One real city through every part of the farm. Run again, it goes on where it stopped, or only draws the pictures anew. */
export async function demo(context: Context, { pbf, locations, steps, seed }: DemoOptions): Promise<void> {
  const { config, log, signal } = context;
  const seconds: Record<string, number> = {};
  const stage = async <T>(name: string, action: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const begin = performance.now();
    log(`demo: ${name}`);
    const value = await action();
    seconds[name] = Number(((performance.now() - begin) / 1000).toFixed(2));
    return value;
  };
  const profile = await context.profile();
  const map =
    pbf === undefined
      ? await stage("map", () => fetchDemoMap({ home: config.home, log }))
      : { path: resolve(pbf), name: nameOf(pbf) };
  await checkOsmFile(map.path); // before anything is started for it
  log(`demo: map data ${OSM_ATTRIBUTION}`);
  await withServices(context, ["redis", "database"], async (services) => {
    const databaseUrl = await demoDatabase(context, services);
    await checkForeign(context, databaseUrl, map.path);
    const info = await stage("import", async () =>
      importPbf({
        pbf: map.path,
        databaseUrl,
        profile,
        // What was done to the map, and not what osm2pgsql says.
        log: (line) => void (line.startsWith(map.path) && log(line)),
        signal,
      }),
    );
    const sampled = await stage("locations", () => sampleLocations({ databaseUrl, count: locations, seed }));
    const name = datasetName(map.name, info, [locations, seed]);
    const described = describeDataset(
      profile,
      sourceOf(info, profile, { kind: config.renderer }),
      sampled.length,
      {
        name,
        seed,
        positives: 20,
        shardLocations: SHARD_LOCATIONS,
      },
    );
    // The name also stands for the cartography: an edited profile makes a data set of its own.
    const dataset = { ...described, name: `${name}-${described.source.styleHash.slice(0, 6)}` };
    await stage("enqueue", () =>
      withQueues(context, services, (queues) =>
        enqueue(
          context,
          queues,
          dataset,
          (async function* () {
            yield* sampled;
          })(),
        ),
      ),
    );
    const tiles = dataset.locations * dataset.samples;
    const worked = await stage("render", () =>
      work(
        context,
        { ...services, databaseUrl },
        { concurrency: 2, until: "empty", dataset: dataset.name },
        tiles,
      ),
    );
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
    const rendered = await sizeOf(context, dataset);
    const model = `${dataset.name}-s${steps}`;
    const trained = await stage("train", () =>
      trainModel(context, dataset.name, model, { steps, seed, ...WHOLE_MAP }, { live: true }),
    );
    await stage("embed", () => embed(context, dataset.name, model));
    const { index, pictures } = await stage("report", () =>
      report(context, dataset.name, model, join(config.home, "reports", dataset.name)),
    );
    const [first, last] = [mean(trained.history.slice(0, 5)), mean(trained.history.slice(-5))];
    const result = {
      map: info.pbf,
      dataset: dataset.name,
      model,
      locations: dataset.locations,
      tiles,
      tilesPerSecond: worked.seconds > 0 ? worked.tiles / worked.seconds : 0,
      bytesPerTile: rendered / tiles,
      parameters: trained.parameters,
      steps: trained.step,
      lossFirst5: first,
      lossLast5: last,
      seconds,
      report: index,
      pictures: pictures.length,
      attribution: OSM_ATTRIBUTION,
    };
    context.result(result, [
      "",
      `${info.pbf}: ${result.locations} locations, ${tiles} tiles of 12 channels, ${result.bytesPerTile.toFixed(0)} bytes each`,
      `${result.parameters} parameters, ${result.steps} steps, loss ${first.toFixed(4)} in the first 5 steps, ${last.toFixed(4)} in the last 5`,
      Object.entries(seconds)
        .map(([what, took]) => `${what} ${formatDuration(took)}`)
        .join(", "),
      `pictures: ${index}`,
      `map data ${OSM_ATTRIBUTION}`,
    ]);
  });
}

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
function datasetName(map: string, info: ImportInfo, keys: readonly number[]): string {
  const hash = createHash("sha256").update(JSON.stringify([info.sha256, info.importHash, ...keys]));
  return `demo-${map}-${hash.digest("hex").slice(0, 6)}`;
}

/** A database of the demo's own on the private server; on the user's server the one named, unless it holds another map. */
async function demoDatabase(context: Context, { databaseUrl }: Services): Promise<string> {
  if (context.config.databaseUrl === undefined) return ensureDatabase(databaseUrl, "loc2vec_demo");
  return databaseUrl;
}

/** @throws FarmError `usage` rather than replacing a map that somebody else works with */
async function checkForeign(context: Context, databaseUrl: string, path: string): Promise<void> {
  if (context.config.databaseUrl === undefined) return;
  const info = await readImportInfo(databaseUrl);
  if (info === undefined || info.pbf === basename(path)) return;
  throw new FarmError(
    "usage",
    `the database of FARM_DATABASE_URL holds the map ${info.pbf}, which the demo would replace`,
    "unset FARM_DATABASE_URL for the demo, or name an empty database",
  );
}

async function sizeOf(context: Context, dataset: Parameters<typeof listShards>[1]): Promise<number> {
  const store = context.store();
  let bytes = 0;
  for (const shard of await listShards(store, dataset))
    bytes += (await store.head(shardKey(dataset.name, shard)))?.size ?? 0;
  return bytes;
}

function mean(entries: readonly { loss: number }[]): number {
  return entries.reduce((sum, { loss }) => sum + loss, 0) / Math.max(1, entries.length);
}
