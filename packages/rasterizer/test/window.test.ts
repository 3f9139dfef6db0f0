import { expect, test } from "vitest";
import { frameOf } from "../src/window.ts";

/** Latitude, and the lengths of a degree of latitude and of longitude there on the ellipsoid of WGS 84, metres. */
const DEGREES = [
  [0, 110_574, 111_320],
  [30, 110_852, 96_486],
  [60, 111_412, 55_800],
  [80, 111_660, 19_394],
] as const;

test.each(DEGREES)(
  "at %i° a degree has its length on the ground, in each axis",
  (lat, ofLatitude, ofLongitude) => {
    const { kx, ky } = frameOf(10, lat);
    const north = 10 * (frameOf(10, lat + 0.05).y - frameOf(10, lat - 0.05).y);
    const east = frameOf(10.5, lat).x - frameOf(9.5, lat).x;
    expect(north / ky / ofLatitude).toBeCloseTo(1, 3);
    expect(east / kx / ofLongitude).toBeCloseTo(1, 4);
  },
);

test("the square of Web Mercator ends at ±180° and ±85.0511°", () => {
  expect(frameOf(0, 0)).toMatchObject({ x: 0, kx: 1 });
  expect(frameOf(0, 0).y).toBeCloseTo(0, 6);
  expect(frameOf(180, 0).x).toBeCloseTo(20037508.34, 1);
  expect(frameOf(180, 85.0511287798).y).toBeCloseTo(20037508.34, 1);
});
