import { expect, test } from "vitest";
import { nearestOthers, recallOnTheGround } from "../src/ground.ts";

const settings = (maxOffset: number) => ({ seed: 1, augmentation: { rotate: true, maxOffset } });
/** So many places side by side in the north-south direction, a hundredth of a degree (1.1 km) apart. */
const row = (count: number) => Array.from({ length: count }, (_, i) => ({ lon: 25, lat: 60 + i / 100 }));
const images = (count: number) => ({
  locations: [...Array(count).keys()],
  samples: Array.from({ length: count }, () => [0, 1, 2]),
});

test("without shifts a positive lies where its anchor does: all are retrieved", () => {
  expect(recallOnTheGround(settings(0), row(30), images(30))).toEqual({ recall_at_1: 1, recall_at_10: 1 });
});

test("shifts of 80 m lead to no other place 1.1 km away, and shifts of 100 km nearly always do", () => {
  expect(recallOnTheGround(settings(80), row(30), images(30))).toEqual({ recall_at_1: 1, recall_at_10: 1 });
  const { recall_at_1, recall_at_10 } = recallOnTheGround(settings(100_000), row(30), images(30));
  expect(recall_at_1).toBeLessThan(0.2);
  expect(recall_at_10).toBeLessThan(0.7);
});

test("places on one spot cannot be told apart: ties count against, so ten are found among ten and not among eleven", () => {
  const spot = (count: number) => Array.from({ length: count }, () => ({ lon: 25, lat: 60 }));
  expect(recallOnTheGround(settings(0), spot(10), images(10))).toEqual({ recall_at_1: 0, recall_at_10: 1 });
  expect(recallOnTheGround(settings(0), spot(11), images(11))).toEqual({ recall_at_1: 0, recall_at_10: 0 });
});

test("a degree of longitude is as long as it is at that latitude", () => {
  // At 60° north a thousandth of a degree is 56 m east, or 111 m north. Of shifts of up to 40 m some lead past 28 m.
  const samples = Array.from({ length: 21 }, (_, i) => i);
  const pair = { locations: [0, 1], samples: [samples, samples] };
  const beside = (east: number, north: number) => [
    { lon: 25, lat: 60 },
    { lon: 25 + east, lat: 60 + north },
  ];
  expect(recallOnTheGround(settings(40), beside(0.001, 0), pair).recall_at_1).toBeLessThan(1);
  expect(recallOnTheGround(settings(40), beside(0.0015, 0), pair).recall_at_1).toBe(1);
  expect(recallOnTheGround(settings(40), beside(0, 0.001), pair).recall_at_1).toBe(1);
});

test("the nearest other place of each; one that is alone has none", () => {
  const places = [
    { lon: 25, lat: 60 },
    { lon: 25, lat: 60.003 },
    { lon: 25, lat: 60.001 },
  ];
  expect(nearestOthers(places).map(({ index }) => index)).toEqual([2, 2, 0]);
  // A thousandth of a degree of latitude on a sphere of radius 6,371,008.8 m.
  const metres = (6_371_008.8 * Math.PI) / 180 / 1000;
  expect(nearestOthers(places)[0]?.metres).toBeCloseTo(metres, 1);
  expect(nearestOthers([{ lon: 25, lat: 60 }])).toEqual([{ index: 0, metres: Number.POSITIVE_INFINITY }]);
});
