import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { resample } from "../src/benches/resample.ts";

test("rows are drawn about given ones, within the directions in which these vary, by the seed", async () => {
  const random = randomOf(1);
  // A plane in three dimensions, in two clouds far apart.
  const vectors = Float32Array.from({ length: 60 * 3 }, (_, i) =>
    i % 3 === 2 ? 7 : (i < 90 ? 0 : 100) + random.normal(),
  );
  const drawn = await resample(vectors, 3, 500, 2);
  expect(drawn).toHaveLength(1500);
  for (let row = 0; row < 500; row++) {
    const [x = 0, y = 0, z] = drawn.subarray(3 * row, 3 * row + 3);
    expect(z).toBe(7);
    expect(Math.min(Math.hypot(x, y), Math.hypot(x - 100, y - 100))).toBeLessThan(8);
  }
  // Hardly any is one of those given.
  expect(new Set(drawn).size).toBeGreaterThan(900);
  expect(await resample(vectors, 3, 500, 2)).toEqual(drawn);
  expect(await resample(vectors, 3, 500, 3)).not.toEqual(drawn);
});
