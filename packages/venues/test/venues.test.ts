import { distanceM, randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import {
  type Candidate,
  fitPrior,
  judge,
  likelihood,
  mapVenue,
  parsePrior,
  simulateFix,
  topOf,
  type Visit,
} from "../src/index.ts";

const ABOUT = { model: "m", weights_sha256: "0", hidden: ["amenities_shops"] };
const at = (name: string, metres: number): Candidate => ({ class: name, metres, areaM2: 0 });

/** Visits where three classes are around; near water (x > 0) the beach is visited, at night the bar, else the office. */
function visitsOf(count: number, choose: (x: number, hour: number, random: () => number) => string): Visit[] {
  const random = randomOf(3);
  return Array.from({ length: count }, () => {
    const [x, hour] = [random.normal(), random.uniform() * 24];
    return {
      ...{ embedding: Float32Array.of(x, random.normal()), hour, sigmaM: 20 },
      candidates: ["bar", "beach", "office"].map((name) => at(name, 40 * random.uniform())),
      class: choose(x, hour, () => random.uniform()),
    };
  });
}

test("a simulated fix is as far off as a normal deviate in each axis makes it", () => {
  const place = { lon: 24.95, lat: 60.17 };
  const metres = Array.from({ length: 4000 }, (_, i) =>
    distanceM(place, simulateFix(place, 25, randomOf(1, i))),
  );
  // Rayleigh: mean σ √(π/2), and 1 − e^(−1/2) of all within σ.
  expect(metres.reduce((a, b) => a + b, 0) / 4000).toBeCloseTo(25 * Math.sqrt(Math.PI / 2), -0.3);
  expect(metres.filter((each) => each < 25).length / 4000).toBeCloseTo(1 - Math.exp(-0.5), 1);
});

test("the likelihood of a point integrates to 1, and that of a wide area is a share of it", () => {
  let sum = 0;
  for (let r = 0.5; r < 200; r++) sum += 2 * Math.PI * r * likelihood({ metres: r, areaM2: 0 }, 20);
  expect(sum).toBeCloseTo(1, 3);
  expect(likelihood({ metres: 0, areaM2: 1e8 }, 20) * 1e8).toBeCloseTo(1, 3);
});

test("a prior learns where and when a class is visited, and tells it from the nearer venue", () => {
  const prior = fitPrior(
    visitsOf(600, (x, hour) => (x > 0 ? "beach" : hour > 18 ? "bar" : "office")),
    ABOUT,
  );
  const candidates = [at("office", 5), at("beach", 25), at("bar", 25)];
  const first = (x: number, hour?: number) =>
    mapVenue({ embedding: Float32Array.of(x, 0), hour, sigmaM: 20 }, candidates, prior)[0];
  expect(first(2, 12)?.class).toBe("beach");
  expect(first(-2, 22)?.class).toBe("bar");
  expect(first(-2, 10)?.class).toBe("office");
  expect(first(2)?.class).toBe("beach");
  const ranked = mapVenue({ embedding: Float32Array.of(2, 0), sigmaM: 20 }, candidates, prior);
  expect(ranked.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 9);
  const alone = mapVenue({ sigmaM: 20 }, candidates, undefined);
  expect(alone.map(({ class: name }) => name)).toEqual(["office", "beach", "bar"]);
  expect(alone.map((each) => each.probability)).toEqual(alone.map((each) => each.by_distance));
  // It is kept as JSON.
  expect(parsePrior(JSON.stringify(prior), "prior.json")).toEqual(prior);
});

test("where venues are visited alike, nothing but the distance counts", () => {
  const random = randomOf(5);
  const visits = visitsOf(1500, () => "bar").map((visit): Visit => {
    // Drawn as the likelihood says: no class is liked more.
    const shares = visit.candidates.map((one) => likelihood(one, visit.sigmaM));
    let left = random.uniform() * shares.reduce((a, b) => a + b, 0);
    const chosen = visit.candidates.find((_, i) => {
      left -= shares[i] as number;
      return left <= 0;
    });
    return { ...visit, class: (chosen ?? (visit.candidates[0] as Candidate)).class };
  });
  const prior = fitPrior(visits, ABOUT);
  const ranked = visits.slice(0, 50).flatMap((visit) => mapVenue(visit, visit.candidates, prior));
  const worst = Math.max(...ranked.map((one) => Math.abs(one.probability - one.by_distance)));
  expect(worst).toBeLessThan(0.1);
  const blind = fitPrior(visits, ABOUT, { blind: true });
  expect(Object.values(blind.classes).every(([, ...rest]) => rest.every((weight) => weight === 0))).toBe(
    true,
  );
});

test("the fit is a minimum: classes are expected as often as they were visited", () => {
  const visits = visitsOf(500, (x, _, random) => (random() < (x > 0 ? 0.7 : 0.2) ? "beach" : "office"));
  const prior = fitPrior(visits, ABOUT);
  const expected = visits.reduce(
    (sum, visit) =>
      sum + (mapVenue(visit, visit.candidates, prior).find((one) => one.class === "beach")?.probability ?? 0),
    0,
  );
  expect(expected / visits.filter((visit) => visit.class === "beach").length).toBeCloseTo(1, 2);
});

test("too few visits, one class and what is no prior are named", () => {
  const visits = visitsOf(60, (x) => (x > 0 ? "beach" : "office"));
  expect(() => fitPrior(visits.slice(0, 7), ABOUT)).toThrow(/7 of 7 visits .* where 20 are needed/);
  expect(() =>
    fitPrior(
      visits.map((visit) => ({ ...visit, class: "cinema" })),
      ABOUT,
    ),
  ).toThrow(/0 of 60 visits/);
  expect(() =>
    fitPrior(
      visits.map((visit) => ({ ...visit, class: "bar" })),
      ABOUT,
    ),
  ).toThrow(/one class, "bar"/);
  expect(() => parsePrior('{"kind":"else"}', "a.json")).toThrow(/a\.json: is no prior of venues/);
  const prior = fitPrior(visits, ABOUT);
  expect(() => mapVenue({ embedding: new Float32Array(5), sigmaM: 9 }, [at("bar", 1)], prior)).toThrow(
    /2 numbers, not 5/,
  );
});

test("judging: equals share a place, what is no candidate is a miss, and certainty that is wrong costs", () => {
  expect(topOf([{ scores: [0.5, 0.5, 0], truth: 0 }])).toEqual({ top_1: 0.5, top_3: 1 });
  expect(topOf([{ scores: [0.4, 0.3, 0.2, 0.1], truth: 3 }])).toEqual({ top_1: 0, top_3: 0 });
  const right = judge([{ scores: [0.8, 0.2], truth: 0 }]);
  expect(right.log_loss).toBeCloseTo(-Math.log(0.8), 9);
  expect(right.calibration_error).toBeCloseTo(0.2, 9);
  const missed = judge([{ scores: [1, 0], truth: -1 }]);
  expect(missed).toMatchObject({ top_1: 0, calibration_error: 1 });
  expect(missed.log_loss).toBeCloseTo(-Math.log(1e-4), 9);
});
