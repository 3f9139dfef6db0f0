import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { FARM_MAIN, whole } from "@loc2vec/cli";
import { FarmError, type Location, randomOf } from "@loc2vec/core";
import { createEmbedder } from "@loc2vec/encoder";
import { describeDataset, type FarmContext, machine } from "@loc2vec/farm";
import { createDataset, openDataset, openStore, writeArray, writeGroup } from "@loc2vec/shards";
import { INDEXED_FROM } from "@loc2vec/space";
import { openPretrained, PRETRAINED } from "@loc2vec/trainer";
import autocannon from "autocannon";
import { Option } from "commander";
import { defineBench, type MapOptions, mapOption, type Report } from "../bench.ts";
import { forkTied } from "../children.ts";
import { type ImportedMap, withMap } from "../map.ts";
import { drawClouds, SIZE } from "./clouds.ts";

const DATASET = "bench";
const TOKEN = "a-token-of-the-bench";
/** Spots of a request that asks for many. */
const BATCH = 64;
/** Tiles that the encoder is given at a time when it is alone. */
const TOGETHER = 32;
/** Requests that are drawn beforehand; autocannon asks them in turn. */
const REQUESTS = 500;
const SERVER_STARTS_WITHIN_MS = 1_800_000;
/** Between two looks whether the index is there. */
const POLL_MS = 500;

interface ApiOptions extends MapOptions {
  rows: number;
  seconds: number;
}

export const api = defineBench({
  name: "api",
  description: "farm serve under load: vectors of spots, one and many at a time, and neighbours among many",
  options: (command) =>
    command
      .addOption(mapOption())
      .addOption(
        new Option("--rows <n>", "locations with synthetic vectors").argParser(whole(100)).default(1_500_000),
      )
      .addOption(new Option("--seconds <n>", "of each load").argParser(whole(2)).default(20)),
  measure: (context, { pbf, ...options }: ApiOptions, report) =>
    withMap(context, pbf, (imported) => measureApi(context, imported, options, report)),
});

