import { describe, expect, it } from "vitest";
import { locationTransforms, shardCount, shardRange } from "../src/dataset.ts";
import { DEFAULT_AUGMENTATION, tileTransform } from "../src/tile.ts";

describe("tileTransform", () => {
  it("leaves the anchor as it is", () => {
    expect(tileTransform(7, 123, 0)).toEqual({ rotation: 0, dx: 0, dy: 0 });
  });

  it("draws offsets uniformly in ±80 m on both axes and rotations in [0, 360)", () => {
    const drawn = Array.from({ length: 20_000 }, (_, i) =>
      tileTransform(7, Math.floor(i / 20), 1 + (i % 20)),
    );
    for (const axis of ["dx", "dy"] as const) {
      const values = drawn.map((t) => t[axis]);
      expect(Math.max(...values)).toBeLessThanOrEqual(80);
      expect(Math.max(...values)).toBeGreaterThan(79.5);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(-80);
      expect(Math.min(...values)).toBeLessThan(-79.5);
      expect(values.reduce((sum, v) => sum + v, 0) / values.length).toBeCloseTo(0, -0.3);
    }
    expect(drawn.every((t) => t.rotation >= 0 && t.rotation < 360)).toBe(true);
    expect(drawn.filter((t) => t.rotation < 90).length / drawn.length).toBeCloseTo(0.25, 1);
  });

  it("gives values that a float32 array stores without loss", () => {
    const { rotation, dx, dy } = tileTransform(1, 2, 3);
    expect([rotation, dx, dy]).toEqual([...new Float32Array([rotation, dx, dy])]);
  });

  it("obeys the options", () => {
    expect(tileTransform(1, 2, 3, { ...DEFAULT_AUGMENTATION, rotate: false }).rotation).toBe(0);
    expect(tileTransform(1, 2, 3, { maxOffset: 0, rotate: true }).dx).toBeCloseTo(0);
  });
});

describe("shards of a data set", () => {
  const dataset = {
    seed: 1,
    locations: 130,
    samples: 21,
    shardLocations: 64,
    augmentation: DEFAULT_AUGMENTATION,
  };

  it("cover every location once, the last one short", () => {
    expect(shardCount(dataset)).toBe(3);
    expect([0, 1, 2].map((shard) => shardRange(dataset, shard))).toEqual([
      { first: 0, end: 64 },
      { first: 64, end: 128 },
      { first: 128, end: 130 },
    ]);
  });

  it("do not change a location's transforms", () => {
    const transforms = locationTransforms(dataset, 70);
    expect(transforms).toHaveLength(21);
    expect(transforms[4]).toEqual(tileTransform(1, 70, 4));
  });
});
