import { randomOf } from "@loc2vec/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type BatchPlan, chooseApart, chooseSamples, keepDrawn, planBatches } from "../src/batches.ts";

/** The same cases in each run. */
fc.configureGlobal({ seed: 13, numRuns: 100 });

const CHANNELS = ["a", "b", "c", "d"];
const seed = fc.integer({ min: 0, max: 2 ** 31 });

/** A data set, which of its tiles are empty, and what mini-batches are to be made of it. */
const training = fc
  .record({
    locations: fc.integer({ min: 12, max: 60 }),
    shardLocations: fc.integer({ min: 1, max: 8 }),
    samples: fc.integer({ min: 3, max: 9 }),
    perBatch: fc.integer({ min: 2, max: 6 }),
    negatives: fc.integer({ min: 1, max: 3 }),
    emptyShare: fc.constantFrom(0, 0.1, 0.3),
    seed,
  })
  .chain((all) =>
    fc.record({ ...constants(all), pairs: fc.integer({ min: 1, max: Math.min(4, all.samples - 1) }) }),
  );

function constants<T extends object>(all: T): { [K in keyof T]: fc.Arbitrary<T[K]> } {
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, fc.constant(value)])) as never;
}

type Training = typeof training extends fc.Arbitrary<infer T> ? T : never;

function emptyTiles({ locations, samples, emptyShare, seed }: Training): Map<number, Set<number>> {
  const random = randomOf(seed, 99);
  const byLocation = new Map<number, Set<number>>();
  for (let location = 0; location < locations; location++) {
    const empty = Array.from({ length: samples }, (_, i) => i).filter(() => random.uniform() < emptyShare);
    if (empty.length > 0) byLocation.set(location, new Set(empty));
  }
  return byLocation;
}

async function plansOf(given: Training, count: number, options: Parameters<typeof planBatches>[4] = {}) {
  const dataset = { ...given, channels: CHANNELS };
  const shards = Array.from({ length: Math.ceil(given.locations / given.shardLocations) }, (_, i) => i);
  const empty = emptyTiles(given);
  const shape = { locations: given.perBatch, pairs: given.pairs, negatives: given.negatives };
  const plans = planBatches(dataset, shards, shape, given.seed, { look: async () => empty, ...options });
  const taken: BatchPlan[] = [];
  for (let i = 0; i < count; i++) taken.push((await plans.next()).value as BatchPlan);
  return { plans: taken, empty };
}

/** Locations whose anchor is drawn, and enough of whose positives are. */
function usableOf(given: Training): number[] {
  const empty = emptyTiles(given);
  return Array.from({ length: given.locations }, (_, i) => i).filter((location) => {
    const own = empty.get(location) ?? new Set();
    return !own.has(0) && given.samples - 1 - own.size >= given.pairs;
  });
}

test("mini-batches of any shape: distinct locations, an anchor and drawn positives each, triplets that are some", async () => {
  await fc.assert(
    fc.asyncProperty(training, async (given) => {
      const usable = usableOf(given);
      fc.pre(usable.length >= given.perBatch);
      const { plans, empty } = await plansOf(given, 6);
      const perLocation = 1 + given.pairs;
      for (const [i, { step, rows, triplets, channelsOn }] of plans.entries()) {
        expect(step).toBe(i + 1);
        expect(rows).toHaveLength(given.perBatch * perLocation);
        const anchors = rows.filter((_, row) => row % perLocation === 0);
        expect(new Set(anchors.map(({ location }) => location)).size).toBe(given.perBatch);
        for (const [row, { shard, location, sample }] of rows.entries()) {
          const anchor = rows[row - (row % perLocation)];
          expect([shard, location]).toEqual([anchor?.shard, anchor?.location]);
          expect(shard).toBe(Math.floor(location / given.shardLocations));
          expect(usable).toContain(location);
          expect(sample === 0).toBe(row % perLocation === 0);
          expect(sample).toBeLessThan(given.samples);
          expect(empty.get(location)?.has(sample) ?? false).toBe(false);
          const on = channelsOn.subarray(row * CHANNELS.length, (row + 1) * CHANNELS.length);
          if (sample === 0) expect([...on]).toEqual([1, 1, 1, 1]);
        }
        const tiles = rows.map(({ location, sample }) => `${location} ${sample}`);
        expect(new Set(tiles).size).toBe(rows.length);
        expect(channelsOn).toHaveLength(rows.length * CHANNELS.length);
        // Each pair has its negatives, each of another location.
        const pairs = triplets.map(({ anchor, positive }) => `${anchor} ${positive}`);
        const expected = rows.flatMap((_, row) =>
          row % perLocation === 0
            ? []
            : Array.from({ length: given.negatives }, () => `${row - (row % perLocation)} ${row}`),
        );
        expect(pairs).toEqual(expected);
        for (const { anchor, negative } of triplets) {
          expect(rows[negative]).toBeDefined();
          expect(rows[negative]?.location).not.toBe(rows[anchor]?.location);
        }
      }
    }),
  );
});

