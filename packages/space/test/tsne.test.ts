import { randomOf } from "@loc2vec/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Conditional, findConditional, spread, symmetrize } from "../src/affinities.ts";
import { type Dimensions, trustworthiness, tsne, umap } from "../src/index.ts";
import { divergenceOf } from "../src/tsne.ts";
import { createMemory, openWasm } from "../src/tsne-memory.ts";
import { clouds } from "./clouds.ts";

fc.configureGlobal({ seed: 24, numRuns: 25 });

const COUNT = 10;

function affinitiesOf(vectors: Float32Array, size: number, perplexity = 3) {
  const rows = vectors.length / size;
  const target: Conditional = {
    neighbours: new Int32Array(rows * COUNT),
    shares: new Float64Array(rows * COUNT),
  };
  findConditional(vectors, size, perplexity, { from: 0, to: rows, count: COUNT }, target);
  return { conditional: target, affinities: symmetrize(target, COUNT) };
}

test("a row's affinities have the perplexity that was asked for", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e4, noNaN: true }), { minLength: 30, maxLength: 30 }),
      fc.double({ min: 2, max: 9, noNaN: true }),
      (values, perplexity) => {
        // All different: n equal ones nearest have no perplexity below n.
        const squares = Float64Array.from(values, (value, i) => value + i).sort();
        const shares = new Float64Array(30);
        spread(squares, perplexity, shares);
        const entropy = shares.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
        expect(shares.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 9);
        expect(Math.exp(entropy)).toBeCloseTo(perplexity, 3);
      },
    ),
  );
});

test("affinities of pairs are symmetric, add up to 1, and are those of both rows", () => {
  const { vectors } = clouds(60, 4, 3);
  const { conditional, affinities } = affinitiesOf(vectors, 4);
  const { starts, others, values } = affinities;
  const pairs = new Map<string, number>();
  for (let row = 0; row < 60; row++) {
    const own = others.subarray(starts[row], starts[row + 1]);
    expect([...own]).toEqual([...new Set(own)].sort((a, b) => a - b));
    for (let i = starts[row] as number; i < (starts[row + 1] as number); i++)
      pairs.set(`${row} ${others[i]}`, values[i] as number);
  }
  expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
  const share = (row: number, other: number): number => {
    const at = conditional.neighbours.subarray(row * COUNT, (row + 1) * COUNT).indexOf(other);
    return at < 0 ? 0 : (conditional.shares[row * COUNT + at] as number);
  };
  for (const [pair, value] of pairs) {
    const [a = 0, b = 0] = pair.split(" ").map(Number);
    expect(pairs.get(`${b} ${a}`)).toBe(value);
    expect(value).toBeCloseTo((share(a, b) + share(b, a)) / 120, 12);
  }
});

/** What the tree approximates: all pairs. */
function allPairs(positions: Float64Array, dimensions: number) {
  const count = positions.length / dimensions;
  const freedom = dimensions - 1;
  const forces = new Float64Array(count * 3);
  const shares = new Float64Array(count);
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < count; b++) {
      if (a === b) continue;
      const difference = Array.from(
        { length: dimensions },
        (_, k) => (positions[a * dimensions + k] as number) - (positions[b * dimensions + k] as number),
      );
      const u = 1 / (1 + difference.reduce((sum, each) => sum + each * each, 0) / freedom);
      const q = u ** ((freedom + 1) / 2);
      shares[a] = (shares[a] as number) + q;
      for (const [k, each] of difference.entries())
        forces[a * 3 + k] = (forces[a * 3 + k] as number) + q * u * each;
    }
  }
  return { forces, shares };
}

/** The gradient that the descent goes by, from outside: what a first move with momentum 0 and rate 1 moves by. */
function computed(vectors: Float32Array, positions: Float64Array, dimensions: number, theta: number) {
  const { affinities } = affinitiesOf(vectors, 4);
  const memory = createMemory(affinities, positions, dimensions, theta);
  const wasm = openWasm(memory);
  const count = memory.shares.length;
  wasm.grow();
  wasm.forces(0, 11);
  wasm.forces(11, count);
  const shares = memory.shares.slice();
  const before = memory.positions.slice();
  const divergence = divergenceOf(affinities, before, shares, dimensions);
  wasm.move(1, 0, 1);
  // A first gain is 1 and falls to 0.8.
  const gradient = memory.positions.map((value, i) => ((before[i] as number) - value) / 0.8);
  return { affinities, shares, gradient, divergence };
}

