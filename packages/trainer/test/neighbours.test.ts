import { distanceM, METRES_PER_DEGREE, type Place, randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { type BatchPlan, planBatches, togetherOn } from "../src/batches.ts";

/** Locations of a town of three by three kilometres, some 60 m from the next one. */
const LOCATIONS = 2560;
const random = randomOf(5);
const PLACES = Array.from({ length: LOCATIONS }, (): Place => {
  const [x, y] = [3000 * random.uniform(), 3000 * random.uniform()];
  return { lon: x / METRES_PER_DEGREE / Math.cos(Math.PI / 3), lat: 60 + y / METRES_PER_DEGREE };
});
const placeOf = (i: number): Place => PLACES[i] as Place;
const metres = (a: number, b: number): number => distanceM(placeOf(a), placeOf(b));
const TOWN = { locations: LOCATIONS, shardLocations: 64, samples: 6, channels: ["one"] };
const SHARDS = [...Array(LOCATIONS / 64).keys()];

async function plansOf(count: number, neighbours: number, first = 1): Promise<BatchPlan[]> {
  const shape = { locations: 10, pairs: 2, neighbours };
  const together = togetherOn(placeOf, 510, 100);
  const plans = planBatches(TOWN, SHARDS, shape, 3, { first, together });
  const taken: BatchPlan[] = [];
  while (taken.length < count) taken.push((await plans.next()).value);
  return taken;
}

const locationsOf = ({ rows }: BatchPlan): number[] =>
  rows.filter(({ sample }) => sample === 0).map(({ location }) => location);

/** Pairs of a mini-batch that are nearer to one another than two footprints. */
const nearPairs = (plan: BatchPlan): number[] => {
  const locations = locationsOf(plan);
  return locations
    .flatMap((a, i) => locations.slice(i + 1).map((b) => metres(a, b)))
    .filter((distance) => distance < 510);
};

test("half of a mini-batch lies near the other half: neither on it nor far away; the rest is apart", async () => {
  for (const plan of await plansOf(100, 0.5)) {
    const locations = locationsOf(plan);
    expect(new Set(locations).size).toBe(10);
    expect(nearPairs(plan).every((distance) => distance >= 100)).toBe(true);
    // Each of the first nine is followed by its neighbour, or is one.
    const paired = locations.filter((a) =>
      locations.some((b) => a !== b && metres(a, b) >= 100 && metres(a, b) <= 400),
    );
    expect(paired.length).toBe(10);
  }
});

test("a smaller share brings fewer, and none brings none", async () => {
  for (const plan of await plansOf(50, 0.2)) {
    const locations = locationsOf(plan);
    // Two neighbours: eight others are as far from one another as ever.
    const apart = locations.filter((a) => locations.every((b) => a === b || metres(a, b) >= 510));
    expect(apart.length).toBeGreaterThanOrEqual(4);
    expect(nearPairs(plan).length).toBeGreaterThanOrEqual(2);
  }
  for (const plan of await plansOf(50, 0)) expect(nearPairs(plan)).toEqual([]);
});

test("an epoch visits every location once, and a training that resumes goes on with what it would have had", async () => {
  const plans = await plansOf(LOCATIONS / 10, 0.5);
  const visits = new Map<number, number>();
  for (const location of plans.flatMap(locationsOf)) visits.set(location, (visits.get(location) ?? 0) + 1);
  // Those that found no company wait for the next epoch, which has begun where they are many.
  expect(Math.max(...visits.values())).toBeLessThanOrEqual(2);
  expect(visits.size).toBeGreaterThan(0.9 * LOCATIONS);
  expect(await plansOf(5, 0.5, 31)).toEqual(plans.slice(30, 35));
});

test("where nobody has neighbours, mini-batches are as without", async () => {
  const shape = { locations: 4, pairs: 1, neighbours: 0.5 };
  const few = { ...TOWN, locations: 256 };
  // A degree from one to the next.
  const together = togetherOn((i) => ({ lon: 0, lat: -80 + i / 2 }), 510, 100);
  const plans = planBatches(few, [0, 1, 2, 3], shape, 3, { together });
  const plain = planBatches(few, [0, 1, 2, 3], { ...shape, neighbours: 0 }, 3);
  for (let i = 0; i < 20; i++) expect((await plans.next()).value).toEqual((await plain.next()).value);
});
