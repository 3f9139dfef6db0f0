import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import {
  type BatchStructure,
  computeObjective,
  LOSS_NAMES,
  LOSSES,
  type LossName,
  type LossResult,
  structureOf,
  type Triplet,
} from "../src/index.ts";
import { decorrelation } from "../src/losses/decorrelate.ts";
import { scaleOf } from "../src/losses/triplets.ts";

/** Steps of differences are exact in float32: embeddings are multiples of a greater power of two. */
const STEP = 2 ** -10;
const [LOCATIONS, PER_LOCATION, SIZE] = [5, 3, 3] as const;
const OF_BATCHES = ["softpn-all", "softpn-hard", "ntxent", "dcl"] as const;
const ON_SPHERE: readonly LossName[] = ["ntxent", "dcl"];

interface Batch {
  embeddings: Float32Array;
  structure: BatchStructure;
}

/** A mini-batch as the trainer draws it: anchors, positives and negatives of five locations. */
function drawBatch(seed: number): Batch {
  const random = randomOf(seed);
  const rows = Array.from({ length: LOCATIONS * PER_LOCATION }, (_, row) => ({
    location: 100 + Math.floor(row / PER_LOCATION),
    sample: (row % PER_LOCATION) * 4,
  }));
  const embeddings = Float32Array.from({ length: rows.length * SIZE }, () => random.int(512) / 128 - 2);
  const triplets = Array.from({ length: 12 }, (): Triplet => {
    const own = random.int(LOCATIONS);
    const other = (own + 1 + random.int(LOCATIONS - 1)) % LOCATIONS;
    return {
      anchor: own * PER_LOCATION,
      positive: own * PER_LOCATION + 1 + random.int(PER_LOCATION - 1),
      negative: other * PER_LOCATION + random.int(PER_LOCATION),
    };
  });
  return { embeddings, structure: structureOf(rows, triplets) };
}

const resultOf = (
  loss: LossName,
  { embeddings, structure }: Batch,
  temperature: number = LOSSES[loss].temperature,
  decorrelate = 0,
  size: number = SIZE,
): LossResult => computeObjective(embeddings, size, structure, { loss, temperature, decorrelate });

/** The gradient is that of differences of the fourth order. */
function expectDifferences(batch: Batch, compute: (batch: Batch) => Pick<LossResult, "loss" | "gradient">) {
  const { gradient, loss } = compute(batch);
  expect(gradient).toHaveLength(batch.embeddings.length);
  const largest = Math.max(...gradient.map(Math.abs));
  expect(largest).toBeGreaterThan(1e-3);
  expect(loss).toBe(compute(batch).loss);
  for (const [i, slope] of gradient.entries()) {
    const at = (step: number): number =>
      compute({
        ...batch,
        embeddings: batch.embeddings.map((value, k) => (k === i ? value + step : value)),
      }).loss;
    const difference = (8 * (at(STEP) - at(-STEP)) - (at(2 * STEP) - at(-2 * STEP))) / (12 * STEP);
    expect(Math.abs(slope - difference) / largest, `number ${i}`).toBeLessThan(1e-4);
  }
}

test("a mini-batch's structure says which rows share a location, and which are the anchors", () => {
  const { structure } = drawBatch(1);
  expect(structure.locationOfRow.slice(0, 7)).toEqual([100, 100, 100, 101, 101, 101, 102]);
  expect(structure.anchors).toEqual([0, 3, 6, 9, 12]);
  expect(structure.triplets).toHaveLength(12);
});

const cases = LOSS_NAMES.flatMap((name) =>
  [LOSSES[name].temperature, 2, 1 / 3].map((temperature): [LossName, number] => [name, temperature]),
);

test.each(cases)("%s at a temperature of %d: its gradient is that of differences", (name, temperature) => {
  for (const seed of [1, 2, 3])
    expectDifferences(drawBatch(seed), (batch) => resultOf(name, batch, temperature));
});

test("a loss of the whole mini-batch needs no order of its rows, nor locations of one size", () => {
  const { embeddings, structure } = drawBatch(5);
  const locationOfRow = [4, 1, 4, 9, 1, 1, 7, 4, 4, 9, 2, 2, 4, 9, 1];
  for (const name of OF_BATCHES)
    expectDifferences({ embeddings, structure: { ...structure, locationOfRow } }, (batch) =>
      resultOf(name, batch),
    );
});

