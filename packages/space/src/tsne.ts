import { availableParallelism } from "node:os";
import { FarmError } from "@loc2vec/core";
import { type Affinities, type Conditional, symmetrize } from "./affinities.ts";
import {
  type Arrangement,
  type ArrangeOptions,
  arrangeSome,
  checkEnough,
  firstPositions,
} from "./arrangement.ts";
import { openThreads, type Threads } from "./threads.ts";
import { createMemory, type TsneMemory } from "./tsne-memory.ts";
import type { TsneTask } from "./tsne-thread.ts";

/** Iterations with exaggerated affinities, and by what; after them, momentum is high. */
const [EARLY, EXAGGERATION] = [250, 12];
const [MOMENTUM, LATE_MOMENTUM] = [0.5, 0.8];
/** The least learning rate, of a gradient with its factor of 4. */
const LEAST_RATE = 50;
/** Deviation of the first axis at the beginning. */
const FIRST_DEVIATION = 1e-4;
/** Rows whose neighbours a thread looks for before it is asked whether to stop. */
const PIECE = 1000;
/** Threads that are more than these find little to do. */
const MOST_THREADS = 8;

export interface TsneOptions extends ArrangeOptions {
  /** How many neighbours a row has, in a smooth way of counting; below a third of the rows. */
  perplexity?: number;
  iterations?: number;
  /** How coarse repulsion is: 0 is exact. */
  theta?: number;
  /** Makes it faster, and changes no byte. As many as there are cores, up to 8, unless told. */
  threads?: number;
}

export interface TsneArrangement extends Arrangement {
  /** Kullback–Leibler divergence of the arranged rows' affinities: the less, the better they are kept. */
  divergence: number;
}

/**
 * t-SNE (van der Maaten & Hinton 2008) by Barnes and Hut's approximation (van der Maaten 2014), with the settings of
 * scikit-learn 1.9: early exaggeration of 12 for 250 iterations, momentum 0.5 and then 0.8, gains, learning rate
 * max(n / 48, 50) (Belkina et al. 2019), first positions by PCA (Kobak & Berens 2019). The same vectors give the same bytes on
 * every machine with the same Node.
 *
 * @param vectors float32 [n, size], C order
 */
export async function tsne(
  vectors: Float32Array,
  size: number,
  { perplexity = 30, iterations = 1000, theta = 0.5, threads: asked, ...options }: TsneOptions,
): Promise<TsneArrangement> {
  const { dimensions = 2, random, onProgress, signal } = options;
  let divergence = 0;
  const arrangement = await arrangeSome(vectors, size, options, async (drawn) => {
    const rows = drawn.length / size;
    checkPerplexity(perplexity, rows);
    const threads = openThreads<TsneTask>(
      "./tsne-thread",
      Math.max(1, asked ?? Math.min(MOST_THREADS, availableParallelism())),
    );
    try {
      const affinities = await findAffinities(drawn, size, perplexity, threads, signal);
      const first = firstPositions(drawn, size, dimensions, FIRST_DEVIATION, random);
      const memory = createMemory(affinities, first, dimensions, theta);
      await descend(memory, threads, rows, iterations, (done) => {
        onProgress?.("arranging", done, iterations);
        signal?.throwIfAborted();
      });
      divergence = divergenceOf(affinities, memory.positions, memory.shares, dimensions);
      return Float64Array.from({ length: rows * dimensions }, (_, i) => {
        const row = Math.floor(i / dimensions);
        return memory.positions[row * 3 + (i % dimensions)] as number;
      });
    } finally {
      await threads.close();
    }
  });
  return { ...arrangement, divergence };
}

function checkPerplexity(perplexity: number, rows: number): void {
  checkEnough(rows, 4, "t-SNE");
  if (!(perplexity > 1 && 3 * perplexity <= rows - 1))
    throw new FarmError(
      "input",
      `perplexity ${perplexity} of ${rows} vectors: it takes three times as many neighbours`,
      `a perplexity above 1 and up to ${Math.floor((rows - 1) / 3)}, or more vectors`,
    );
}

/** Ranges of as many rows each, one for each thread. */
function ranges(rows: number, count: number): { from: number; to: number }[] {
  const at = (i: number): number => Math.floor((rows * i) / count);
  return Array.from({ length: count }, (_, i) => ({ from: at(i), to: at(i + 1) }));
}

/** Affinities of all pairs that are near: those of each row to its 3 × perplexity nearest, both ways. */
export async function findAffinities(
  vectors: Float32Array,
  size: number,
  perplexity: number,
  threads: Threads<TsneTask>,
  signal?: AbortSignal,
): Promise<Affinities> {
  const rows = vectors.length / size;
  const count = Math.min(rows - 1, Math.floor(3 * perplexity) + 1);
  const copy = new Float32Array(new SharedArrayBuffer(vectors.byteLength));
  copy.set(vectors);
  const target: Conditional = {
    neighbours: new Int32Array(new SharedArrayBuffer(rows * count * 4)),
    shares: new Float64Array(new SharedArrayBuffer(rows * count * 8)),
  };
  const tasks = ranges(rows, threads.count * Math.ceil(rows / threads.count / PIECE)).map(({ from, to }) => ({
    ...{ kind: "affinities" as const, vectors: copy, size, perplexity, target },
    range: { from, to, count },
  }));
  for (let at = 0; at < tasks.length; at += threads.count) {
    signal?.throwIfAborted();
    await threads.run(tasks.slice(at, at + threads.count));
  }
  return symmetrize(target, count);
}

/** Moves the points again and again. Afterwards, memory has the forces of their last positions. */
async function descend(
  { memory, layout }: TsneMemory,
  threads: Threads<TsneTask>,
  rows: number,
  iterations: number,
  after: (done: number) => void,
): Promise<void> {
  await threads.run(Array.from({ length: threads.count }, () => ({ kind: "open", memory, layout })));
  await threads.run([{ kind: "grow" }]);
  const forces = ranges(rows, threads.count).map((range) => ({ kind: "forces" as const, ...range }));
  const rate = Math.max(rows / EXAGGERATION / 4, LEAST_RATE);
  for (let done = 0; done < iterations; done++) {
    const early = done < EARLY;
    await threads.run(forces);
    const [exaggeration, momentum] = early ? [EXAGGERATION, MOMENTUM] : [1, LATE_MOMENTUM];
    await threads.run([{ kind: "move", exaggeration, momentum, rate }]);
    after(done + 1);
  }
  await threads.run(forces);
}

/**
 * Σ p log(p / q) over the pairs that have an affinity.
 *
 * @param positions float64 [n, 3]
 * @param shares float64 [n]: Σ q · Z of each point's pairs
 */
export function divergenceOf(
  { starts, others, values }: Affinities,
  positions: Float64Array,
  shares: Float64Array,
  dimensions: number,
): number {
  const freedom = dimensions - 1;
  const z = shares.reduce((sum, share) => sum + share, 0);
  let divergence = 0;
  for (let row = 0; row < starts.length - 1; row++) {
    for (let i = starts[row] as number; i < (starts[row + 1] as number); i++) {
      const p = values[i] as number;
      if (p <= 0) continue;
      let square = 0;
      for (let axis = 0; axis < 3; axis++)
        square +=
          ((positions[row * 3 + axis] as number) - (positions[(others[i] as number) * 3 + axis] as number)) **
          2;
      const logQ = -((freedom + 1) / 2) * Math.log(1 + square / freedom) - Math.log(z);
      divergence += p * (Math.log(p) - logQ);
    }
  }
  return divergence;
}
