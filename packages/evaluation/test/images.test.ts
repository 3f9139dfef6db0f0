import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { anchorsOf, chooseImages, draw, rowsOf, splitVectors } from "../src/images.ts";

const LOCATIONS = Array.from({ length: 30 }, (_, i) => 10 + 3 * i);
/** Of location 13 samples 1, 2 and 4 are empty; the fifth tile is there. */
const EMPTY = new Map([[13, new Set([1, 2, 4])]]);
const source = (seed: number) => ({ samples: 6, emptyByLocation: EMPTY, seed });

test("images: at most so many locations, ascending, each once; the anchor first, then filled ones, none twice", () => {
  const { locations, samples } = chooseImages(LOCATIONS, 12, 2, source(1));
  expect(locations.length).toBe(12);
  expect(new Set(locations).size).toBe(12);
  expect([...locations].sort((a, b) => a - b)).toEqual(locations);
  for (const location of locations) expect(LOCATIONS).toContain(location);
  for (const chosen of samples) {
    expect(chosen[0]).toBe(0);
    expect(new Set(chosen).size).toBe(3);
    for (const sample of chosen.slice(1)) expect([1, 2, 3, 4, 5]).toContain(sample);
  }
});

test("images: empty tiles are no positives; all filled ones are where there are no more", () => {
  const { locations, samples } = chooseImages(LOCATIONS, 1000, 2, source(1));
  expect(locations).toEqual(LOCATIONS);
  expect([...(samples[locations.indexOf(13)] as number[])].sort()).toEqual([0, 3, 5]);
});

test("images follow from the seed; a location has the same ones whatever else is drawn", () => {
  expect(chooseImages(LOCATIONS, 12, 2, source(1))).toEqual(chooseImages(LOCATIONS, 12, 2, source(1)));
  expect(chooseImages(LOCATIONS, 12, 2, source(2))).not.toEqual(chooseImages(LOCATIONS, 12, 2, source(1)));
  const all = chooseImages(LOCATIONS, 30, 2, source(1));
  const some = chooseImages(LOCATIONS, 5, 2, source(1));
  for (const [i, location] of some.locations.entries())
    expect(some.samples[i]).toEqual(all.samples[all.locations.indexOf(location)]);
});

test("each of ten items is drawn about as often as the others", () => {
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 1000; i++)
    for (const item of draw([...counts.keys()], 3, randomOf(i))) counts[item] = (counts[item] as number) + 1;
  // 1000 draws of 3 in 10: 300 each, standard deviation √(1000 · 0.3 · 0.7) ≈ 14.5.
  for (const count of counts) expect(Math.abs(count - 300)).toBeLessThan(5 * 14.5);
});

test("rows go location by location, and vectors are parted again in that order", () => {
  const images = {
    locations: [7, 9],
    samples: [
      [0, 4],
      [0, 2],
    ],
  };
  expect(rowsOf(images)).toEqual([
    { location: 7, sample: 0 },
    { location: 7, sample: 4 },
    { location: 9, sample: 0 },
    { location: 9, sample: 2 },
  ]);
  expect(anchorsOf([7, 9])).toEqual([
    { location: 7, sample: 0 },
    { location: 9, sample: 0 },
  ]);
  // Two locations of three images, two numbers each: tens are the location, ones the image.
  const data = Float32Array.of(10, 10, 11, 11, 12, 12, 20, 20, 21, 21, 22, 22);
  expect(splitVectors(data, 2, 3)).toEqual({
    size: 2,
    anchors: Float32Array.of(10, 10, 20, 20),
    positives: Float32Array.of(11, 11, 12, 12, 21, 21, 22, 22),
  });
});