const draw = (seed: number, dimensions: number): Float64Array => {
  const random = randomOf(seed);
  const positions = Float64Array.from({ length: 60 * dimensions }, () => 3 * random.normal());
  // Some points lie where others do, to the last bit.
  positions.copyWithin(0, 5 * dimensions, 9 * dimensions);
  return positions;
};

test.each([2, 3])(
  "in %i dimensions the tree gives the forces of all pairs: exactly with theta 0, nearly with 0.5",
  (dimensions) => {
    const { vectors } = clouds(60, 4, 3);
    const positions = draw(1, dimensions);
    const { shares } = allPairs(positions, dimensions);
    const exact = computed(vectors, positions, dimensions, 0);
    for (const [i, share] of shares.entries()) expect(exact.shares[i]).toBeCloseTo(share, 9);
    const coarse = computed(vectors, positions, dimensions, 0.5);
    expect(coarse.shares).not.toEqual(exact.shares);
    for (const [i, share] of shares.entries())
      expect(Math.abs((coarse.shares[i] as number) / share - 1)).toBeLessThan(0.05);
  },
);

test.each([2, 3])("in %i dimensions the gradient is that of the divergence, by differences", (dimensions) => {
  const { vectors } = clouds(60, 4, 3);
  const positions = draw(2, dimensions);
  const { gradient } = computed(vectors, positions, dimensions, 0);
  const step = 1e-4;
  for (const row of [0, 5, 17, 33, 59]) {
    for (let k = 0; k < dimensions; k++) {
      const at = (sign: number): number => {
        const moved = positions.slice();
        moved[row * dimensions + k] = (moved[row * dimensions + k] as number) + sign * step;
        return computed(vectors, moved, dimensions, 0).divergence;
      };
      const slope = (at(1) - at(-1)) / (2 * step);
      expect(gradient[row * 3 + k]).toBeCloseTo(slope, 6);
    }
  }
});

test.each([2, 3] as const)(
  "in %i dimensions clouds are kept apart, with the same bytes from 1, 2 and 3 threads",
  async (dimensions: Dimensions) => {
    const { vectors, cloud } = clouds(400, 8, 5);
    const seen: number[] = [];
    const run = (threads: number, iterations: number) =>
      tsne(vectors, 8, {
        ...{ dimensions, random: randomOf(1), threads, perplexity: 12, iterations },
        onProgress: (stage, done) => stage === "arranging" && seen.push(done),
      });
    const { positions, divergence, arranged } = await run(2, 300);
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(arranged).toHaveLength(400);
    expect(divergence).toBeGreaterThan(0);
    expect(divergence).toBeLessThan(1.2);
    expect(trustworthiness(vectors, 8, positions, dimensions, 8)).toBeGreaterThan(0.97);
    expect(sameCloud(positions, dimensions, cloud)).toBeGreaterThan(0.99);
    const { positions: early } = await run(2, 50);
    for (const threads of [1, 3]) expect((await run(threads, 50)).positions).toEqual(early);
  },
);

/** Share of the rows whose nearest in the arrangement is of their own cloud. */
function sameCloud(positions: Float32Array, dimensions: number, cloud: Int32Array): number {
  const nearest = (row: number): number => {
    let [best, least] = [-1, Number.POSITIVE_INFINITY];
    for (let other = 0; other < cloud.length; other++) {
      let square = 0;
      for (let k = 0; k < dimensions; k++)
        square +=
          ((positions[row * dimensions + k] as number) - (positions[other * dimensions + k] as number)) ** 2;
      if (other !== row && square < least) [best, least] = [other, square];
    }
    return best;
  };
  return cloud.filter((each, row) => cloud[nearest(row)] === each).length / cloud.length;
}

test("more rows than are arranged come to lie among those nearest to them; a double lies where its like does", async () => {
  const { vectors, cloud } = clouds(500, 6, 4);
  vectors.copyWithin(0, 6 * 6, 7 * 6);
  const stages: string[] = [];
  const options = {
    ...{ random: randomOf(3), most: 200, perplexity: 10, iterations: 300, threads: 2 },
    onProgress: (stage: string, done: number, all: number) => stages.push(`${stage} ${done} of ${all}`),
  };
  const { positions, arranged } = await tsne(vectors, 6, options);
  expect(arranged).toHaveLength(200);
  expect([...arranged]).toEqual([...new Set(arranged)].sort((a, b) => a - b));
  expect(stages.at(-1)).toBe("placing 300 of 300");
  expect(positions).toHaveLength(1000);
  expect(positions.every(Number.isFinite)).toBe(true);
  expect(sameCloud(positions, 2, cloud)).toBeGreaterThan(0.97);
  expect(trustworthiness(vectors, 6, positions, 2, 8)).toBeGreaterThan(0.9);
  // An arranged row and its double, if they are not both arranged.
  const [first, double] = [arranged.includes(0), arranged.includes(6)];
  expect(first && double).toBe(false);
  if (first || double)
    for (const k of [0, 1]) expect(positions[k]).toBeCloseTo(positions[12 + k] as number, 4);
});

