import { expect, test } from "vitest";
import { countLabels, mask, probeVectors } from "../src/probes.ts";

/** 60 locations that are learned from and 40 that are asked for, of two classes in turn. */
const PLACES = {
  classes: ["no", "yes"],
  train: { locations: [...Array(60).keys()], classes: Array.from({ length: 60 }, (_, i) => i % 2) },
  heldout: { locations: [...Array(40).keys()], classes: Array.from({ length: 40 }, (_, i) => i % 2) },
};

test("vectors that tell the class are learned from ten labels and from all, the same in every draw", () => {
  const data = Float32Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? -1 : 1) + (i % 10) / 100);
  const right = { accuracy: 1, balanced_accuracy: 1, deviation: 0 };
  // There are no 100 to draw: all 60 are taken, and no more is asked.
  expect(probeVectors(data, 1, PLACES, 0)).toEqual({ 10: right, 60: right });
});

test("vectors that are all the same tell nothing: one class is named throughout", () => {
  const scores = probeVectors(new Float32Array(300), 3, PLACES, 0);
  expect(scores).toMatchObject({
    10: { accuracy: 0.5, balanced_accuracy: 0.5 },
    60: { accuracy: 0.5, balanced_accuracy: 0.5, deviation: 0 },
  });
});

test("vectors that are told in training alone are not mixed up with those asked for", () => {
  // The classes are swapped in what is asked for: all answers are wrong.
  const data = Float32Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? -1 : 1) * (i < 60 ? 1 : -1));
  expect(probeVectors(data, 1, PLACES, 0)["60"]).toEqual({ accuracy: 0, balanced_accuracy: 0, deviation: 0 });
});

test("masked channels are blank, the others and the tile itself as before", () => {
  const tile = Uint8Array.of(1, 2, 3, 4, 5, 6);
  expect(mask(tile, [1], 3)).toEqual(Uint8Array.of(1, 2, 0, 0, 5, 6));
  expect(mask(tile, [0, 2], 3)).toEqual(Uint8Array.of(0, 0, 3, 4, 0, 0));
  expect(tile).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6));
});

test("labels are counted where some are held out, and where none are", () => {
  const labels = { meaning: "wet", of: async () => [], masked: [1] };
  const dataset = { channels: ["land", "water"] };
  expect(countLabels(labels, dataset, PLACES)).toEqual({
    meaning: "wet",
    masked: ["water"],
    train: 60,
    heldout: 40,
    classes: { no: 20, yes: 20 },
    majority: 0.5,
  });
  const none = { ...PLACES, heldout: { locations: [], classes: [] } };
  expect(countLabels(labels, dataset, none)).toMatchObject({
    heldout: 0,
    classes: { no: 0, yes: 0 },
    majority: 0,
  });
});
