import fc from "fast-check";
import { expect, test } from "vitest";
import { drawMask } from "../src/dropout.ts";

test("as many fall out as the rate says, each by itself; what stays makes up for them", () => {
  for (const rate of [0.01, 0.3, 0.9]) {
    const count = 200_000;
    const mask = drawMask({ seed: 3, step: 7 }, 2, count, rate) as Float32Array;
    const out = [...mask].map((value) => (value === 0 ? 1 : 0) as number);
    const sum = out.reduce((total, value) => total + value, 0);
    // Five standard deviations of a binomial distribution; likewise of neighbours that both do.
    expect(Math.abs(sum - count * rate)).toBeLessThan(5 * Math.sqrt(count * rate * (1 - rate)));
    const both = out.reduce((total, value, i) => total + value * (out[i + 1] ?? 0), 0);
    expect(Math.abs(both - count * rate ** 2)).toBeLessThan(5 * Math.sqrt(2 * count) * rate);
    expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / (1 - rate))]));
  }
});

test("a mask follows from its keys, and a longer one begins with a shorter one", () => {
  fc.assert(
    fc.property(
      fc.tuple(fc.nat(1e6), fc.nat(1e6), fc.nat(20), fc.double({ min: 0.001, max: 0.99, noNaN: true })),
      fc.nat(500),
      ([seed, step, ordinal, rate], count) => {
        const draw = (keys: { seed: number; step: number }, length: number): Float32Array =>
          drawMask(keys, ordinal, length, rate) as Float32Array;
        const mask = draw({ seed, step }, count);
        expect(draw({ seed, step }, count)).toEqual(mask);
        expect(draw({ seed, step }, count + 100).subarray(0, count)).toEqual(mask);
      },
    ),
  );
  const drawn = [1, 2].map((step) => drawMask({ seed: 1, step }, 1, 1000, 0.5));
  expect(drawn[0]).not.toEqual(drawn[1]);
  expect(drawMask({ seed: 1, step: 1 }, 1, 1000, 0)).toBeUndefined();
});
