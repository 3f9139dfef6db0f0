import { readEmbeddings } from "@loc2vec/atlas";
import { whole } from "@loc2vec/cli";
import { FarmError } from "@loc2vec/core";
import { machine } from "@loc2vec/farm";
import { type ObjectStore, openDataset } from "@loc2vec/shards";
import { type Neighbours, openNeighbours } from "@loc2vec/space";
import { Option } from "commander";
import { defineBench } from "../bench.ts";
import { quantile } from "../quantile.ts";
import { drawClouds, SIZE } from "./clouds.ts";
import { resample } from "./resample.ts";

/** Neighbours that are asked for. */
const COUNT = 10;
/** Queries before it counts. */
const WARM_UP = 20;
const MB = 1024 * 1024;

interface KnnOptions {
  rows: number;
  queries: number;
  seed: number;
  dataset?: string | undefined;
  model?: string | undefined;
}

export const knn = defineBench({
  name: "knn",
  description: "how fast the nearest of many embeddings are found: by an index, and by looking at all",
  options: (command) =>
    command
      .addOption(new Option("--rows <n>", "vectors of 16 numbers").argParser(whole(100)).default(1_500_000))
      .addOption(new Option("--queries <n>", "that are timed").argParser(whole(10)).default(1000))
      .addOption(new Option("--seed <n>", "of the vectors").argParser(whole(0)).default(1))
      .option("--dataset <name>", "vectors are drawn about those of this data set, instead of in clouds")
      .option("--model <name>", "by which that is embedded"),
  async measure({ log, signal, store }, { rows, queries, seed, dataset, model }: KnnOptions, report) {
    // Queries are drawn as rows are, as a spot that nobody has embedded yet: no row lies nearer to them than to one another.
    const drawn = await drawVectors(store(), rows + queries, { seed, dataset, model });
    const vectors = drawn.subarray(0, rows * SIZE);
    const asked = Array.from({ length: queries }, (_, i) =>
      drawn.subarray((rows + i) * SIZE, (rows + i + 1) * SIZE),
    );
    const exact = await openNeighbours(vectors, SIZE, { method: "exact" });
    const before = process.memoryUsage().rss;
    const begin = performance.now();
    const onProgress = (done: number, all: number): void => {
      if (done % 100_000 === 0) log(`bench: ${done} of ${all} rows indexed`);
    };
    const index = await openNeighbours(vectors, SIZE, { method: "hnsw", signal, onProgress });
    const build = round((performance.now() - begin) / 1000, 1);
    report({ n: rows, build_s: build });
    const after = process.memoryUsage().rss;
    const [fast, slow] = [ask(index, asked), ask(exact, asked)];
    const hits = fast.found.map((found, i) => found.filter((row) => slow.found[i]?.includes(row)).length);
    return {
      machine: machine(),
      n: rows,
      size: SIZE,
      vectors: dataset === undefined ? "clouds" : `about ${dataset} by ${model}`,
      queries,
      build_s: build,
      recall_at_10: round(hits.reduce((sum, each) => sum + each, 0) / (COUNT * queries), 4),
      p50_ms: fast.p50,
      p99_ms: fast.p99,
      exact_p50_ms: slow.p50,
      exact_p99_ms: slow.p99,
      index_mb: Math.round((after - before) / MB),
      rss_mb: Math.round(process.memoryUsage().rss / MB),
    };
  },
});

async function drawVectors(
  store: ObjectStore,
  n: number,
  { seed, dataset, model }: Pick<KnnOptions, "seed" | "dataset" | "model">,
): Promise<Float32Array> {
  if (dataset === undefined && model === undefined) return drawClouds(n, seed).vectors;
  if (dataset === undefined || model === undefined)
    throw new FarmError("usage", "--dataset and --model go together", "give both, or neither");
  const { data, size } = await readEmbeddings(store, await openDataset(store, dataset), model);
  if (size !== SIZE) throw new FarmError("input", `model ${model}: vectors of ${size} numbers`, "one of 16");
  return resample(data, size, n, seed);
}

function ask(
  index: Neighbours,
  queries: readonly Float32Array[],
): { found: number[][]; p50: number; p99: number } {
  for (const query of queries.slice(0, WARM_UP)) index.nearest(query, COUNT);
  const found: number[][] = [];
  const times = queries.map((query) => {
    const start = performance.now();
    found.push(index.nearest(query, COUNT).map(({ row }) => row));
    return performance.now() - start;
  });
  return { found, p50: round(quantile(times, 0.5), 3), p99: round(quantile(times, 0.99), 3) };
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
