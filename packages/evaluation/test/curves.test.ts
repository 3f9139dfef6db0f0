import { expect, test } from "vitest";
import { condense } from "../src/curves.ts";

const entry = (step: number, loss: number) => ({
  step,
  loss,
  positive: 10 * loss,
  negative: 100 * loss,
  accuracy: 1 - loss,
  seconds: 1,
  waited: 0,
});

test("a history of up to 30 steps is its own curve", () => {
  const history = [entry(1, 0.5), { ...entry(2, 0.25), heldout: { accuracy: 0.75, loss: 9 } }];
  expect(condense(history)).toEqual({
    points: [
      { step: 1, loss: 0.5, positive: 5, negative: 50, accuracy: 0.5 },
      { step: 2, loss: 0.25, positive: 2.5, negative: 25, accuracy: 0.75 },
    ],
    heldout: [{ step: 2, accuracy: 0.75 }],
  });
  expect(condense([])).toEqual({ points: [], heldout: [] });
});

test("of 61 steps each point is the mean of three, the last of one", () => {
  // Losses 1, 2, 3 … 61: means 2, 5, 8 … 59, then 61.
  const { points } = condense(Array.from({ length: 61 }, (_, i) => entry(i + 1, i + 1)));
  expect(points.map(({ step }) => step)).toEqual([...Array.from({ length: 20 }, (_, i) => 3 * i + 3), 61]);
  expect(points.map(({ loss }) => loss)).toEqual([...Array.from({ length: 20 }, (_, i) => 3 * i + 2), 61]);
  expect(points[1]).toEqual({ step: 6, loss: 5, positive: 50, negative: 500, accuracy: -4 });
});
