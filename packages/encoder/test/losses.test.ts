import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { LOSS_NAMES, LOSSES, type LossName, structureOf, type Triplet } from "../src/index.ts";

/** Steps of differences are exact in float32: embeddings are multiples of a greater power of two. */
const STEP = 2 ** -10;
const [LOCATIONS, PER_LOCATION, SIZE] = [5, 3, 3] as const;

/** A mini-batch as the trainer draws it: anchors, positives and negatives of five locations. */
function drawBatch(seed: number): { embeddings: Float32Array; structure: ReturnType<typeof structureOf> } {
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

test("a mini-batch's structure says which rows share a location, and which are the anchors", () => {
  const { structure } = drawBatch(1);
  expect(structure.locationOfRow.slice(0, 7)).toEqual([100, 100, 100, 101, 101, 101, 102]);
  expect(structure.anchors).toEqual([0, 3, 6, 9, 12]);
  expect(structure.triplets).toHaveLength(12);
});

const cases = LOSS_NAMES.flatMap((name) => [1, 0.5, 3].map((scale): [LossName, number] => [name, scale]));

test.each(cases)("%s at a scale of %d: its gradient is that of differences", (name, scale) => {
  for (const seed of [1, 2, 3]) {
    const { embeddings, structure } = drawBatch(seed);
    const lossOf = (changed: Float32Array): number =>
      LOSSES[name].compute(changed, SIZE, structure, { scale }).loss;
    const { gradient, loss } = LOSSES[name].compute(embeddings, SIZE, structure, { scale });
    expect(gradient).toHaveLength(embeddings.length);
    const largest = Math.max(...gradient.map(Math.abs));
    expect(largest).toBeGreaterThan(1e-3);
    expect(loss).toBe(lossOf(embeddings));
    for (const [i, slope] of gradient.entries()) {
      const [after, before] = [STEP, -STEP].map((step) =>
        lossOf(embeddings.map((value, k) => (k === i ? value + step : value))),
      ) as [number, number];
      const difference = (after - before) / (2 * STEP);
      expect(Math.abs(slope - difference) / largest, `number ${i} of batch ${seed}`).toBeLessThan(1e-4);
    }
  }
});

test.each(LOSS_NAMES)(
  "%s does not change when all embeddings are moved alike, and reports finite figures",
  (name) => {
    const { embeddings, structure } = drawBatch(4);
    const { gradient, ...figures } = LOSSES[name].compute(embeddings, SIZE, structure, { scale: 1 });
    const moved = LOSSES[name].compute(
      embeddings.map((value) => value + 4),
      SIZE,
      structure,
      { scale: 1 },
    );
    expect(moved.loss).toBeCloseTo(figures.loss, 9);
    expect(Object.values(figures).every(Number.isFinite)).toBe(true);
    expect(figures.accuracy).toBeGreaterThan(0);
    expect(figures.accuracy).toBeLessThan(1);
    // What pulls one way pushes the other: the gradients of all rows add up to nothing.
    for (let k = 0; k < SIZE; k++)
      expect(gradient.filter((_, i) => i % SIZE === k).reduce((a, b) => a + b, 0)).toBeCloseTo(0, 6);
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
  const one = LOSSES[name].compute(embeddings, 1, structure, { scale: 3 });
  expect(one.positive).toBeCloseTo(2, 6);
  expect(one.negative).toBeCloseTo(first, 6);
  const both = { ...structure, triplets: [triplet(2), triplet(3)] };
  expect(LOSSES[name].compute(embeddings, 1, both, { scale: 3 }).negative).toBeCloseTo(mean, 6);
  // The negative is as far as the positive, then nearer: neither is right.
  for (const [at, accuracy] of [
    [-2, 0],
    [-1, 0],
    [-2.5, 1],
  ] as const) {
    const moved = Float32Array.of(0, 2, at, 0);
    expect(LOSSES[name].compute(moved, 1, structure, { scale: 1 }).accuracy).toBe(accuracy);
  }
  expect(LOSSES[name].about).toMatch(/^the negative's distance is that to the /);
});
