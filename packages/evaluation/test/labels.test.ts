import { METRES_PER_DEGREE, type Place } from "@loc2vec/core";
import { expect, test } from "vitest";
import { countLabels, labelsOfPoints, placeLabels } from "../src/labels.ts";

/** A row of locations, 100 m apart; the first half is learned from, all others but the last ten are asked for. */
const at = (i: number): Place => ({ lon: 10, lat: (100 * i) / METRES_PER_DEGREE });
const place = (i: number, metres: number): Place => ({
  ...at(i),
  lat: at(i).lat + metres / METRES_PER_DEGREE,
});
const surveyed = (locations: number) => {
  const all = [...Array(locations).keys()];
  return {
    dataset: { name: "row", locations, channels: ["land", "water"] } as never,
    placeOf: at,
    parts: {
      train: all.slice(0, locations / 2),
      border: all.slice(-10),
      heldout: all.slice(locations / 2, -10),
    },
  };
};
const about = { name: "kind", meaning: "kind of town.csv", origin: "town.csv, column kind", withinM: 30 };
const classes = (points: readonly (Place & { label: string })[]) =>
  labelsOfPoints({ kind: "classes", points }, about);
const silent = () => {};

test("a location's label is that of the nearest point, if one is near enough", async () => {
  const labels = classes([
    { ...place(0, 25), label: "far" },
    { ...place(0, -20), label: "near" },
    { ...place(1, 31), label: "too far" },
  ]);
  expect(await labels.of([at(0), at(1), at(2)])).toEqual(["near", undefined, undefined]);
  const numbers = labelsOfPoints({ kind: "numbers", points: [{ ...place(1, 29), label: 0 }] }, about);
  expect(await numbers.of([at(0), at(1)])).toEqual([undefined, 0]);
});

test("points of other ground: how far they are is said", async () => {
  const labels = classes([{ ...place(3, 1000), label: "a" }]);
  await expect(labels.of([at(0), at(3)])).rejects.toMatchObject({
    code: "input",
    message:
      "town.csv, column kind: no labelled point lies within 30 m of a location; the nearest two are 1000 m apart",
  });
});

test("classes of fewer than 20 locations are left out, and said; those of the border do not count", async () => {
  // Of 100 locations each fourth is a, 19 of those learned from and asked for are rare, and all of the border is.
  const kindOf = (i: number) => (i % 4 === 0 ? "a" : i % 5 === 1 && i < 97 ? "rare" : "b");
  const points = Array.from({ length: 100 }, (_, i) => ({ ...at(i), label: i < 90 ? kindOf(i) : "rare" }));
  const lines: string[] = [];
  const { places, counts, isEnough } = await placeLabels(classes(points), surveyed(100), (line) =>
    lines.push(line),
  );
  const rare = points.filter(({ label }, i) => i < 90 && label === "rare").length;
  expect(rare).toBeLessThan(20);
  expect(lines).toEqual([`evaluate: labels kind: left out rarer than 20: rare (${rare})`]);
  expect(isEnough).toBe(true);
  const learned = [...Array(50).keys()].filter((i) => points[i]?.label !== "rare");
  expect(places).toMatchObject({
    classes: ["a", "b"],
    train: { locations: learned, targets: learned.map((i) => (kindOf(i) === "a" ? 0 : 1)) },
    leftOut: { rare },
  });
  const asked = [...Array(40).keys()].map((i) => 50 + i).filter((i) => points[i]?.label !== "rare");
  expect(counts).toEqual({
    name: "kind",
    meaning: "kind of town.csv",
    kind: "classes",
    masked: [],
    train: learned.length,
    heldout: asked.length,
    classes: {
      a: asked.filter((i) => kindOf(i) === "a").length,
      b: asked.filter((i) => kindOf(i) === "b").length,
    },
    left_out: { rare },
    majority: asked.filter((i) => kindOf(i) === "b").length / asked.length,
  });
});

test("numbers are counted by mean and standard deviation", async () => {
  const points = Array.from({ length: 100 }, (_, i) => ({ ...at(i), label: i % 2 }));
  const labels = labelsOfPoints({ kind: "numbers", points }, about);
  const { places, counts } = await placeLabels(labels, surveyed(100), silent);
  expect(places).toMatchObject({ classes: undefined, leftOut: {} });
  expect(places.heldout.targets).toEqual(Array.from({ length: 40 }, (_, i) => i % 2));
  expect(counts).toMatchObject({ kind: "numbers", train: 50, heldout: 40, mean: 0.5, deviation: 0.5 });
});

test("too few, or one class: an error that names the file, for labels that are of one; else it is said", async () => {
  const few = Array.from({ length: 69 }, (_, i) => ({ ...at(i), label: i % 2 ? "a" : "b" }));
  await expect(placeLabels(classes(few), surveyed(100), silent)).rejects.toMatchObject({
    code: "input",
    message:
      "town.csv, column kind: 50 locations of data set row to learn from and 19 to ask for are labelled, where 20 of each are needed",
    mend: expect.stringMatching(/--within/),
  });
  // Twenty are enough.
  const more = [...few, { ...at(69), label: "a" }];
  expect((await placeLabels(classes(more), surveyed(100), silent)).isEnough).toBe(true);
  const one = [...more, at(70)].map((place, i) => ({ ...place, label: i < 70 ? "a" : "b" }));
  await expect(placeLabels(classes(one), surveyed(100), silent)).rejects.toMatchObject({
    message:
      'town.csv, column kind: one class only, "a", at the locations of data set row; rarer than 20: b (1)',
  });
  const lines: string[] = [];
  const { origin, ...unnamed } = classes(few);
  const placed = await placeLabels(unnamed, surveyed(100), (line) => lines.push(line));
  expect(placed.isEnough).toBe(false);
  expect(lines).toEqual(["evaluate: labels kind: 50 and 19 labelled locations are too few for a probe"]);
});

test("a class that no location of the training has can be learned by nobody", async () => {
  const points = Array.from({ length: 100 }, (_, i) => ({
    ...at(i),
    label: i < 50 ? `k${i % 2}` : `k${i % 3}`,
  }));
  const { places } = await placeLabels(classes(points), surveyed(100), silent);
  expect(places.classes).toEqual(["k0", "k1"]);
  expect(places.heldout.locations.some((i) => points[i]?.label === "k2")).toBe(false);
});

test("where none is held out the counts are 0", () => {
  const none = {
    classes: ["no", "yes"],
    train: { locations: [1], targets: [0] },
    heldout: { locations: [], targets: [] },
    leftOut: {},
  };
  const labels = { name: "wet", meaning: "wet", masked: [1] };
  expect(countLabels(labels, { channels: ["land", "water"] }, none)).toMatchObject({
    masked: ["water"],
    train: 1,
    heldout: 0,
    classes: { no: 0, yes: 0 },
    majority: 0,
  });
  expect(countLabels(labels, { channels: [] }, { ...none, classes: undefined })).toMatchObject({
    mean: 0,
    deviation: 0,
  });
});