test("a training that resumes at any step goes on with what it would have had, and another seed has other mini-batches", async () => {
  await fc.assert(
    fc.asyncProperty(training, fc.integer({ min: 1, max: 8 }), async (given, first) => {
      fc.pre(usableOf(given).length >= given.perBatch);
      const { plans } = await plansOf(given, 8);
      const { plans: resumed } = await plansOf(given, 9 - first, { first });
      expect(resumed).toEqual(plans.slice(first - 1));
      const { plans: other } = await plansOf({ ...given, seed: given.seed + 1, emptyShare: 0 }, 8);
      expect(other).not.toEqual(plans);
    }),
    { numRuns: 50 },
  );
});

test("an epoch visits every usable location once", async () => {
  await fc.assert(
    fc.asyncProperty(training, async (given) => {
      const usable = usableOf(given);
      fc.pre(usable.length >= given.perBatch);
      // Two epochs: what is left over at the end of one begins the next.
      const count = Math.floor((2 * usable.length) / given.perBatch);
      const { plans } = await plansOf(given, count);
      const visits = new Map<number, number>();
      for (const { rows } of plans)
        for (const { location, sample } of rows)
          if (sample === 0) visits.set(location, (visits.get(location) ?? 0) + 1);
      const left = 2 * usable.length - count * given.perBatch;
      expect(usable.reduce((sum, location) => sum + 2 - (visits.get(location) ?? 0), 0)).toBe(left);
      expect(Math.max(...visits.values())).toBeLessThanOrEqual(3);
    }),
  );
});

test("what is not eligible never comes, and what is not apart never together", async () => {
  await fc.assert(
    fc.asyncProperty(training, async (given) => {
      const [eligible, apart] = [
        (location: number) => location % 5 !== 0,
        (a: number, b: number) => Math.abs(a - b) > 1,
      ];
      const usable = usableOf(given).filter(eligible);
      fc.pre(usable.length >= 3 * given.perBatch);
      const { plans } = await plansOf(given, 4, { eligible, together: { apart } });
      for (const { rows } of plans) {
        const locations = rows.filter(({ sample }) => sample === 0).map(({ location }) => location);
        expect(locations.every(eligible)).toBe(true);
        for (const [i, a] of locations.entries())
          for (const b of locations.slice(i + 1)) expect(apart(a, b)).toBe(true);
      }
    }),
  );
});

const DATASET = { locations: 8, shardLocations: 2, samples: 4, channels: CHANNELS };
const begin = (
  shape: Parameters<typeof planBatches>[2],
  options: Parameters<typeof planBatches>[4] = {},
  dataset = DATASET,
) => planBatches(dataset, [0, 1, 2, 3], shape, 0, options).next();

test("what cannot make a mini-batch is refused, and what just can is not", async () => {
  for (const [shape, options, expected] of [
    [
      { locations: 1, pairs: 1 },
      {},
      { kind: "usage", message: "a mini-batch of 1 locations has no negatives", mend: "2 or more" },
    ],
    [
      { locations: 2, pairs: 4 },
      {},
      {
        kind: "input",
        message: "3 positives per location do not suffice for 4 pairs",
        mend: "enqueue more positives, or train with fewer --pairs",
      },
    ],
    [
      { locations: 2, pairs: 0 },
      {},
      { kind: "input", message: "3 positives per location do not suffice for 0 pairs" },
    ],
    [
      { locations: 9, pairs: 3 },
      {},
      {
        kind: "input",
        message: "8 rendered locations are too few for mini-batches of 9",
        mend: "render more locations, or train with fewer --batch-locations",
      },
    ],
    [
      { locations: 2, pairs: 3 },
      { together: { apart: () => false } },
      {
        kind: "input",
        message: "among 8 locations there are no 2 that lie far enough from one another",
        mend: "train with fewer --batch-locations, or a smaller --min-distance",
      },
    ],
    [
      { locations: 8, pairs: 3 },
      { eligible: (i: number) => i > 0 },
      { message: /^7 rendered locations are too few/ },
    ],
  ] as const)
    await expect(begin(shape, options)).rejects.toMatchObject(
      "message" in expected && expected.message instanceof RegExp
        ? { message: expect.stringMatching(expected.message) }
        : expected,
    );
  for (const shape of [
    { locations: 2, pairs: 1 },
    { locations: 8, pairs: 3 },
  ])
    expect((await begin(shape)).value?.rows).toHaveLength(shape.locations * (1 + shape.pairs));
});

