import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  apartM,
  distanceM,
  footprint,
  hashKeys,
  METRES_PER_DEGREE,
  nearestOf,
  partOf,
  randomOf,
  withinBox,
} from "../src/index.ts";
import { randomFromState } from "../src/random.ts";

/** The same cases in each run. */
fc.configureGlobal({ seed: 13, numRuns: 200 });

/** Spread evenly, ends included: fc.double takes its numbers by their bits, and most of those are next to nothing. */
const between = (least: number, most: number) =>
  fc.integer({ min: 0, max: 2 ** 30 }).map((step) => least + ((most - least) * step) / 2 ** 30);
const place = fc.record({ lon: between(-180, 180), lat: between(-85, 85) });
/** Half of the globe's girth, metres. */
const FURTHEST_M = 180 * METRES_PER_DEGREE;

describe("distances", () => {
  test("are symmetric, zero to itself, at most half of the girth, and obey the triangle's inequality", () => {
    fc.assert(
      fc.property(place, place, place, (a, b, c) => {
        expect(distanceM(a, b)).toBeCloseTo(distanceM(b, a), 6);
        expect(distanceM(a, a)).toBe(0);
        expect(distanceM(a, b)).toBeLessThanOrEqual(FURTHEST_M + 1e-6);
        expect(distanceM(a, c)).toBeLessThanOrEqual(distanceM(a, b) + distanceM(b, c) + 1e-3);
      }),
    );
  });

  test("on a meridian are the difference of latitude, and do not change when the globe is turned", () => {
    fc.assert(
      fc.property(place, place, between(-180, 180), (a, b, turn) => {
        const along = distanceM(a, { lon: a.lon, lat: b.lat });
        expect(along).toBeCloseTo(Math.abs(a.lat - b.lat) * METRES_PER_DEGREE, 3);
        const turned = [a, b].map(({ lon, lat }) => ({ lon: lon + turn, lat })) as [typeof a, typeof b];
        // Near a right angle the arc sine gives away some digits.
        expect(Math.abs(distanceM(...turned) - distanceM(a, b))).toBeLessThan(0.5);
      }),
    );
  });
});

describe("boxes", () => {
  const box = fc
    .tuple(between(-180, 180), between(0.01, 90), between(-80, 70), between(0.01, 10))
    .map(([west, width, south, height]) => {
      const east = west + width;
      return { west, width, box: [west, south, east > 180 ? east - 360 : east, south + height] as const };
    });

  test("hold what lies between their sides, over the antimeridian too, and no place beside or above", () => {
    const share = between(0.001, 0.999);
    fc.assert(
      fc.property(box, share, share, ({ west, width, box: [w, south, e, north] }, x, y) => {
        const at = (lon: number, lat: number) =>
          withinBox([w, south, e, north], { lon: ((lon + 540) % 360) - 180, lat });
        const lat = south + y * (north - south);
        expect(at(west + x * width, lat)).toBe(true);
        expect(at(west + width + x * (360 - width), lat)).toBe(false);
        expect(at(west + x * width, north + 0.001)).toBe(false);
        expect(at(west + x * width, south - 0.001)).toBe(false);
      }),
    );
  });

  test("with a margin hold what is that near, northwards and eastwards, and no more", () => {
    fc.assert(
      fc.property(box, between(1, 5000), ({ box: [w, south, e, north] }, metres) => {
        const at = (lon: number, lat: number, margin: number) =>
          withinBox([w, south, e, north], { lon: ((lon + 540) % 360) - 180, lat }, margin);
        const above = { lat: north + metres / METRES_PER_DEGREE };
        expect([at(w, above.lat, metres * 1.001), at(w, above.lat, metres * 0.999)]).toEqual([true, false]);
        const wide = metres / METRES_PER_DEGREE / Math.cos((north * Math.PI) / 180);
        expect([at(e + wide, north, metres * 1.001), at(e + wide, north, metres * 0.999)]).toEqual([
          true,
          false,
        ]);
      }),
    );
  });
});

test("the nearest place is that of the least distance", () => {
  fc.assert(
    fc.property(fc.array(place, { minLength: 1, maxLength: 30 }), place, (places, from) => {
      const least = Math.min(...places.map((other) => distanceM(from, other)));
      const nearest = nearestOf(places)(from);
      expect(nearest?.metres).toBeCloseTo(least, 2);
      fc.pre(least > 1);
      expect(nearestOf(places)(from, { withinM: least * 0.99 })).toBeUndefined();
    }),
  );
});

