import { once } from "node:events";
import { FARM_MAIN } from "@loc2vec/cli";
import { FarmError, type Location, randomOf } from "@loc2vec/core";
import { describeDataset, type FarmContext } from "@loc2vec/farm";
import { createDataset, openDataset, openStore, writeArray, writeGroup } from "@loc2vec/shards";
import { openPretrained, PRETRAINED } from "@loc2vec/trainer";
import { forkTied } from "../children.ts";
import type { ImportedMap } from "../map.ts";
import { drawClouds, SIZE } from "./clouds.ts";

// A server of many locations that nobody drew, for what is measured over HTTP.

export const DATASET = "bench";
export const TOKEN = "a-token-of-the-bench";
const SERVER_STARTS_WITHIN_MS = 1_800_000;

export type Spot = Pick<Location, "lon" | "lat">;

/** Spots all over the map. @param uniform draws from 0 to 1 */
export function drawSpots({ bbox }: ImportedMap, count: number, uniform: () => number): Spot[] {
  const [west, south, east, north] = bbox;
  return Array.from({ length: count }, () => ({
    lon: Number((west + (east - west) * uniform()).toFixed(6)),
    lat: Number((south + (north - south) * uniform()).toFixed(6)),
  }));
}

/** A data set of so many random locations whose tiles nobody drew, with vectors that the model did not make. */
export async function writeSynthetic(
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
export async function withServer<T>(
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
