import { describe, expect, it } from "vitest";
import { hashKeys, randomFromState, randomOf } from "../src/random.ts";

describe("randomOf", () => {
  it("draws the same numbers for the same keys, on any machine (pinned values)", () => {
    const random = randomOf(42, 1, 7, 3);
    const draws = [random.uniform(), random.uniform(), random.uniform()];
    const again = randomOf(42, 1, 7, 3);
    expect([again.uniform(), again.uniform(), again.uniform()]).toEqual(draws);
    expect(hashKeys(42, 1, 7, 3)).toMatchInlineSnapshot(`1018302098`);
    expect(draws).toMatchInlineSnapshot(`
      [
        0.3582940435015486,
        0.7831149258116495,
        0.8955884639778127,
      ]
    `);
  });

  it("tells keys apart by value, by order and above 2^32", () => {
    const hashes = new Set([
      hashKeys(1, 2),
      hashKeys(2, 1),
      hashKeys(1),
      hashKeys(1, 0),
      hashKeys(2 ** 32 + 1, 2),
      hashKeys(2 ** 40),
    ]);
    expect(hashes.size).toBe(6);
  });

  it("is uniform over keys: neighbouring locations are not correlated", () => {
    const n = 20_000;
    const bins = new Array<number>(20).fill(0);
    let product = 0;
    for (let i = 0; i < n; i++) {
      const a = randomOf(1, 1, i, 1).uniform();
      const b = randomOf(1, 1, i, 2).uniform();
      const bin = Math.floor(a * 20);
      bins[bin] = (bins[bin] ?? 0) + 1;
      product += (a - 0.5) * (b - 0.5);
    }
    const chi2 = bins.reduce((sum, count) => sum + (count - n / 20) ** 2 / (n / 20), 0);
    expect(chi2).toBeLessThan(43.8); // χ² with 19 degrees of freedom, p = 0.001
    expect(Math.abs((12 * product) / n)).toBeLessThan(0.03);
  });

  it("continues from a saved state", () => {
    const random = randomOf(5);
    random.uniform();
    const saved = random.state();
    expect(randomFromState(saved).uniform()).toBe(random.uniform());
  });

  it("shuffles into a permutation and draws normals of mean 0 and variance 1", () => {
    const random = randomOf(9);
    const items = Array.from({ length: 100 }, (_, i) => i);
    const shuffled = random.shuffle([...items]);
    expect(shuffled).not.toEqual(items);
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(items);
    const normals = Array.from({ length: 20_000 }, () => random.normal());
    const mean = normals.reduce((sum, x) => sum + x, 0) / normals.length;
    const variance = normals.reduce((sum, x) => sum + (x - mean) ** 2, 0) / normals.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(variance).toBeCloseTo(1, 1);
  });
});