test("rows that are all the same, and rows on a line, are arranged without ado", async () => {
  for (const vectors of [
    new Float32Array(120).fill(2),
    Float32Array.from({ length: 120 }, (_, i) => Math.floor(i / 3)),
  ]) {
    const { positions } = await tsne(vectors, 3, {
      ...{ dimensions: 3, random: randomOf(1), threads: 1, perplexity: 5, iterations: 300 },
    });
    expect(positions.every(Number.isFinite)).toBe(true);
    const third = positions.filter((_, i) => i % 3 === 2);
    expect(Math.max(...third) - Math.min(...third)).toBeGreaterThan(0.01);
  }
});

test("it stops between two iterations when told, and refuses what it cannot do", async () => {
  const { vectors } = clouds(200, 4, 2);
  const stop = new AbortController();
  const seen: number[] = [];
  const running = tsne(vectors, 4, {
    ...{ random: randomOf(1), threads: 2, signal: stop.signal },
    onProgress: (_, done) => {
      seen.push(done);
      if (done === 7) stop.abort(new Error("enough"));
    },
  });
  await expect(running).rejects.toThrow("enough");
  expect(seen.at(-1)).toBe(7);
  const options = { random: randomOf(1), threads: 1 };
  const signal = AbortSignal.abort(new Error("not even begun"));
  await expect(tsne(vectors, 4, { ...options, signal })).rejects.toThrow("not even begun");
  await expect(tsne(vectors.subarray(0, 200), 4, options)).rejects.toThrow(/perplexity 30 of 50 vectors/);
  await expect(tsne(vectors.subarray(0, 12), 4, options)).rejects.toThrow(/3 vectors are too few/);
  await expect(tsne(vectors, 7, options)).rejects.toThrow(/no whole rows of 7/);
});

test.each([2, 3] as const)(
  "UMAP keeps clouds apart in %i dimensions, and gives the same again",
  async (dimensions) => {
    const { vectors, cloud } = clouds(300, 8, 4);
    const epochs: number[] = [];
    const run = (most = 300) =>
      umap(vectors, 8, {
        ...{ dimensions, random: randomOf(1), epochs: 100, most },
        onProgress: (stage, done) => stage === "arranging" && epochs.push(done),
      });
    const { positions } = await run();
    expect(epochs).toHaveLength(100);
    expect((await run()).positions).toEqual(positions);
    expect(trustworthiness(vectors, 8, positions, dimensions, 8)).toBeGreaterThan(0.92);
    expect(sameCloud(positions, dimensions, cloud)).toBeGreaterThan(0.98);
    const some = await run(150);
    expect(some.arranged).toHaveLength(150);
    expect(sameCloud(some.positions, dimensions, cloud)).toBeGreaterThan(0.95);
  },
);

test("UMAP refuses what it cannot do, and stops when told", async () => {
  const { vectors } = clouds(40, 4, 2);
  const random = randomOf(1);
  await expect(umap(vectors.subarray(0, 40), 4, { random })).rejects.toThrow(
    /UMAP with 15 neighbours: 10 vectors are too few/,
  );
  await expect(umap(vectors, 4, { random, neighbours: 1 })).rejects.toThrow(/UMAP with 1 neighbours/);
  const stop = new AbortController();
  const options = { random, signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) };
  await expect(umap(vectors, 4, options)).rejects.toThrow("enough");
});

test("trustworthiness is 1 where all neighbours are kept, about a half where none is, and refuses what does not fit", () => {
  const { vectors } = clouds(200, 2, 3);
  expect(trustworthiness(vectors, 2, vectors, 2)).toBe(1);
  expect(
    trustworthiness(
      vectors,
      2,
      vectors.map((value) => -3 * value),
      2,
    ),
  ).toBe(1);
  const random = randomOf(9);
  const chance = trustworthiness(
    vectors,
    2,
    vectors.map(() => random.normal()),
    2,
  );
  expect(chance).toBeGreaterThan(0.4);
  expect(chance).toBeLessThan(0.6);
  expect(() => trustworthiness(vectors, 2, vectors.subarray(2), 2)).toThrow(/199 positions of 200 vectors/);
  expect(() => trustworthiness(vectors, 2, vectors, 2, 100)).toThrow(/100 neighbours of 200 rows/);
});
