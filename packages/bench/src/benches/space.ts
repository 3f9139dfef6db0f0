import { availableParallelism } from "node:os";
import { whole } from "@loc2vec/cli";
import { randomOf } from "@loc2vec/core";
import { machine } from "@loc2vec/farm";
import { applyProjection, fitLda, fitPca, openNeighbours, trustworthiness, tsne, umap } from "@loc2vec/space";
import { Option } from "commander";
import { defineBench } from "../bench.ts";
import { type Clouds, drawClouds, SIZE } from "./clouds.ts";

/** Rows that neighbours are looked for of. */
const QUERIES = 2000;
/** Rows that trustworthiness is told of: it compares each with each. */
const JUDGED = 2000;

interface SpaceOptions {
  rows: number;
  threads: number;
  seed: number;
}

export const space = defineBench({
  name: "space",
  description: "how long PCA, LDA, t-SNE, UMAP and nearest neighbours of a set of embeddings take",
  options: (command) =>
    command
      .addOption(new Option("--rows <n>", "vectors of 16 numbers").argParser(whole(200)).default(20_000))
      .addOption(
        new Option("--threads <n>", "of t-SNE")
          .argParser(whole(1))
          .default(Math.min(8, availableParallelism())),
      )
      .addOption(new Option("--seed <n>", "of the vectors").argParser(whole(0)).default(1)),
  async measure({ log, signal }, { rows, threads, seed }: SpaceOptions, report) {
    const drawn = drawClouds(rows, seed);
    const { vectors } = drawn;
    const figures: Record<string, unknown> = { machine: machine(), n: rows, size: SIZE };
    const keep = (more: Readonly<Record<string, unknown>>): void => {
      Object.assign(figures, more);
      report(more);
    };
    keep(await measureAxes(drawn));
    keep(await measureNeighbours(vectors));
    const options = { dimensions: 3 as const, most: rows, signal };
    const onProgress = (_: string, done: number, all: number): void => {
      if (done % 100 === 0) log(`bench: round ${done} of ${all}`);
    };
    const arranged = await timed(() =>
      tsne(vectors, SIZE, { ...options, onProgress, threads, random: randomOf(seed, 2) }),
    );
    keep({
      tsne_3d_s: arranged.seconds,
      tsne_threads: threads,
      tsne_divergence: Number(arranged.result.divergence.toFixed(4)),
      tsne_trustworthiness: judge(vectors, arranged.result.positions),
    });
    const mapped = await timed(() =>
      umap(vectors, SIZE, { ...options, onProgress, random: randomOf(seed, 3) }),
    );
    keep({
      umap_3d_s: mapped.seconds,
      umap_trustworthiness: judge(vectors, mapped.result.positions),
    });
    return figures;
  },
});

/** Fitting three axes and projecting all rows to them. */
async function measureAxes({ vectors, clouds }: Clouds): Promise<Record<string, unknown>> {
  const pca = await timed(() => applyProjection(fitPca(vectors, SIZE, 3), vectors));
  const lda = await timed(() => applyProjection(fitLda(vectors, SIZE, clouds, { components: 3 }), vectors));
  return { pca_s: pca.seconds, lda_s: lda.seconds };
}

async function measureNeighbours(vectors: Float32Array): Promise<Record<string, unknown>> {
  const index = await openNeighbours(vectors, SIZE);
  const count = Math.min(QUERIES, index.rows);
  const found = await timed(() => {
    for (let row = 0; row < count; row++) index.nearest(row, 10);
  });
  return { knn_method: index.method, knn_ms: Number(((1000 * found.seconds) / count).toFixed(3)) };
}

/** How well the first rows' neighbours are kept among themselves. */
function judge(vectors: Float32Array, positions: Float32Array): number {
  const count = Math.min(JUDGED, vectors.length / SIZE);
  return Number(
    trustworthiness(vectors.subarray(0, count * SIZE), SIZE, positions.subarray(0, count * 3), 3, 12).toFixed(
      4,
    ),
  );
}

async function timed<T>(run: () => Promise<T> | T): Promise<{ seconds: number; result: T }> {
  const begin = performance.now();
  const result = await run();
  return { seconds: Number(((performance.now() - begin) / 1000).toFixed(3)), result };
}