test("the first epoch goes by the shards' order when it is early, later ones do not; each is asked of when it is needed", async () => {
  const many = { ...DATASET, locations: 80 };
  const shards = Array.from({ length: 40 }, (_, i) => 39 - i);
  const visit = async (early: boolean) => {
    const asked: number[][] = [];
    const look = async (pool: readonly number[]) => {
      asked.push([...pool]);
      return new Map<number, ReadonlySet<number>>();
    };
    const plans = planBatches(many, shards, { locations: 2, pairs: 1 }, 3, { early, look });
    const seen: BatchPlan[] = [];
    for (let i = 0; i < 80; i++) {
      seen.push((await plans.next()).value as BatchPlan);
      // 16 shards of two locations: 16 mini-batches of two.
      if (i === 0) expect(asked).toHaveLength(1);
      if (i === 16) expect(asked).toHaveLength(2);
    }
    return { asked: asked.slice(0, 6), seen };
  };
  const { asked: inOrder } = await visit(true);
  const { asked: shuffled, seen } = await visit(false);
  expect(inOrder.slice(0, 3)).toEqual([shards.slice(0, 16), shards.slice(16, 32), shards.slice(32)]);
  expect(inOrder.slice(3).flat()).not.toEqual(shards);
  expect(inOrder.slice(3).flat().toSorted()).toEqual(shards.toSorted());
  expect(shuffled.slice(0, 3).flat()).not.toEqual(shards);
  expect(shuffled.slice(0, 3).flat()).not.toEqual(shuffled.slice(3).flat());
  const locations = seen
    .slice(0, 16)
    .flatMap(({ rows }) => rows.filter((_, row) => row % 2 === 0).map((r) => r.location));
  expect(new Set(locations)).toEqual(
    new Set((shuffled[0] ?? []).flatMap((shard) => [2 * shard, 2 * shard + 1])),
  );
});

test("mini-batches are those of every training so far (pinned values)", async () => {
  const many = { ...DATASET, locations: 80 };
  const shards = Array.from({ length: 40 }, (_, i) => i);
  const plans = planBatches(many, shards, { locations: 4, pairs: 1 }, 3);
  const seen: string[] = [];
  // Two epochs of 20 mini-batches.
  for (let i = 0; i < 40; i++) {
    const { rows, triplets, channelsOn } = (await plans.next()).value as BatchPlan;
    const text = `${rows.map((row) => `${row.location}.${row.sample}`).join(" ")}, ${triplets.map((t) => t.negative).join(" ")}, ${channelsOn.filter((on) => on === 0).length}`;
    if ([0, 10, 19, 20, 39].includes(i)) seen.push(text);
  }
  expect(seen).toMatchInlineSnapshot(`
    [
      "4.0 4.3 28.0 28.2 36.0 36.1 12.0 12.1, 5 5 6 4, 2",
      "44.0 44.2 21.0 21.2 41.0 41.1 58.0 58.3, 7 4 2 0, 2",
      "49.0 49.2 70.0 70.2 48.0 48.2 22.0 22.3, 4 7 7 0, 2",
      "25.0 25.2 65.0 65.2 64.0 64.2 50.0 50.2, 3 6 1 3, 2",
      "70.0 70.1 75.0 75.3 12.0 12.2 58.0 58.1, 7 5 6 3, 4",
    ]
  `);
});