/** The losses as their papers write them, pair by pair. */
function asWritten(name: (typeof OF_BATCHES)[number], { embeddings, structure }: Batch, tau: number): number {
  const { locationOfRow } = structure;
  const rows = [...locationOfRow.keys()];
  const row = (i: number): number[] => [...embeddings.subarray(i * SIZE, (i + 1) * SIZE)];
  const distance = (a: number, b: number): number =>
    Math.hypot(...row(a).map((x, k) => x - (row(b)[k] as number)));
  const cosine = (a: number, b: number): number =>
    row(a).reduce((sum, x, k) => sum + x * (row(b)[k] as number), 0) /
    Math.hypot(...row(a)) /
    Math.hypot(...row(b));
  const weight = (a: number, b: number): number =>
    Math.exp((ON_SPHERE.includes(name) ? cosine(a, b) : -distance(a, b)) / tau);
  const terms = rows.flatMap((i) =>
    rows
      .filter((j) => j !== i && locationOfRow[j] === locationOfRow[i])
      .map((j) => {
        const others = rows.filter((k) => locationOfRow[k] !== locationOfRow[i]);
        if (name === "softpn-hard") {
          const far = Math.min(...others.flatMap((k) => [distance(i, k), distance(j, k)]));
          return (1 / (1 + weight(i, j) / Math.exp(-far / tau))) ** 2;
        }
        const negatives = others.reduce((sum, k) => sum + weight(i, k), 0);
        return -Math.log(weight(i, j) / (name === "dcl" ? negatives : negatives + weight(i, j)));
      }),
  );
  return terms.reduce((a, b) => a + b, 0) / terms.length;
}

test.each(OF_BATCHES)("%s is what its paper writes", (name) => {
  for (const temperature of [LOSSES[name].temperature, 2])
    for (const seed of [6, 7]) {
      const batch = drawBatch(seed);
      expect(resultOf(name, batch, temperature).loss).toBeCloseTo(asWritten(name, batch, temperature), 8);
    }
});

test.each(LOSS_NAMES.filter((name) => !ON_SPHERE.includes(name)))(
  "%s does not change when all embeddings are moved alike, and reports finite figures",
  (name) => {
    const batch = drawBatch(4);
    const { gradient, ...figures } = resultOf(name, batch, 1);
    const moved = { ...batch, embeddings: batch.embeddings.map((value) => value + 4) };
    expect(resultOf(name, moved, 1).loss).toBeCloseTo(figures.loss, 9);
    expect(Object.values(figures).every(Number.isFinite)).toBe(true);
    expect(figures.accuracy).toBeGreaterThan(0);
    expect(figures.accuracy).toBeLessThan(1);
    // What pulls one way pushes the other: the gradients of all rows add up to nothing.
    for (let k = 0; k < SIZE; k++)
      expect(gradient.filter((_, i) => i % SIZE === k).reduce((a, b) => a + b, 0)).toBeCloseTo(0, 6);
  },
);

test.each(ON_SPHERE)(
  "%s asks for directions alone: lengths change nothing, and no gradient lies along them",
  (name) => {
    const batch = drawBatch(4);
    const { loss, gradient, positive } = resultOf(name, batch);
    const longer = {
      ...batch,
      embeddings: batch.embeddings.map((value, i) => (i < 7 * SIZE ? 2 : 8) * value),
    };
    const scaled = resultOf(name, longer);
    expect(scaled.loss).toBeCloseTo(loss, 9);
    // What is told of distances is of the embeddings as they are.
    expect(scaled.positive).toBeGreaterThan(2 * positive);
    for (let row = 0; row < LOCATIONS * PER_LOCATION; row++) {
      const [x, slope] = [batch.embeddings, gradient].map((all) =>
        all.subarray(row * SIZE, (row + 1) * SIZE),
      ) as [Float32Array, Float32Array];
      expect(x.reduce((sum, value, k) => sum + value * (slope[k] as number), 0)).toBeCloseTo(0, 6);
      // Twice as long, the same turn takes a step twice as long: half the gradient.
      expect(scaled.gradient[row * SIZE]).toBeCloseTo((slope[0] as number) / (row < 7 ? 2 : 8), 6);
    }
  },
);

