import { expect, test } from "vitest";
import { growingRest, jittered } from "../src/rest.ts";

test("a rest is at least half of its length, and different each time", () => {
  const rests = Array.from({ length: 1000 }, () => jittered(100));
  expect(Math.min(...rests)).toBeGreaterThanOrEqual(50);
  expect(Math.max(...rests)).toBeLessThanOrEqual(100);
  expect(Math.max(...rests) - Math.min(...rests)).toBeGreaterThan(40);
});

test("each rest is up to twice as long as the one before, up to the longest, until it starts anew", () => {
  const rest = growingRest([100, 500]);
  for (const most of [100, 200, 400, 500, 500]) {
    const ms = rest.nextMs();
    expect(ms).toBeGreaterThanOrEqual(most / 2);
    expect(ms).toBeLessThanOrEqual(most);
  }
  rest.reset();
  expect(rest.nextMs()).toBeLessThanOrEqual(100);
});