describe("the split by geography", () => {
  const holdout = fc.record({
    share: between(0.05, 0.6),
    cellM: between(200, 3000),
    borderM: between(0, 1500),
  });
  const seed = fc.integer({ min: 0, max: 2 ** 31 });

  test("has a place of training no nearer to a held-out one than the border, whichever way", () => {
    fc.assert(
      fc.property(
        holdout,
        seed,
        place,
        between(0, 360),
        between(0, 1),
        (split, key, from, bearing, share) => {
          fc.pre(partOf(key, from, split) === "train");
          const metres = share * split.borderM;
          const angle = (bearing * Math.PI) / 180;
          const lat = from.lat + (metres * Math.cos(angle)) / METRES_PER_DEGREE;
          const lon =
            from.lon + (metres * Math.sin(angle)) / METRES_PER_DEGREE / Math.cos((from.lat * Math.PI) / 180);
          const other = { lon: ((lon + 540) % 360) - 180, lat };
          fc.pre(distanceM(from, other) <= split.borderM);
          expect(partOf(key, other, split)).not.toBe("heldout");
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("calls border only what has a held-out place about as near", () => {
    // All around, the last at the border: one of them is held out, or just beyond a corner.
    fc.assert(
      fc.property(holdout, seed, place, (split, key, from) => {
        fc.pre(split.borderM > 10 && partOf(key, from, split) === "border");
        const cos = Math.cos((from.lat * Math.PI) / 180);
        const around = Array.from({ length: 360 * 12 }, (_, i) => {
          const metres = (split.borderM * 1.005 * (1 + Math.floor(i / 360))) / 12;
          const angle = (i * Math.PI) / 180;
          const lat = from.lat + (metres * Math.cos(angle)) / METRES_PER_DEGREE;
          const lon = from.lon + (metres * Math.sin(angle)) / METRES_PER_DEGREE / cos;
          return partOf(key, { lon: ((lon + 540) % 360) - 180, lat }, split);
        });
        expect(around).toContain("heldout");
      }),
      { numRuns: 100 },
    );
  });

  test("is all training with a share of 0, all held out with a share of 1", () => {
    fc.assert(
      fc.property(seed, place, (key, from) => {
        expect(partOf(key, from, { share: 0, cellM: 1000, borderM: 510 })).toBe("train");
        expect(partOf(key, from, { share: 1, cellM: 1000, borderM: 510 })).toBe("heldout");
      }),
    );
  });
});

test("a footprint holds every corner of a tile that is turned and shifted", () => {
  const share = between(-1, 1);
  fc.assert(
    fc.property(
      between(1, 1000),
      between(0, 1000),
      share,
      share,
      between(0, 360),
      (radius, most, x, y, turn) => {
        const { reachM, halfSideM } = footprint(radius, most);
        for (const corner of [45, 135, 225, 315]) {
          const angle = ((turn + corner) * Math.PI) / 180;
          const at = [
            x * most + radius * Math.SQRT2 * Math.cos(angle),
            y * most + radius * Math.SQRT2 * Math.sin(angle),
          ];
          expect(Math.hypot(...at)).toBeLessThanOrEqual(reachM + 1e-6);
          expect(Math.max(...at.map(Math.abs))).toBeLessThanOrEqual(halfSideM + 1e-6);
        }
        // Reached by the corner of a tile at 45 degrees that is shifted to the end.
        expect(Math.hypot(most + radius, most + radius)).toBeCloseTo(reachM, 6);
        expect(apartM(radius, most)).toBe(Math.ceil(2 * reachM));
      },
    ),
  );
});

describe("draws", () => {
  const key = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const keys = fc.array(key, { minLength: 1, maxLength: 5 });

  test("follow from the keys alone, lie in their ranges, and go on from a saved state", () => {
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 2 ** 32 }), (own, n) => {
        const [random, again] = [randomOf(...own), randomOf(...own)];
        for (let i = 0; i < 20; i++) {
          const uniform = random.uniform();
          expect(uniform).toBe(again.uniform());
          expect(uniform).toBeGreaterThanOrEqual(0);
          expect(uniform).toBeLessThan(1);
          const whole = random.int(n);
          expect(whole).toBe(again.int(n));
          expect(Number.isInteger(whole) && whole >= 0 && whole < n).toBe(true);
        }
        const continued = randomFromState(random.state());
        expect(Array.from({ length: 5 }, continued.uniform)).toEqual(
          Array.from({ length: 5 }, again.uniform),
        );
        expect(Number.isFinite(random.normal())).toBe(true);
      }),
    );
  });

  test("a hash is a uint32 that changes with any key, and with one more", () => {
    fc.assert(
      fc.property(keys, fc.nat(), key, (own, at, other) => {
        const hash = hashKeys(...own);
        expect(hash >>> 0).toBe(hash);
        const changed = own.with(at % own.length, other);
        // Two of them are alike once in 2³²: not among these.
        if (changed[at % own.length] !== own[at % own.length]) expect(hashKeys(...changed)).not.toBe(hash);
        expect(hashKeys(...own, 0)).not.toBe(hash);
      }),
    );
  });

  test("a shuffle keeps all items", () => {
    fc.assert(
      fc.property(keys, fc.array(fc.integer()), (own, items) => {
        const shuffled = randomOf(...own).shuffle([...items]);
        const order = (a: number, b: number) => a - b;
        expect(shuffled.toSorted(order)).toEqual(items.toSorted(order));
      }),
    );
  });

  test("of 10,000 tiles of a data set have no two streams that coincide", () => {
    const streams = new Set<string>();
    for (let location = 0; location < 500; location++) {
      for (let sample = 0; sample < 20; sample++)
        streams.add(randomOf(1, 1, location, sample).state().join());
    }
    expect(streams.size).toBe(10_000);
  });
});