test("a channel of a positive is off with a probability of 0.2, and negatives come from all rows of all others", async () => {
  const given = { locations: 60, shardLocations: 6, samples: 9, perBatch: 5, pairs: 4, negatives: 2 };
  const { plans } = await plansOf({ ...given, emptyShare: 0, seed: 8 }, 240);
  let [off, total] = [0, 0];
  const negatives = new Map<number, number>();
  const samples = new Map<number, number>();
  for (const { rows, channelsOn, triplets } of plans) {
    for (const [row, { sample }] of rows.entries()) {
      if (sample === 0) continue;
      samples.set(sample, (samples.get(sample) ?? 0) + 1);
      total += CHANNELS.length;
      off += channelsOn.subarray(4 * row, 4 * row + 4).filter((on) => on === 0).length;
    }
    for (const { anchor, negative } of triplets)
      if (anchor === 0) negatives.set(negative, (negatives.get(negative) ?? 0) + 1);
  }
  expect(off / total).toBeGreaterThan(0.19);
  expect(off / total).toBeLessThan(0.21);
  // All 20 rows of the others, about as often each; 1,920 draws.
  expect([...negatives.keys()].toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 20 }, (_, i) => 5 + i),
  );
  expect(Math.min(...negatives.values())).toBeGreaterThan(60);
  expect(Math.max(...negatives.values())).toBeLessThan(140);
  expect([...samples.keys()].toSorted()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test("samples are distinct, in range, none of those left out", () => {
  fc.assert(
    fc.property(
      seed,
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.integer({ min: 0, max: 30 })),
      (key, total, without) => {
        const left = new Set(without);
        const possible = Array.from({ length: total }, (_, i) => i + 1).filter((sample) => !left.has(sample));
        const chosen = chooseSamples(randomOf(key), total, possible.length, left);
        expect(chosen.toSorted((a, b) => a - b)).toEqual(possible);
        const few = chooseSamples(randomOf(key), total, 1, undefined);
        expect(few).toHaveLength(1);
        expect(few[0]).toBeGreaterThanOrEqual(1);
        expect(few[0]).toBeLessThanOrEqual(total);
      },
    ),
  );
});

test("those chosen are the first that may be together, and no more are asked for than needed", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40)), fc.integer({ min: 1, max: 8 }), fc.nat(4), (candidates, count, gap) => {
      let asked = 0;
      function* one(): Generator<number> {
        for (const candidate of candidates) {
          asked++;
          yield candidate;
        }
      }
      const apart = (a: number, b: number) => Math.abs(a - b) >= gap;
      const chosen = chooseApart(one(), count, (i) => i, apart);
      const expected: number[] = [];
      let needed = 0;
      for (const candidate of candidates) {
        if (expected.length === count) break;
        needed++;
        if (expected.every((other) => other !== candidate && apart(other, candidate)))
          expected.push(candidate);
      }
      expect(chosen).toEqual(expected);
      expect(asked).toBe(needed);
    }),
  );
});

test("what is drawn on a tile stays visible: one channel, at random, of those that are drawn", () => {
  const tile = fc.uint8Array({ minLength: 12, maxLength: 12, max: 1 });
  const rows = fc.array(fc.record({ tile, on: fc.uint8Array({ minLength: 4, maxLength: 4, max: 1 }) }), {
    minLength: 1,
    maxLength: 8,
  });
  const chosen = new Set<number>();
  fc.assert(
    fc.property(rows, fc.nat(1000), seed, (all, step, key) => {
      const channelsOn = Uint8Array.from(all.flatMap(({ on }) => [...on]));
      const before = channelsOn.slice();
      const plan = { step, rows: all.map(() => ({ shard: 0, location: 0, sample: 1 })), channelsOn };
      const mended = keepDrawn(
        plan,
        all.map((one) => one.tile),
        key,
      );
      expect(channelsOn).toEqual(before);
      expect(
        keepDrawn(
          plan,
          all.map((one) => one.tile),
          key,
        ),
      ).toEqual(mended);
      for (const [row, { tile, on }] of all.entries()) {
        const drawn = [0, 1, 2, 3].filter((c) => tile.subarray(3 * c, 3 * c + 3).some((v) => v > 0));
        const now = mended.subarray(4 * row, 4 * row + 4);
        const changed = [0, 1, 2, 3].filter((c) => now[c] !== on[c]);
        const wasBlank = drawn.length > 0 && !drawn.some((c) => on[c] === 1);
        expect(changed).toHaveLength(wasBlank ? 1 : 0);
        for (const channel of changed) {
          expect(drawn).toContain(channel);
          expect(now[channel]).toBe(1);
          if (drawn.length === 4) chosen.add(channel);
        }
      }
    }),
  );
  expect(chosen).toEqual(new Set([0, 1, 2, 3]));
});
