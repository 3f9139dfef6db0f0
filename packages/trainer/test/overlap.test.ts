import { apartM, distanceM, type Place, partOf, randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { chooseMinDistance, shareOfNearPairs, warnOfBatches, warnOfHoldout } from "../src/overlap.ts";
import { splitPlaces } from "../src/split.ts";

const APART = apartM(100, 80);
/** A square town of so many metres, full of places. */
function town(metres: number, count: number): Place[] {
  const random = randomOf(metres, count);
  const degrees = metres / 111_195;
  return Array.from({ length: count }, () => ({
    lon: 8 + (degrees * random.uniform()) / Math.cos((47 * Math.PI) / 180),
    lat: 47 + degrees * random.uniform(),
  }));
}

test("the distance within a mini-batch is two footprints, or less where the map has no room for them", () => {
  expect(chooseMinDistance(town(10_000, 4000), 20, APART)).toBe(510);
  expect(chooseMinDistance(town(2000, 4000), 20, APART)).toBe(255);
  expect(chooseMinDistance(town(1000, 4000), 20, APART)).toBe(127.5);
  expect(chooseMinDistance(town(100, 4000), 20, APART)).toBe(0);
});

test("what a smaller distance leaves is measured, as by counting all pairs", () => {
  const places = town(5000, 800);
  expect(shareOfNearPairs(places, 20, APART, APART)).toBe(0);
  let [pairs, near] = [0, 0];
  for (const [i, a] of places.entries()) {
    for (const b of places.slice(0, i)) {
      const metres = distanceM(a, b);
      if (metres < 200) continue;
      pairs++;
      if (metres < APART) near++;
    }
  }
  expect(shareOfNearPairs(places, 20, 200, APART)).toBeCloseTo(near / pairs, 2);
  expect(near / pairs).toBeGreaterThan(0.015);
  expect(warnOfBatches(places, 20, APART, APART)).toEqual([]);
  expect(warnOfBatches(places, 20, 200, APART)[0]).toMatch(
    /kept 200 m apart, less than two footprints \(510 m\): [12]\.\d % of its pairs/,
  );
});

test("a border of two footprints leaves no overlap; a narrower one, or small cells, warn with what they leave", () => {
  const places = town(8000, 3000);
  const holdout = { share: 0.2, cellM: 1000, borderM: APART };
  const warn = (changes: Partial<typeof holdout>): string[] => {
    const given = { ...holdout, ...changes };
    return warnOfHoldout(splitPlaces([{ seed: 3, places }], given), given, APART);
  };
  expect(warn({})).toEqual([]);
  expect(warn({ share: 0, borderM: 0 })).toEqual([]);
  const narrow = { ...holdout, borderM: 100 };
  const [train, heldout] = (["train", "heldout"] as const).map((part) =>
    places.filter((place) => partOf(3, place, narrow) === part),
  ) as [Place[], Place[]];
  const near = heldout.filter((a) => train.some((b) => distanceM(a, b) < APART)).length;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const border = places.length - train.length - heldout.length;
  expect(warn({ borderM: 100 })).toEqual([
    `a border of 100 m is narrower than two footprints (510 m): ${percent(near / heldout.length)} of the held-out locations can show ground that is trained on; ${percent(border / places.length)} of all locations lie in the border, and serve neither`,
  ]);
  expect(near / heldout.length).toBeGreaterThan(0.5);
  expect(warn({ cellM: 300, share: 0.02 })[0]).toMatch(
    /^cells of 300 m are smaller than the border \(510 m\): 0\.0 % of the held-out/,
  );
});