test.each([
  ["softpn", 3, 3.25],
  ["ratio", 5, 4.25],
] as const)("%s tells of distances as they are, and of triplets that are right", (name, first, mean) => {
  // On a line: an anchor, its positive 2 away, two negatives; by hand.
  const embeddings = Float32Array.of(0, 2, 5, -3.5);
  const triplet = (negative: number): Triplet => ({ anchor: 0, positive: 1, negative });
  const structure = { locationOfRow: [1, 1, 2, 3], anchors: [0, 2, 3], triplets: [triplet(2)] };
  const one = resultOf(name, { embeddings, structure }, 1 / 3, 0, 1);
  expect(one.positive).toBeCloseTo(2, 6);
  expect(one.negative).toBeCloseTo(first, 6);
  const both = { ...structure, triplets: [triplet(2), triplet(3)] };
  expect(resultOf(name, { embeddings, structure: both }, 1 / 3, 0, 1).negative).toBeCloseTo(mean, 6);
  // The negative is as far as the positive, then nearer: neither is right.
  for (const [at, accuracy] of [
    [-2, 0],
    [-1, 0],
    [-2.5, 1],
  ] as const) {
    const moved = Float32Array.of(0, 2, at, 0);
    expect(resultOf(name, { embeddings: moved, structure }, 1, 0, 1).accuracy).toBe(accuracy);
  }
  expect(LOSSES[name].about).toMatch(/^the negative's distance is that to the /);
});

test.each(OF_BATCHES)(
  "%s tells of all pairs, of the nearest negatives, and of the drawn triplets",
  (name) => {
    // On a line, two of each location; by hand. The nearest negatives are 5, 3, 3 and 4 away, those of the pairs 3 and 3.
    const embeddings = Float32Array.of(0.5, 2.5, 5.5, 6.5);
    const at = (anchor: number, positive: number, negative: number): Triplet => ({
      anchor,
      positive,
      negative,
    });
    const batch = {
      embeddings,
      structure: { locationOfRow: [8, 8, 3, 3], anchors: [0, 2], triplets: [at(0, 1, 2)] },
    };
    for (const temperature of [1, 0.1]) {
      const { positive, negative, accuracy } = resultOf(name, batch, temperature, 0, 1);
      expect(positive).toBeCloseTo(1.5, 6);
      expect(negative).toBeCloseTo(name === "softpn-hard" ? 3 : 3.75, 6);
      expect(accuracy).toBe(1);
    }
    // Of these, the second's negative is nearer to the anchor than the positive is, the third's to the positive.
    const embedded = Float32Array.of(0, 4, 6, 9);
    const triplets = [at(2, 3, 0), at(3, 2, 1), at(1, 0, 2), at(0, 1, 2)];
    const some = { embeddings: embedded, structure: { ...batch.structure, triplets } };
    expect(resultOf(name, some, 1, 0, 1).accuracy).toBe(0.25);
    // As far as the positive is not right: 4 and 4.
    const even = {
      embeddings: Float32Array.of(0, 4, -4, 9),
      structure: { ...batch.structure, triplets: [at(0, 1, 2)] },
    };
    expect(resultOf(name, even, 1, 0, 1).accuracy).toBe(0);
  },
);

test.each(OF_BATCHES)(
  "%s stays finite where embeddings are one, have no length, or lie far apart",
  (name) => {
    const { structure } = drawBatch(1);
    const count = LOCATIONS * PER_LOCATION * SIZE;
    for (const value of [0, 1]) {
      const { gradient, ...figures } = resultOf(name, {
        embeddings: new Float32Array(count).fill(value),
        structure,
      });
      expect(Math.max(...gradient.map(Math.abs))).toBeLessThan(1e-6);
      expect(Object.values(figures).every(Number.isFinite)).toBe(true);
    }
    const far = drawBatch(2).embeddings.map((value) => 1e4 * value);
    const { gradient, ...figures } = resultOf(name, { embeddings: far, structure });
    expect([...gradient, ...Object.values(figures)].every(Number.isFinite)).toBe(true);
  },
);

test("each loss says what it is, in words of its own", () => {
  const abouts = LOSS_NAMES.map((name) => LOSSES[name].about);
  expect(new Set(abouts).size).toBe(LOSS_NAMES.length);
  for (const about of abouts) expect(about.length).toBeGreaterThan(20);
});

test("the scale of trainings of old comes back from its temperature to the bit", () => {
  expect(1 / (1 / 49)).not.toBe(49);
  for (const scale of [...Array(2000).keys()].flatMap((i) => [i + 1, (i + 1) / 1000]))
    expect(scaleOf(1 / scale)).toBe(scale);
});

test("decorrelation: its gradient is that of differences, alone and as it is added to a loss", () => {
  const batch = drawBatch(3);
  // Numbers that vary too little, too.
  const narrow = {
    ...batch,
    embeddings: batch.embeddings.map((value, i) => (i % SIZE === 1 ? value / 4 : value)),
  };
  expectDifferences(narrow, ({ embeddings }) => {
    const { value, gradient } = decorrelation(embeddings, SIZE);
    return { loss: value, gradient: Float32Array.from(gradient) };
  });
  for (const name of LOSS_NAMES) {
    expectDifferences(narrow, (changed) => resultOf(name, changed, undefined, 0.5));
    const { loss, gradient, ...figures } = resultOf(name, narrow, undefined, 0.5);
    const { loss: without, gradient: own, ...same } = resultOf(name, narrow);
    const added = decorrelation(narrow.embeddings, SIZE);
    expect(figures).toEqual(same);
    expect(loss).toBeCloseTo(without + added.value / 2, 12);
    for (const [i, slope] of gradient.entries())
      expect(slope).toBeCloseTo((own[i] as number) + (added.gradient[i] as number) / 2, 6);
  }
});

test("decorrelation, by hand: covariances weigh a 25th, and who varies enough is left alone", () => {
  // Twice the same number: variances and covariance are 2.
  expect(decorrelation(Float32Array.of(0, 0, 2, 2), 2).value).toBeCloseTo((2 * 2 ** 2) / 2 / 25, 9);
  // Standard deviations of √0.18 and 0, with 1e-4 added to the variance.
  const { value } = decorrelation(Float32Array.of(0, 5, 0.6, 5), 2);
  expect(value).toBeCloseTo((1 - Math.sqrt(0.1801) + 1 - 0.01) / 2, 6);
  const apart = decorrelation(Float32Array.of(3, 3, 3, -3, -3, 3, -3, -3), 2);
  expect(apart.value).toBe(0);
  expect([...apart.gradient].every((slope) => slope === 0)).toBe(true);
});
