import { expect, test } from "vitest";
import {
  apartM,
  DEFAULT_AUGMENTATION,
  DEFAULT_HOLDOUT,
  footprint,
  MAX_OFFSET_M,
  TILE_RADIUS_M,
  tileTransform,
} from "../src/index.ts";

test("as published: 255 m, two of them 510 m, and a window of 221 m each way", () => {
  const { reachM, halfSideM } = footprint(100, 80);
  expect(reachM).toBeCloseTo(254.558, 3);
  expect(halfSideM).toBeCloseTo(221.421, 3);
  expect(apartM(100, 80)).toBe(510);
  expect(DEFAULT_HOLDOUT.borderM).toBe(510);
});

test("no corner of any sample's tile lies outside, and some come near", () => {
  const { reachM, halfSideM } = footprint(TILE_RADIUS_M, MAX_OFFSET_M);
  let [furthest, widest] = [0, 0];
  for (let location = 0; location < 400; location++) {
    for (let sample = 0; sample < 21; sample++) {
      const { rotation, dx, dy } = tileTransform(5, location, sample, DEFAULT_AUGMENTATION);
      for (const corner of [45, 135, 225, 315]) {
        const angle = ((corner - rotation) * Math.PI) / 180;
        const x = dx + TILE_RADIUS_M * Math.SQRT2 * Math.cos(angle);
        const y = dy + TILE_RADIUS_M * Math.SQRT2 * Math.sin(angle);
        furthest = Math.max(furthest, Math.hypot(x, y));
        widest = Math.max(widest, Math.abs(x), Math.abs(y));
      }
    }
  }
  expect(furthest).toBeLessThanOrEqual(reachM);
  expect(furthest).toBeGreaterThan(0.95 * reachM);
  expect(widest).toBeLessThanOrEqual(halfSideM);
  expect(widest).toBeGreaterThan(0.97 * halfSideM);
});
