import { distanceM, randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { blocksOf, splitGround } from "../src/blocks.ts";

const random = randomOf(5, 1);
/** About 9 km of Vancouver. */
const places = Array.from({ length: 500 }, () => ({
  lon: -123.2 + 0.12 * random.uniform(),
  lat: 49.2 + 0.08 * random.uniform(),
}));

test("each row is asked for once, none is learned from within the border of one that is asked for, and folds are alike in size", () => {
  const folds = splitGround(places, { blockM: 1500, borderM: 510, folds: 5, seed: 3 });
  expect(folds.flatMap(({ ask }) => ask).sort((a, b) => a - b)).toEqual([...places.keys()]);
  for (const { learn, ask } of folds) {
    expect(ask.length).toBeGreaterThan(places.length / 10);
    expect(learn.length).toBeGreaterThan(50);
    const nearest = Math.min(
      ...learn.flatMap((a) =>
        ask.map((b) => distanceM(places[a] as (typeof places)[0], places[b] as (typeof places)[0])),
      ),
    );
    expect(nearest).toBeGreaterThanOrEqual(510);
    // What lies apart is not given away, either.
    const lost = [...places.keys()].filter((row) => !learn.includes(row) && !ask.includes(row));
    for (const row of lost)
      expect(
        Math.min(
          ...ask.map((b) => distanceM(places[row] as (typeof places)[0], places[b] as (typeof places)[0])),
        ),
      ).toBeLessThan(510);
  }
});

test("places of one block lie within its diagonal; another seed begins the blocks elsewhere", () => {
  const blocks = blocksOf(places, 1000, 1);
  for (const block of new Set(blocks)) {
    const own = places.filter((_, row) => blocks[row] === block);
    const widest = Math.max(...own.flatMap((a) => own.map((b) => distanceM(a, b))));
    expect(widest).toBeLessThan(1000 * 1.45);
  }
  expect(new Set(blocks).size).toBeGreaterThan(60);
  expect(blocksOf(places, 1000, 1)).toEqual(blocks);
  expect(blocksOf(places, 1000, 2)).not.toEqual(blocks);
});

test("too few blocks, and a border that leaves nothing, are named with what mends them", () => {
  const split = (blockM: number, borderM: number) => () =>
    splitGround(places, { blockM, borderM, folds: 5, seed: 0 });
  expect(split(50_000, 510)).toThrowError(/lie in \d blocks? of 50000 m, fewer than the 5 folds/);
  expect(split(1000, 9000)).toThrowError(/fold 1: every labelled place lies within 9000 m/);
});
