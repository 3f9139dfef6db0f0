import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { whole } from "@loc2vec/cli";
import { FarmError, randomOf } from "@loc2vec/core";
import { createEmbedder } from "@loc2vec/encoder";
import { type FarmContext, machine } from "@loc2vec/farm";
import { INDEXED_FROM } from "@loc2vec/space";
import { openPretrained, PRETRAINED } from "@loc2vec/trainer";
import autocannon from "autocannon";
import { Option } from "commander";
import { defineBench, type MapOptions, mapOption, type Report } from "../bench.ts";
import { type ImportedMap, withMap } from "../map.ts";
import { DATASET, drawSpots, type Spot, TOKEN, withServer, writeSynthetic } from "./synthetic.ts";

/** Spots of a request that asks for many. */
const BATCH = 64;
/** Tiles that the encoder is given at a time when it is alone. */
const TOGETHER = 32;
/** Requests that are drawn beforehand; autocannon asks them in turn. */
const REQUESTS = 500;
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
