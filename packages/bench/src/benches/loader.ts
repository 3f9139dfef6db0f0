import { availableParallelism } from "node:os";
import { pathToFileURL } from "node:url";
import { type Dataset, type Location, shardCount } from "@loc2vec/core";
import { describeDataset, type FarmContext, machine } from "@loc2vec/farm";
import { sampleLocations } from "@loc2vec/gis";
import { createDataset, type DatasetReader, openDataset, openDecoder, openStore } from "@loc2vec/shards";
import { openFeed, planBatches, train } from "@loc2vec/trainer";
import { renderShard, type TileRenderer } from "@loc2vec/worker";
import { defineBench, locationsOption, type MapOptions, mapOption } from "../bench.ts";
import { withFolder } from "../harness.ts";
import { withMap } from "../map.ts";

const BATCH = { locations: 20, pairs: 5 };
/** Mini-batches that are read without training, and steps that are trained. */
const [READ, TRAINED] = [120, 15];
/** Mini-batches that are read before it counts: threads start, shards are fetched, and what is read ahead is used up. */
const WARM_UP = 20;

export const loader = defineBench({
  name: "loader",
  description: "how fast mini-batches are read, and how long a training waits for them",
  options: (command) => command.addOption(mapOption()).addOption(locationsOption(320)),
  measure: (context, { pbf, locations }: MapOptions & { locations: number }) =>
    withMap(context, pbf, async ({ databaseUrl, rasterizer }) => {
      const sampled = await sampleLocations({ databaseUrl, count: locations, seed: 1 });
      const chosen = { name: "bench", seed: 1, positives: 20, shardLocations: 16 };
      const dataset = describeDataset(await context.profile(), rasterizer.source, sampled.length, chosen);
      return measureLoader(context, rasterizer, dataset, sampled);
    }),
});

/** Tiles a second that the trainer's loader delivers by itself, and the share of a training's time that it is waited for. */
async function measureLoader(
  { log }: FarmContext,
  rasterizer: TileRenderer,
  dataset: Dataset,
  locations: readonly Location[],
): Promise<object> {
  return withFolder(async (folder) => {
    const store = openStore(pathToFileURL(folder).href);
    log("bench: rendering");
    await createDataset(store, dataset, locations);
    const shards = [...Array(shardCount(dataset)).keys()];
    for (const shard of shards)
      await renderShard({ store, job: { dataset: dataset.name, shard }, rasterizer });
    log("bench: reading");
    const reader = await openDataset(store, dataset.name);
    const rates: { threads: number; tiles_per_s: number }[] = [];
    for (const threads of powersOfTwo(availableParallelism()))
      rates.push({ threads, tiles_per_s: Math.round(await readTiles(reader, shards, threads)) });
    log("bench: training");
    const whole = { minDistanceM: 0, holdout: { share: 0 } };
    const options = { store, dataset: dataset.name, model: "bench", steps: TRAINED, batch: BATCH, ...whole };
    const { history } = await train(options);
    // The first step waits for shards and for TensorFlow to warm up.
    const later = history.slice(1);
    const sum = (value: (entry: (typeof later)[number]) => number): number =>
      later.reduce((total, entry) => total + value(entry), 0);
    return {
      machine: machine(),
      locations: dataset.locations,
      batches: READ,
      tiles_per_s: rates.at(-1)?.tiles_per_s,
      by_threads: rates,
      steps: later.length,
      trainer_wait_pct: Number(
        ((100 * sum(({ waited }) => waited)) / sum((entry) => entry.seconds)).toFixed(2),
      ),
      peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    };
  });
}

/** Tiles a second that the trainer's loader delivers where its decoder has so many threads. */
async function readTiles(reader: DatasetReader, shards: readonly number[], threads: number): Promise<number> {
  const decoder = openDecoder(threads);
  const plans = planBatches(reader.dataset, shards, BATCH, 1);
  const feed = openFeed(reader, plans, 1, WARM_UP + READ, { decoder });
  for (let i = 0; i < WARM_UP; i++) await feed.next();
  let read = 0;
  const begin = performance.now();
  for (let i = 0; i < READ; i++) read += (await feed.next()).tiles.length;
  const seconds = (performance.now() - begin) / 1000;
  await decoder.close();
  return read / seconds;
}

/** 1, 2, 4 … up to a number, and that. */
function powersOfTwo(most: number): number[] {
  const powers = Array.from({ length: Math.ceil(Math.log2(most)) }, (_, i) => 2 ** i);
  return [...powers, most];
}