async function measureApi(
  context: FarmContext,
  imported: ImportedMap,
  { rows, seconds }: ApiOptions,
  report: Report,
): Promise<Record<string, unknown>> {
  const folder = await mkdtemp(join(tmpdir(), "loc2vec-bench-"));
  const storeUrl = pathToFileURL(join(folder, "store")).href;
  try {
    const random = randomOf(1, 1);
    const spots = drawSpots(imported, REQUESTS * 4, random.uniform);
    const alone = await measureAlone(imported, spots.slice(0, 512));
    report(alone);
    await writeSynthetic(context, imported, storeUrl, rows);
    const serving = <T>(work: (url: string) => Promise<T>): Promise<T> =>
      withServer(context, imported.databaseUrl, storeUrl, folder, work);
    const begin = performance.now();
    const since = (start: number): number => round((performance.now() - start) / 1000, 1);
    // The first start finds no index: it answers while a thread builds one, which would slow down what is measured.
    const first = await serving(async () => {
      const start = since(begin);
      if (rows >= INDEXED_FROM) await indexKept(folder, context.signal);
      return { start_s: start, index_s: since(begin) };
    });
    report(first);
    const again = performance.now();
    return await serving(async (url) => {
      const starts = { ...first, start_again_s: since(again) };
      report(starts);
      const load = loader(url, seconds, context.signal);
      const embed = (body: object) => ({
        method: "POST" as const,
        path: "/v1/embed",
        body: JSON.stringify(body),
      });
      const single = await load({ connections: 10, overallRate: 5 }, spots.slice(0, REQUESTS).map(embed));
      report({ embed_p50_ms: single.latency.p50, embed_p99_ms: single.latency.p99 });
      const many = Array.from({ length: 20 }, (_, i) =>
        embed({ places: spots.slice(i * BATCH, (i + 1) * BATCH) }),
      );
      const batches = await load({ connections: 2 }, many);
      const neighbours = await load(
        { connections: 1 },
        Array.from({ length: REQUESTS }, () => ({
          method: "GET" as const,
          path: `/v1/neighbours?location=${random.int(rows)}&k=10`,
        })),
      );
      return {
        machine: machine(),
        n: rows,
        ...starts,
        ...alone,
        embed_p50_ms: single.latency.p50,
        embed_p99_ms: single.latency.p99,
        embed_per_s: round((BATCH * batches["2xx"]) / batches.duration, 1),
        neighbours_p50_ms: neighbours.latency.p50,
        neighbours_p99_ms: neighbours.latency.p99,
        neighbours_per_s: round(neighbours["2xx"] / neighbours.duration, 1),
      };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Spot = Pick<Location, "lon" | "lat">;

/** Spots all over the map. @param uniform draws from 0 to 1 */
function drawSpots({ bbox }: ImportedMap, count: number, uniform: () => number): Spot[] {
  const [west, south, east, north] = bbox;
  return Array.from({ length: count }, () => ({
    lon: Number((west + (east - west) * uniform()).toFixed(6)),
    lat: Number((south + (north - south) * uniform()).toFixed(6)),
  }));
}

/** What renderer and encoder give by themselves, in this process, tiles a second. */
async function measureAlone(
  { rasterizer }: ImportedMap,
  spots: readonly Spot[],
): Promise<Record<string, number>> {
  const anchor = [{ rotation: 0, dx: 0, dy: 0 }];
  const draw = () => Promise.all(spots.map(async (spot) => (await rasterizer.render(spot, anchor, 16))[0]));
  await draw();
  const begin = performance.now();
  const tiles = (await draw()) as Uint8Array[];
  const drawn = performance.now();
  const { settings, weights } = await openPretrained();
  const embedder = await createEmbedder(settings.architecture, weights);
  try {
    await embedder.embed(tiles.slice(0, TOGETHER));
    const start = performance.now();
    for (let at = 0; at < tiles.length; at += TOGETHER) await embedder.embed(tiles.slice(at, at + TOGETHER));
    const perSecond = (ms: number): number => round((1000 * spots.length) / ms, 1);
    return {
      turns: settings.architecture.turns ?? 1,
      render_per_s: perSecond(drawn - begin),
      encode_per_s: perSecond(performance.now() - start),
    };
  } finally {
    await embedder.dispose();
  }
}

/** A data set of so many random locations whose tiles nobody drew, with vectors that the model did not make. */
async function writeSynthetic(
  context: FarmContext,
  imported: ImportedMap,
  storeUrl: string,
  rows: number,
): Promise<void> {
  const store = openStore(storeUrl);
  const { source } = imported.rasterizer;
  const chosen = { name: DATASET, seed: 1, positives: 0, shardLocations: 64 };
  const dataset = describeDataset(await context.profile(), source, rows, chosen);
  const random = randomOf(1, 2);
  const spots = drawSpots(imported, rows, random.uniform);
  await createDataset(
    store,
    dataset,
    spots.map((spot): Location => ({ ...spot, kind: "visit" })),
  );
  const { identity } = await openDataset(store, DATASET);
  const { step, weightsSha256 } = await openPretrained();
  const prefix = `models/${PRETRAINED}/embeddings/${DATASET}`;
  await writeArray(store, `${prefix}/embedding`, {
    shape: [rows, SIZE],
    dtype: "float32",
    dimensionNames: ["location", "feature"],
    data: drawClouds(rows, 1).vectors,
  });
  await writeGroup(store, prefix, { dataset_identity: identity, step, weights_sha256: weightsSha256 });
}

/** Runs `work` with a `farm serve`, a process of its own. */
async function withServer<T>(
  { config, signal }: FarmContext,
  databaseUrl: string,
  storeUrl: string,
  home: string,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const args = ["serve", "--dataset", DATASET, "--model", PRETRAINED, "--port", "0", "--rate", "1000000000"];
  const child = forkTied(FARM_MAIN, [...args, "--json"], {
    env: {
      ...process.env,
      ...{ FARM_HOME: home, FARM_DATABASE_URL: databaseUrl, FARM_STORE: storeUrl },
      ...{ FARM_SERVE_TOKENS: TOKEN, FARM_STYLE: config.style, FARM_RENDERER: config.renderer },
    },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const stop = (): void => void child.kill();
  signal.addEventListener("abort", stop);
  const ended = once(child, "close");
  try {
    const url = await new Promise<string>((resolve, reject) => {
      const fail = (): void => reject(new FarmError("internal", "farm serve did not start"));
      const late = setTimeout(fail, SERVER_STARTS_WITHIN_MS);
      child.once("close", fail);
      child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        clearTimeout(late);
        resolve((JSON.parse(text) as { url: string }).url);
      });
    });
    return await work(url);
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
    await ended;
    signal.throwIfAborted();
  }
}

/** Waits until a server has kept its index: its description comes last. */
async function indexKept(home: string, signal: AbortSignal): Promise<void> {
  const path = join(home, "neighbours", PRETRAINED, DATASET, "index.json");
  while (!existsSync(path)) await wait(POLL_MS, undefined, { signal });
}

/** Asks a server for so many seconds; a load that was not answered wholly is an error. */
function loader(url: string, seconds: number, signal: AbortSignal) {
  return async (
    how: { connections: number; overallRate?: number },
    requests: { method: "GET" | "POST"; path: string; body?: string }[],
  ) => {
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    const result = await autocannon({ url, duration: seconds, timeout: 60, headers, requests, ...how });
    signal.throwIfAborted();
    const { non2xx, errors, timeouts } = result;
    if (non2xx + errors + timeouts > 0 || result["2xx"] === 0)
      throw new FarmError(
        "internal",
        `${requests[0]?.path}: ${result["2xx"]} answers, ${non2xx} refusals, ${errors} errors, ${timeouts} too late`,
      );
    return result;
  };
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
